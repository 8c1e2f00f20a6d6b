"""What this machine and its cluster need for one unit of work, measured once and kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from encoders.cache import cache_folder
from operations.planning.errors import PlanningError
from training.whole_files import whole_file

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Constants:
    """Seconds per unit of work.

    Attributes:
        source: Where they are from, for people.
        start_s: A build's fixed cost: creating the index.
        load_s: Loading, by dense model.
        survey_s_per_byte: First reading: chunking and counting words, per byte of passage text;
            cut by the tokens of a dense encoder (``dense``), or without one (``plain``).
        chunk_s_per_byte: Second reading: chunking and fingerprints; likewise.
        dense_s_per_token: Encoding, by dense model.
        sparse_s_per_token: Encoding, by sparse model.
        write_s_per_byte: Sending and indexing text, per byte of the request.
        write_s_per_component: On top, per component of a vector: its JSON and its HNSW links.
        write_s_per_entry: On top, per token weight in ``rank_features``.
        seismic_s_per_entry: On top, per token weight in a SEISMIC companion.
        parallel: Reading, encoding and writing run side by side: the sum of their times by the
            time they took together; with a dense encoder (``dense``), which leaves the others
            little of the processors, and without (``plain``).
        query_ms: Answer time of a query in a small index, by leg.
        details: What it was measured on.
    """

    source: str
    start_s: float
    load_s: Mapping[str, float]
    survey_s_per_byte: Mapping[str, float]
    chunk_s_per_byte: Mapping[str, float]
    dense_s_per_token: Mapping[str, float]
    sparse_s_per_token: Mapping[str, float]
    write_s_per_byte: float
    write_s_per_component: float
    write_s_per_entry: float
    seismic_s_per_entry: float
    parallel: Mapping[str, float] = field(default_factory=dict)
    query_ms: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def constants_file() -> Path:
    """Where measured constants are kept."""
    return cache_folder() / "planning" / "constants.json"


def read_constants(path: Path | None = None) -> Constants:
    """What was measured on this machine, else what was measured on the reference machine.

    Raises:
        PlanningError: The file cannot be read.
    """
    path = path or constants_file()
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        schema = value.pop("schema")
        if schema != SCHEMA:
            return REFERENCE
        return Constants(**value)
    except FileNotFoundError:
        return REFERENCE
    except (OSError, KeyError, TypeError, ValueError) as error:
        msg = f"{path} cannot be read: {error!r}. Measure anew with --measure."
        raise PlanningError(msg) from error


def write_constants(constants: Constants, path: Path | None = None) -> Path:
    """Keep what was measured, whole or not at all.

    Raises:
        PlanningError: The disk refuses.
    """
    path = path or constants_file()
    text = json.dumps({"schema": SCHEMA, **asdict(constants)}, ensure_ascii=False, indent=2)
    try:
        with whole_file(path) as part:
            part.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}"
        raise PlanningError(msg) from error
    return path


# Two cores, a node with a heap of 1 GB on the same machine; see docs/planning.md.
REFERENCE = Constants(
    source="a reference machine (2 cores, node beside the client); measure yours with --measure",
    start_s=0.5,
    load_s={"all-MiniLM-L6-v2": 1.0},
    survey_s_per_byte={"dense": 3e-6, "plain": 3e-6},
    chunk_s_per_byte={"dense": 2e-6, "plain": 2e-6},
    dense_s_per_token={"all-MiniLM-L6-v2": 1.6e-4},
    sparse_s_per_token={"lexical": 4e-6},
    write_s_per_byte=5e-7,
    write_s_per_component=3e-6,
    write_s_per_entry=4e-6,
    seismic_s_per_entry=6e-6,
    parallel={"dense": 1.0, "plain": 1.3},
    query_ms={"bm25": 4.0, "dense": 5.0, "rank_features": 6.0, "seismic": 6.0},
)


def merged(old: Constants, new: Constants) -> Constants:
    """The new constants, with models that were measured earlier on this machine and not now."""
    if old is REFERENCE:
        return new
    return replace(
        new,
        load_s={**old.load_s, **new.load_s},
        survey_s_per_byte={**old.survey_s_per_byte, **new.survey_s_per_byte},
        chunk_s_per_byte={**old.chunk_s_per_byte, **new.chunk_s_per_byte},
        dense_s_per_token={**old.dense_s_per_token, **new.dense_s_per_token},
        sparse_s_per_token={**old.sparse_s_per_token, **new.sparse_s_per_token},
        parallel={**old.parallel, **new.parallel},
        query_ms={**old.query_ms, **new.query_ms},
        # A leg that was left out this time has no figure.
        write_s_per_component=new.write_s_per_component or old.write_s_per_component,
        write_s_per_entry=new.write_s_per_entry or old.write_s_per_entry,
        seismic_s_per_entry=new.seismic_s_per_entry or old.seismic_s_per_entry,
    )
