"""How long building takes: reading, encoding, writing, and the three ways of changing over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from operations.planning.candidates import Candidate
from operations.planning.constants import Constants
from operations.planning.sizing import Corpus, Line, total

Strategy: TypeAlias = Literal["full", "dual", "incremental"]
# What a document costs on its way besides its text: names of fields, ids, fingerprints.
ENVELOPE_BYTES = 420
# Passages from which a build learns the range of scores, and as many short queries.
BOUNDS_TEXTS = 128
BOUNDS_QUERY_TOKENS = 9
SURVEY, READING, BOUNDS = "survey", "reading and chunking", "range of scores"
_ENCODING, _WRITING = "encoding", "writing"


@dataclass(frozen=True, slots=True)
class StrategyCost:
    """One way from the old index to the new one.

    Attributes:
        strategy: ``full`` (delete, then build), ``dual`` (build beside, then swap) or
            ``incremental`` (only what changed, the encoder stays).
        seconds: Until the new index answers.
        outage_s: How long searches find nothing, or not all.
        extra_bytes: Disk needed on top of the old index while it runs.
        formula: How the time comes about.
        note: What it is for.
    """

    strategy: Strategy
    seconds: float
    outage_s: float
    extra_bytes: float
    formula: str
    note: str


def encoding(corpus: Corpus, candidate: Candidate, constants: Constants) -> list[Line]:
    """Seconds of encoding on the measured device."""
    return list(_encoding(corpus, candidate, constants))


def building(corpus: Corpus, candidate: Candidate, constants: Constants) -> list[Line]:
    """Seconds of every part of a build, one after the other."""
    text_bytes = corpus.text.passage_bytes * corpus.factor
    how = _how(candidate)
    survey, chunk = constants.survey_s_per_byte[how], constants.chunk_s_per_byte[how]
    lines = [
        Line(SURVEY, text_bytes * survey, f"{text_bytes:,.0f} B × {survey:.2e}"),
        *_bounds(corpus, candidate, constants),
        Line(READING, text_bytes * chunk, f"{text_bytes:,.0f} B × {chunk:.2e}"),
        *_encoding(corpus, candidate, constants),
        *_writing(corpus, candidate, constants),
    ]
    return [line for line in lines if line.amount > 0]


def build_seconds(corpus: Corpus, candidate: Candidate, constants: Constants) -> float:
    """Seconds of a build: what goes first, then reading, encoding and writing side by side."""
    lines = building(corpus, candidate, constants)
    first = total([line for line in lines if line.what in (SURVEY, BOUNDS)])
    start = start_seconds(candidate, constants)
    return start + first + side_by_side(lines, parallel_of(candidate, constants))


def start_seconds(candidate: Candidate, constants: Constants) -> float:
    """Seconds before anything is read: the model is loaded, the index created."""
    return constants.start_s + constants.load_s.get(candidate.dense or "", 0.0)


def parallel_of(candidate: Candidate, constants: Constants) -> float:
    """What the stages of this candidate's build gain by running side by side."""
    return constants.parallel.get(_how(candidate), 1.0)


def _how(candidate: Candidate) -> str:
    return "plain" if candidate.dense is None else "dense"


def side_by_side(lines: Sequence[Line], parallel: float) -> float:
    """Seconds of the three stages together: no less than the longest, no less than their work."""
    stages = [_sum_of(lines, stage) for stage in (READING, _ENCODING, _WRITING)]
    return max(*stages, sum(stages) / parallel)


def gpu_seconds(corpus: Corpus, parameters: float, tflops: float) -> float:
    """Seconds of the dense encoding on a device of so many effective TFLOP/s.

    A forward pass takes two operations per parameter and token (Kaplan et al. 2020, section 2.1).
    """
    tokens = corpus.text.tokens * corpus.factor
    return 2 * parameters * tokens / (tflops * 1e12)


def strategies(
    corpus: Corpus, candidate: Candidate, constants: Constants, *, size: float, changed: float
) -> Sequence[StrategyCost]:
    """The three ways of changing an index.

    Args:
        corpus: The corpus.
        candidate: The new index.
        constants: Of this machine.
        size: Bytes of the new index, copies included.
        changed: Share of the documents that changed, for ``incremental``.
    """
    whole = build_seconds(corpus, candidate, constants)
    lines = building(corpus, candidate, constants)
    # Word statistics and ranges are the index's own: nothing is surveyed again.
    less = [Line(x.what, x.amount * (1 if x.what == READING else changed), "") for x in lines]
    part = start_seconds(candidate, constants) + side_by_side(
        less, parallel_of(candidate, constants)
    )
    return (
        StrategyCost(
            "full",
            whole,
            whole,
            0.0,
            "start + survey + range of scores + the longest stage, or all / parallel",
            "The old index goes first: least disk, but searches wait.",
        ),
        StrategyCost(
            "dual",
            whole,
            0.0,
            size,
            "as full; the alias moves when the new index is whole",
            "Nobody notices; both indices stand on the disks until the old one is removed.",
        ),
        StrategyCost(
            "incremental",
            part,
            0.0,
            changed * size,
            f"start + reading beside {changed:.0%} of encoding and writing",
            "Only while the encoders stay the same: vectors of two models do not mix.",
        ),
    )


def _sum_of(lines: Sequence[Line], stage: str) -> float:
    return sum(line.amount for line in lines if stage in line.what)


def _bounds(corpus: Corpus, candidate: Candidate, constants: Constants) -> Iterator[Line]:
    """A build encodes some passages and queries to learn what unrelated texts score."""
    count = min(BOUNDS_TEXTS, corpus.vectors if candidate.dense is not None else corpus.chunks)
    seconds = 0.0
    if candidate.dense is not None:
        tokens = count * (corpus.text.tokens / max(1, corpus.text.chunks) + BOUNDS_QUERY_TOKENS)
        seconds += tokens * constants.dense_s_per_token.get(candidate.dense, 0.0)
    if candidate.sparse is not None and corpus.sparse is not None:
        tokens = count * corpus.sparse.tokens / max(1, corpus.sparse.chunks)
        seconds += tokens * constants.sparse_s_per_token.get(candidate.sparse, 0.0)
    yield Line(BOUNDS, seconds, f"{count:,.0f} passages encoded, and as many short queries")


def _encoding(corpus: Corpus, candidate: Candidate, constants: Constants) -> Iterator[Line]:
    if candidate.dense is not None:
        tokens = corpus.text.tokens * corpus.factor
        each = constants.dense_s_per_token.get(candidate.dense)
        if each is None:
            yield Line(f"dense encoding ({candidate.dense})", 0.0, "not measured: --measure")
        else:
            yield Line(
                f"dense encoding ({candidate.dense})",
                tokens * each,
                f"{tokens:,.0f} tokens × {each:.2e}",
            )
    sparse = corpus.sparse
    if candidate.sparse is not None and sparse is not None:
        tokens = sparse.tokens / max(1, sparse.chunks) * corpus.chunks
        each = constants.sparse_s_per_token.get(candidate.sparse, 0.0)
        yield Line(
            f"sparse encoding ({candidate.sparse})",
            tokens * each,
            f"{tokens:,.0f} tokens × {each:.2e}" if each else "not measured: --measure",
        )


def _writing(corpus: Corpus, candidate: Candidate, constants: Constants) -> Iterator[Line]:
    n = corpus.chunks
    body = corpus.text.passage_bytes * corpus.factor + n * ENVELOPE_BYTES
    copies = candidate.copies
    each = constants.write_s_per_byte
    yield Line("writing text", copies * body * each, f"{copies} × {body:,.0f} B × {each:.2e}")
    if candidate.dense is not None:
        values, each = corpus.vectors * candidate.dimension, constants.write_s_per_component
        yield Line(
            "writing vectors",
            copies * values * each,
            f"{copies} × {values:,.0f} components × {each:.2e}",
        )
    entries = n * corpus.per_chunk(candidate)
    seismic = candidate.sparse_field == "seismic"
    each = constants.seismic_s_per_entry if seismic else constants.write_s_per_entry
    if entries:
        yield Line(
            "writing token weights",
            copies * entries * each,
            f"{copies} × {entries:,.0f} tokens × {each:.2e}",
        )
