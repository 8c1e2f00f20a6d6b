"""From a log to data: records to learn from, and an evaluation set of other queries."""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from encoders.batching import batched
from ingest.masking import mask_text
from operations.feedback.errors import NoEvidenceError
from operations.feedback.evaluation_set import write_corpus, write_judgements
from operations.feedback.evidence import Evidence, EvidenceOptions, QueryEvidence, gather
from operations.feedback.log_files import LogSource
from operations.feedback.propensity import PositionBias, position_bias
from operations.feedback.relevance import Relevance, RelevanceModel, RelevanceOptions
from operations.feedback.splitting import HashSplit, TimeSplit
from operations.feedback.stored_texts import StoredText, TextSource, Wanted
from operations.feedback.whole_files import whole_file, whole_folder
from operations.feedback.windows import Window
from training.data.records import TrainingRecord, write_records

logger = logging.getLogger(__name__)

RECORDS = "records.jsonl"
EVALUATION = "evaluation"
REPORT = "report.json"
_DIGITS = 4
# Queries whose texts are looked up at once.
_BATCH = 64


@dataclass(frozen=True)
class CollectOptions:
    """What becomes of a log.

    Attributes:
        texts: Where the texts of the documents come from.
        output: Folder for the result; written anew, and only once it is complete.
        window: Which time; everything without it.
        split: Which queries are held out.
        evidence: Whose evidence counts.
        relevance: How much of it is enough.
        eta: How examination falls with the rank; estimated where it is not given.
        max_negatives: Most hard negatives of a record, those passed over most often.
    """

    texts: TextSource
    output: Path
    window: Window = field(default_factory=Window)
    split: HashSplit | TimeSplit = field(default_factory=HashSplit)
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    relevance: RelevanceOptions = field(default_factory=RelevanceOptions)
    eta: float | None = None
    max_negatives: int = 16


@dataclass(frozen=True, slots=True)
class Collected:
    """Outcome of a collection.

    Attributes:
        output: The folder.
        records: Training records; ``None`` if there are none.
        evaluation: BEIR folder of the evaluation set (split ``test``); ``None`` if it is empty.
        training_queries: How many records.
        evaluation_queries: How many queries in the evaluation set.
        judgements: How many judgements in it.
        bias: How examination falls with the rank.
        counts: What was read and left out, by name.
    """

    output: Path
    records: Path | None
    evaluation: Path | None
    training_queries: int
    evaluation_queries: int
    judgements: int
    bias: PositionBias
    counts: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        paths = {
            name: str(value) if (value := getattr(self, name)) is not None else None
            for name in ("output", "records", "evaluation")
        }
        bias = self.bias.as_dict()
        return {**asdict(self), **paths, "bias": bias, "counts": dict(self.counts)}


def collect(source: LogSource, options: CollectOptions) -> Collected:
    """Turn a log into training records and an evaluation set.

    The folder holds ``records.jsonl`` (training records), ``evaluation/`` (a BEIR folder:
    queries, ``qrels/test.tsv`` with grades, and the documents they speak of) and ``report.json``.
    A part without content is absent. No id of a client is written.

    Args:
        source: The log: files or the cluster.
        options: What becomes of it.

    Raises:
        FeedbackError: The log cannot be read.
        NoEvidenceError: No query has enough evidence; nothing was written.
        SearchBackendError: The cluster failed.
    """
    learnt, held_out, counts = _sides(source, options)
    bias = position_bias((p.counts for p in [*learnt.pairs(), *held_out.pairs()]), options.eta)
    model = RelevanceModel.of([*learnt.pairs(), *held_out.pairs()], bias, options.relevance)
    builder = _Builder(model, options, counts)
    with whole_folder(options.output) as folder:
        records = write_records(builder.records(learnt.queries), folder / RECORDS)
        if not records:
            (folder / RECORDS).unlink()
        queries, judgements = builder.evaluation(held_out.queries, folder / EVALUATION)
        if not records and not queries:
            raise NoEvidenceError(_nothing(counts, options))
        collected = Collected(
            output=options.output,
            records=options.output / RECORDS if records else None,
            evaluation=options.output / EVALUATION if queries else None,
            training_queries=records,
            evaluation_queries=queries,
            judgements=judgements,
            bias=bias,
            counts={name: count for name, count in counts.items() if count},
        )
        _write_report(folder / REPORT, collected, options)
    return collected


def _sides(source: LogSource, options: CollectOptions) -> tuple[Evidence, Evidence, Counter[str]]:
    """Evidence to learn from, and evidence to measure with, about other queries."""
    split, window = options.split, options.window
    if isinstance(split, TimeSplit):
        before = replace(window, until=split.moment)
        # Clicks of the later time belong to later queries; gather() joins them by query.
        first = gather(source, options.evidence, before)
        second = gather(source, options.evidence, replace(window, since=split.moment))
        later = {query.key for query in second.queries}
        counts = Counter(first.counts) + Counter(second.counts)
        counts["queries of both times"] = sum(q.key in later for q in first.queries)
        kept = tuple(query for query in first.queries if query.key not in later)
        return Evidence(kept), second, counts
    found = gather(source, options.evidence, window)
    held_out = tuple(q for q in found.queries if split.holds_out(q.key))
    learnt = tuple(q for q in found.queries if not split.holds_out(q.key))
    return Evidence(learnt), Evidence(held_out), Counter(found.counts)


class _Builder:
    def __init__(
        self, model: RelevanceModel, options: CollectOptions, counts: Counter[str]
    ) -> None:
        self._model, self._options, self._counts = model, options, counts

    def records(self, queries: tuple[QueryEvidence, ...]) -> Iterator[TrainingRecord]:
        """One record per query with something relevant."""
        drafts = (_Draft.of(q, g, self._negatives(q, g)) for q in queries if (g := self._graded(q)))
        for batch in batched(drafts, _BATCH):
            wanted = {pair for draft in batch for pair in draft.wanted()}
            texts = dict(self._options.texts.passages(sorted(wanted, key=str)))
            self._counts["documents that are gone"] += len(wanted) - len(texts)
            yield from (record for draft in batch if (record := draft.record(texts)))

    def evaluation(self, queries: tuple[QueryEvidence, ...], folder: Path) -> tuple[int, int]:
        """Write the evaluation set; returns queries and judgements, without any no folder."""
        graded = [(query, found) for query in queries if (found := self._graded(query))]
        shown = sorted({doc for query, _ in graded for doc in query.documents})
        owners = write_corpus(self._options.texts.documents(shown), folder / "corpus.jsonl")
        self._counts["documents that are gone"] += len(shown) - len(owners)
        written = write_judgements(graded, owners, folder)
        if not written[0]:
            shutil.rmtree(folder)
        return written

    def _graded(self, query: QueryEvidence) -> dict[str, Relevance]:
        """What is known of a query's documents; nothing where none of them is relevant."""
        graded = self._model.grade(query)
        if any(found.grade for found in graded.values()):
            return graded
        self._counts["queries of too little evidence"] += 1
        return {}

    def _negatives(self, query: QueryEvidence, graded: Mapping[str, Relevance]) -> list[str]:
        found = [doc for doc, relevance in graded.items() if relevance.hard_negative]
        found.sort(key=lambda doc: -query.documents[doc].skips)
        return found[: self._options.max_negatives]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A record whose texts are not looked up yet; scores by what was shown, best first."""

    query: QueryEvidence
    positives: Mapping[Wanted, float]
    negatives: Mapping[Wanted, float]

    @classmethod
    def of(
        cls, query: QueryEvidence, graded: Mapping[str, Relevance], negatives: Sequence[str]
    ) -> "_Draft":
        def scored(docs: Iterable[str]) -> dict[Wanted, float]:
            return {
                (doc, query.documents[doc].passage): round(graded[doc].score, _DIGITS)
                for doc in docs
            }

        relevant = [doc for doc, found in graded.items() if found.grade]
        relevant.sort(key=lambda doc: (-(graded[doc].grade or 0), -graded[doc].score))
        return cls(query, scored(relevant), scored(negatives))

    def wanted(self) -> Iterator[Wanted]:
        yield from self.positives
        yield from self.negatives

    def record(self, texts: Mapping[Wanted, StoredText]) -> TrainingRecord | None:
        pos = [name for name in self.positives if name in texts]
        relevant = {texts[name].passage for name in pos}
        neg = [n for n in self.negatives if n in texts and texts[n].passage not in relevant]
        if not pos:
            return None
        return TrainingRecord(
            query=mask_text(self.query.text).text,
            pos=tuple(texts[name].passage for name in pos),
            neg=tuple(texts[name].passage for name in neg),
            pos_scores=tuple(self.positives[name] for name in pos),
            neg_scores=tuple(self.negatives[name] for name in neg),
            query_id=self.query.key,
            pos_ids=tuple(texts[name].doc_id for name in pos),
            neg_ids=tuple(texts[name].doc_id for name in neg),
        )


def _nothing(counts: Counter[str], options: CollectOptions) -> str:
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
    return (
        f"no query of the log has enough evidence (read: {said}). Collect a longer time, or ask "
        f"for less: --min-clients {options.evidence.min_clients}, "
        f"--min-impressions {options.relevance.min_impressions} and "
        f"--min-clicks {options.relevance.min_clicks} were needed"
    )


def _write_report(path: Path, collected: Collected, options: CollectOptions) -> None:
    split = options.split
    moment = {"moment": split.moment.isoformat()} if isinstance(split, TimeSplit) else asdict(split)
    values = {
        **{k: v for k, v in collected.as_dict().items() if k not in ("output", "records")},
        "evaluation": EVALUATION if collected.evaluation else None,
        "window": options.window.as_dict(),
        "split": moment,
        "evidence": asdict(options.evidence),
        "relevance": asdict(options.relevance),
    }
    with whole_file(path) as file:
        json.dump(values, file, ensure_ascii=False, indent=2)
