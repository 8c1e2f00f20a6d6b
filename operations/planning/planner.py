"""A plan: what each candidate costs in disk, memory, time and queries, and how that comes about."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from operations.planning.candidates import Candidate
from operations.planning.constants import Constants
from operations.planning.memory import memory
from operations.planning.querying import query_ms, query_work
from operations.planning.sizing import Corpus, Line, disk, total
from operations.planning.timing import (
    StrategyCost,
    build_seconds,
    building,
    encoding,
    gpu_seconds,
    strategies,
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device that encodes, known by its speed only.

    Attributes:
        parameters: Of the dense model that a token passes.
        tflops: Effective speed, in 10¹² operations per second.
    """

    parameters: float
    tflops: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a candidate costs.

    Attributes:
        candidate: The configuration.
        disk: Bytes on disk of one copy, merged.
        memory: Bytes that should stay in memory, all copies.
        building: Seconds of the parts of a build.
        query: Values read for one query.
        build_s: Seconds of a build.
        encode_s: Seconds of its encoding; ``None`` where the model was not measured.
        gpu_encode_s: Seconds of the dense encoding on the GPU that was described, if one was.
        query_ms: Milliseconds of a query in a small index, if measured.
        strategies: The three ways of changing over.
    """

    candidate: Candidate
    disk: Sequence[Line]
    memory: Sequence[Line]
    building: Sequence[Line]
    query: Sequence[Line]
    build_s: float
    encode_s: float | None
    gpu_encode_s: float | None
    query_ms: float | None
    strategies: Sequence[StrategyCost]

    @property
    def disk_bytes(self) -> float:
        """Bytes on disk, all copies."""
        return self.candidate.copies * total(self.disk)

    @property
    def memory_bytes(self) -> float:
        """Bytes that should stay in memory, all copies."""
        return total(self.memory)

    def as_dict(self) -> dict[str, Any]:
        """The cost as JSON-ready values."""
        return {
            "label": self.candidate.label,
            "candidate": asdict(self.candidate),
            "buildable": self.candidate.buildable,
            "disk_bytes": round(self.disk_bytes),
            "memory_bytes": round(self.memory_bytes),
            "build_s": round(self.build_s, 2),
            "encode_s": _rounded(self.encode_s),
            "gpu_encode_s": _rounded(self.gpu_encode_s),
            "query_ms": _rounded(self.query_ms),
            "strategies": [asdict(strategy) for strategy in self.strategies],
            "lines": {
                "disk": [asdict(line) for line in self.disk],
                "memory": [asdict(line) for line in self.memory],
                "building": [asdict(line) for line in self.building],
                "query": [asdict(line) for line in self.query],
            },
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked and what was found.

    Attributes:
        documents: Documents of the corpus, or as many as were assumed.
        sampled: Documents that were looked at.
        chunks: Passages.
        constants: The speeds that were used.
        costs: One for each candidate.
        missing: What was not measured, and how to measure it.
    """

    documents: int
    sampled: int
    chunks: float
    constants: Constants
    costs: Sequence[Cost]
    missing: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready values."""
        return {
            "documents": self.documents,
            "sampled": self.sampled,
            "chunks": round(self.chunks),
            "constants": asdict(self.constants),
            "missing": list(self.missing),
            "candidates": [cost.as_dict() for cost in self.costs],
        }


@dataclass(frozen=True, slots=True)
class Terms:
    """What a plan assumes besides the corpus.

    Attributes:
        constants: Speeds of this machine.
        changed: Share of documents that change between two incremental runs.
        gpu: A GPU to compare with.
    """

    constants: Constants
    changed: float = 0.1
    gpu: Gpu | None = None


def cost_of(corpus: Corpus, candidate: Candidate, terms: Terms) -> Cost:
    """What one candidate costs."""
    constants = terms.constants
    lines = disk(corpus, candidate)
    size = candidate.copies * total(lines)
    return Cost(
        candidate=candidate,
        disk=lines,
        memory=memory(corpus, candidate),
        building=building(corpus, candidate, constants),
        query=query_work(corpus, candidate),
        build_s=build_seconds(corpus, candidate, constants),
        encode_s=_encode_seconds(corpus, candidate, constants),
        gpu_encode_s=_gpu(corpus, candidate, terms.gpu),
        query_ms=query_ms(candidate, constants),
        strategies=strategies(corpus, candidate, constants, size=size, changed=terms.changed),
    )


def make_plan(corpora: Mapping[Candidate, Corpus], terms: Terms, *, sampled: int) -> Plan:
    """Put the costs of all candidates together.

    Args:
        corpora: Each candidate with the corpus as it would chunk and encode it.
        terms: What is assumed.
        sampled: Documents that were looked at.
    """
    costs = tuple(cost_of(corpus, candidate, terms) for candidate, corpus in corpora.items())
    largest = max(corpora.values(), key=lambda corpus: corpus.chunks)
    return Plan(
        documents=largest.documents,
        sampled=sampled,
        chunks=largest.chunks,
        constants=terms.constants,
        costs=costs,
        missing=tuple(dict.fromkeys(_missing(list(corpora), terms.constants))),
    )


def _missing(candidates: Sequence[Candidate], constants: Constants) -> list[str]:
    wanted = [
        *((c.dense, constants.dense_s_per_token) for c in candidates),
        *((c.sparse, constants.sparse_s_per_token) for c in candidates),
    ]
    return [
        f"{model} was not timed on this machine, so times leave its encoding out: add --measure"
        for model, known in wanted
        if model is not None and model not in known
    ]


def _encode_seconds(corpus: Corpus, candidate: Candidate, constants: Constants) -> float | None:
    if _missing([candidate], constants):
        return None
    return total(encoding(corpus, candidate, constants))


def _gpu(corpus: Corpus, candidate: Candidate, gpu: Gpu | None) -> float | None:
    if gpu is None or candidate.dense is None:
        return None
    return gpu_seconds(corpus, gpu.parameters, gpu.tflops)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
