"""What was measured of models: the project's own figures, and a report of yours."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

from training.errors import TrainingError

COMMITTED = "figures.json"
_PREFIXES = {"en": "en_", "ko": "ko_"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One model on one set.

    Attributes:
        model: Its name.
        set_name: The set.
        language: The set's language; None where it is not known.
        ndcg: NDCG@10.
        bm25: BM25's on the same set; None where it was not measured.
        recall_100: Recall@100.
        recall_10: Recall@10.
        source: Where the figure stands.
    """

    model: str
    set_name: str
    language: str | None
    ndcg: float
    bm25: float | None = None
    recall_100: float | None = None
    recall_10: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """What training made of a model on one set.

    Attributes:
        model: The model trained; ``static`` has none before.
        leg: ``dense`` or ``sparse``.
        set_name: The set.
        language: The set's language.
        before: NDCG@10 before training; BM25's where nothing was there before.
        after: NDCG@10 after it, mean over seeds.
        seeds: How many.
        source: Where the figure stands.
    """

    model: str
    leg: str
    set_name: str
    language: str
    before: float
    after: float
    seeds: int
    source: str


@dataclass(frozen=True)
class Figures:
    """Everything measured.

    Attributes:
        entries: By model and set.
        gains: What training made of them.
        query_ms: Model -> median milliseconds to encode one query on a CPU, where it was measured.
        own_recall: Recall@10 of the best system of your report, over its sets.
    """

    entries: tuple[Figure, ...] = ()
    gains: tuple[Gain, ...] = ()
    query_ms: Mapping[str, float] | None = None
    own_recall: float | None = None

    def of(self, model: str, languages: Sequence[str]) -> list[Figure]:
        """A model's figures on sets of these languages; a report of yours always counts."""
        return [
            figure
            for figure in self.entries
            if figure.model == model
            and (figure.language is None or not languages or figure.language in languages)
        ]

    def gains_of(self, model: str, languages: Sequence[str]) -> list[Gain]:
        """What training made of a model on sets of these languages."""
        return [
            gain
            for gain in self.gains
            if gain.model == model and (not languages or gain.language in languages)
        ]


def read_figures(report: Path | None = None) -> Figures:
    """The project's figures, with those of a report of ``tandem compare``.

    Raises:
        TrainingError: The report cannot be read, or is none.
    """
    source = resources.files("training.recommending").joinpath(COMMITTED)
    values = json.loads(source.read_text(encoding="utf-8"))
    committed = tuple(Figure(**entry) for entry in values["figures"])
    gains = tuple(Gain(**entry) for entry in values["gains"])
    if report is None:
        return Figures(committed, gains, values["query_ms"])
    own, recall = _read_report(report)
    return Figures((*own, *committed), gains, values["query_ms"], recall)


def committed_values(
    results: Mapping[str, Any], serving: Mapping[str, Any], training: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of the packaged file, from what the benchmarks wrote.

    Args:
        results: ``docs/results.json``: sets -> modes -> figures, of the default encoders.
        serving: ``docs/serving-results.json``: milliseconds of the encoder server.
        training: ``docs/training-results.json``: kind of training -> rows; empty where training has
            not been measured.
    """
    models = {"dense": str(serving["model"]), "sparse": "lexical"}
    figures = [
        _figure(name, row, mode, model)
        for name, row in sorted(results.items())
        for mode, model in models.items()
        # 0 where a leg was left out because the model does not know the language.
        if row["ndcg@10"][mode] > 0.01
    ]
    alone = next(
        row
        for row in serving["rows"]
        if (row["load"], row["clients"], row["batching"]) == ("query", 1, "off")
    )
    return {
        "figures": figures,
        "gains": _gains(training, models["dense"]),
        "query_ms": {models["dense"]: alone["p50_ms"]},
    }


def _gains(training: Mapping[str, Any], embedded: str) -> list[dict[str, Any]]:
    """Gains of the embedded model (tuned, or with a vocabulary head) and of static encoders.

    Floor sets say what tuning costs elsewhere, not what it gains.
    """
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in training.get("dense", ()):
        if row.get("role") != "floor":
            key = (embedded, "dense", row["set"])
            found.setdefault(key, []).append((row["base"], row["tuned"]))
    for row in training.get("static", ()):
        name = row["set"] + (", further corpora" if row.get("corpora") else "")
        found.setdefault(("static", row["leg"], name), []).append((row["base"], row["tuned"]))
    for row in training.get("sparse", ()):
        before = row["untrained"]["ndcg"] if row["bm25"] is None else row["bm25"]
        key = (embedded, "sparse", row["set"])
        found.setdefault(key, []).append((before, row["trained"]["ndcg"]))
    return [
        {
            "model": model,
            "leg": leg,
            "set_name": name,
            "language": _language(name),
            "before": round(fmean(before for before, _ in pairs), 4),
            "after": round(fmean(after for _, after in pairs), 4),
            "seeds": len(pairs),
            "source": "docs/training-results.json",
        }
        for (model, leg, name), pairs in found.items()
    ]


def _language(set_name: str) -> str:
    return next((k for k, prefix in _PREFIXES.items() if set_name.startswith(prefix)), "mixed")


def _figure(name: str, row: Mapping[str, Any], mode: str, model: str) -> dict[str, Any]:
    return {
        "model": model,
        "set_name": name,
        "language": _language(name),
        "ndcg": row["ndcg@10"][mode],
        "bm25": row["ndcg@10"]["bm25"],
        "recall_100": row["recall@100"][mode],
        "source": "docs/results.json",
    }


def _read_report(path: Path) -> tuple[list[Figure], float]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        models = {system["label"]: system["model"] for system in values["systems"]}
        figures = [
            Figure(
                model=models[label],
                set_name=entry["set"],
                language=None,
                ndcg=float(found["ndcg@10"]),
                bm25=_bm25(entry["systems"], models),
                recall_100=float(found["recall@100"]),
                recall_10=float(found["recall@10"]),
                source=path.name,
            )
            for entry in values["sets"]
            for label, found in entry["systems"].items()
        ]
        best = max(_mean_recall(values["sets"], label) for label in models)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise TrainingError(msg) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"{path} is no report of tandem compare ({error!r}). Make one by "
            "tandem compare … --json > report.json, or take report.json of its --output folder."
        )
        raise TrainingError(msg) from error
    return figures, best


def _bm25(systems: Mapping[str, Any], models: Mapping[str, str]) -> float | None:
    found = [entry for label, entry in systems.items() if models[label] == "bm25"]
    return float(found[0]["ndcg@10"]) if found else None


def _mean_recall(sets: Sequence[Mapping[str, Any]], label: str) -> float:
    return sum(float(entry["systems"][label]["recall@10"]) for entry in sets) / len(sets)
