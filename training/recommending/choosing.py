"""A short list of models for what is asked, with reasons."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from training.recommending.candidates import MULTILINGUAL, STATIC, Candidate
from training.recommending.figures import Figure, Figures, Gain
from training.recommending.tuning_rule import TuningAdvice, tuning_advice

Hosting: TypeAlias = Literal["any", "self"]
USES = (
    "general",
    "high-throughput",
    "high-accuracy",
    "long-documents",
    "exact-terms",
    "structured-records",
    "finance",
    "law",
    "health",
)
PERMISSIVE = ("Apache-2.0", "MIT")
LONG = 512
# A model without its own figure is taken to need time in proportion to the weights a text passes.
REFERENCE = "all-MiniLM-L6-v2"
# Longer than this for a query is of no use, where there is no GPU.
_SLOWEST_MS = 500.0
# Beside the weights: activations and the runtime.
_HEADROOM = 1.2
_FEW_PAIRS = 1_000
_LARGE = 100
_FIELDS = {
    "finance": "FinBERT and SecBERT",
    "law": "Legal-BERT and CaseLaw-BERT",
    "health": "BioBERT and PubMedBERT",
}


@dataclass(frozen=True)
class Wishes:
    """What a model is wanted for; None: it does not matter.

    Attributes:
        languages: Languages of corpus and questions.
        latency_ms: Time to encode one query.
        gpu_memory_gb: Memory of the GPU; 0 for none.
        licences: Allowed ones; ``permissive`` is Apache-2.0 or MIT.
        use: What for.
        pairs: Labelled pairs at hand.
        recall_at_10: Of an untuned model on one's own questions, 0..1.
        hosting: ``self`` leaves services out.
        limit: Models of one kind, at most.
    """

    languages: tuple[str, ...] = ()
    latency_ms: float | None = None
    gpu_memory_gb: float | None = None
    licences: tuple[str, ...] = ()
    use: str = "general"
    pairs: int | None = None
    recall_at_10: float | None = None
    hosting: Hosting = "any"
    limit: int = 3


@dataclass(frozen=True)
class Suggestion:
    """A model, and why.

    Attributes:
        candidate: The model.
        reasons: What speaks for it.
        cautions: What to know before.
        figures: What was measured of it.
        gains: What training made of it.
    """

    candidate: Candidate
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]
    figures: tuple[Figure, ...]
    gains: tuple[Gain, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The suggestion as JSON-ready values."""
        return {
            **self.candidate.as_dict(),
            "reasons": list(self.reasons),
            "cautions": list(self.cautions),
            "measured": [
                {
                    "set": f.set_name,
                    "ndcg@10": f.ndcg,
                    "bm25_ndcg@10": f.bm25,
                    "recall@100": f.recall_100,
                    "source": f.source,
                }
                for f in self.figures
            ],
            "trained": [asdict(gain) for gain in self.gains],
        }


@dataclass(frozen=True)
class Recommendation:
    """The short list.

    Attributes:
        suggestions: Best first within a kind.
        excluded: Model -> why it does not fit.
        tuning: Whether to tune.
        notes: What holds for all.
    """

    suggestions: tuple[Suggestion, ...]
    excluded: dict[str, str]
    tuning: TuningAdvice
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The recommendation as JSON-ready values."""
        return {
            "models": [suggestion.as_dict() for suggestion in self.suggestions],
            "tuning": self.tuning.as_dict(),
            "notes": list(self.notes),
            "excluded": self.excluded,
        }


def recommend(wishes: Wishes, models: Sequence[Candidate], figures: Figures) -> Recommendation:
    """Choose models.

    What does not fit is left out with its reason. Of the rest, models named for the use come
    first, then those for one language alone (they spend nothing on others), then the table's order.

    Args:
        wishes: What is asked.
        models: The decision table.
        figures: What was measured.
    """
    reasons = {model.name: _unfit(model, wishes, figures) for model in models}
    excluded = {name: reason for name, reason in reasons.items() if reason is not None}
    fitting = [model for model in models if model.name not in excluded]
    ordered = sorted(fitting, key=lambda model: _rank(model, wishes))
    kept = _limited(ordered, wishes.limit)
    suggestions = tuple(_suggestion(model, wishes, figures) for model in kept)
    recall = wishes.recall_at_10 if wishes.recall_at_10 is not None else figures.own_recall
    tuning = tuning_advice(recall, wishes.pairs)
    return Recommendation(suggestions, excluded, tuning, tuple(_notes(wishes, kept)))


def estimated_ms(model: Candidate, figures: Figures) -> tuple[float, bool] | None:
    """Milliseconds to encode a query on a CPU, and whether they were measured."""
    measured = dict(figures.query_ms or {})
    if model.name in measured:
        return measured[model.name], True
    if model.inference_free or model.kind == STATIC:
        return 0.0, False
    reference = measured.get(REFERENCE)
    if model.computed is None or reference is None:
        return None
    return reference * model.computed / _reference_size(), False


def _reference_size() -> float:
    from training.recommending.candidates import candidates

    found = next(model for model in candidates() if model.name == REFERENCE)
    return found.computed or 1.0


def _unfit(model: Candidate, wishes: Wishes, figures: Figures) -> str | None:
    for check in (_language_fault, _licence_fault, _use_fault, _memory_fault):
        fault = check(model, wishes)
        if fault is not None:
            return fault
    return _latency_fault(model, wishes, figures)


def _language_fault(model: Candidate, wishes: Wishes) -> str | None:
    unknown = [language for language in wishes.languages if not model.knows(language)]
    if not unknown:
        return None
    return f"made for {', '.join(model.languages)}, not for {', '.join(unknown)}"


def _licence_fault(model: Candidate, wishes: Wishes) -> str | None:
    if wishes.hosting == "self" and model.service:
        return "a service: your texts would leave the house"
    if not wishes.licences or model.kind == STATIC:
        return None
    allowed = {name.casefold() for name in wishes.licences}
    if "permissive" in allowed:
        allowed |= {name.casefold() for name in PERMISSIVE}
    return None if model.licence.casefold() in allowed else f"licence: {model.licence}"


def _use_fault(model: Candidate, wishes: Wishes) -> str | None:
    if wishes.use != "long-documents" or model.max_tokens is None or model.max_tokens > LONG:
        return None
    return f"reads {model.max_tokens} tokens of a text"


def _memory_fault(model: Candidate, wishes: Wishes) -> str | None:
    size = model.half_gigabytes
    if not wishes.gpu_memory_gb or size is None or model.service:
        return None
    need = size * _HEADROOM
    if need <= wishes.gpu_memory_gb:
        return None
    return f"its weights alone take {size:.1f} GB in float16"


def _latency_fault(model: Candidate, wishes: Wishes, figures: Figures) -> str | None:
    limit = wishes.latency_ms
    if limit is None and wishes.gpu_memory_gb == 0:
        limit = _SLOWEST_MS
    # How fast a model is on your GPU, or a service over your line, is not known here.
    if limit is None or wishes.gpu_memory_gb or model.service:
        return None
    found = estimated_ms(model, figures)
    if found is None:
        return "how long a query takes is not known"
    if found[0] <= limit:
        return None
    how = "measured" if found[1] else "estimated from its size"
    return f"about {found[0]:.0f} ms a query on a CPU ({how})"


def _rank(model: Candidate, wishes: Wishes) -> tuple[bool, bool]:
    shared = MULTILINGUAL in model.languages
    single = len(wishes.languages) == 1
    return (wishes.use not in model.uses, single and shared)


def _limited(models: Sequence[Candidate], limit: int) -> list[Candidate]:
    """So many of each kind; services apart, so that they crowd nobody out."""
    seen: Counter[tuple[str, bool]] = Counter()
    kept = []
    for model in models:
        key = (model.kind, model.service)
        seen[key] += 1
        if seen[key] <= limit:
            kept.append(model)
    order = {"dense": 0, "sparse": 1, STATIC: 2}
    return sorted(kept, key=lambda model: (model.service, order[model.kind]))


def _suggestion(model: Candidate, wishes: Wishes, figures: Figures) -> Suggestion:
    found = figures.of(model.name, wishes.languages)
    gains = figures.gains_of(model.name, wishes.languages)
    reasons = (model.why, *_speed(model, wishes, figures), *_measured(found), *_gained(gains))
    return Suggestion(
        candidate=model,
        reasons=reasons,
        cautions=tuple(_cautions(model, wishes)),
        figures=tuple(found),
        gains=tuple(gains),
    )


def _speed(model: Candidate, wishes: Wishes, figures: Figures) -> list[str]:
    if wishes.gpu_memory_gb and model.half_gigabytes is not None:
        return [f"{model.half_gigabytes:.1f} GB of weights in float16"]
    found = estimated_ms(model, figures)
    if found is None or model.service:
        return []
    if found[0] == 0:
        return ["queries need no network"]
    how = "measured here" if found[1] else f"estimated from {REFERENCE}'s by size"
    return [f"about {found[0]:.0f} ms to encode a query on a CPU ({how})"]


def _measured(found: Sequence[Figure]) -> list[str]:
    """Means over the sets, beside BM25's over the same."""
    with_bm25 = [figure for figure in found if figure.bm25 is not None]
    if not with_bm25:
        return []
    ours = sum(figure.ndcg for figure in with_bm25) / len(with_bm25)
    theirs = sum(figure.bm25 or 0.0 for figure in with_bm25) / len(with_bm25)
    sources = ", ".join(dict.fromkeys(figure.source for figure in with_bm25))
    sets = "set" if len(with_bm25) == 1 else "sets"
    return [
        f"untuned, mean NDCG@10 {ours:.3f} over {len(with_bm25)} {sets} (BM25 {theirs:.3f}; "
        f"{sources})"
    ]


def _gained(gains: Sequence[Gain]) -> list[str]:
    """The mean before and after training, for each leg."""
    sentences = []
    for leg in dict.fromkeys(gain.leg for gain in gains):
        own = [gain for gain in gains if gain.leg == leg]
        before = sum(gain.before for gain in own) / len(own)
        after = sum(gain.after for gain in own) / len(own)
        what = "BM25" if leg == "sparse" or own[0].model == STATIC else "untuned"
        sets = "set" if len(own) == 1 else "sets"
        sentences.append(
            f"trained here ({leg}): mean NDCG@10 {after:.3f} over {len(own)} {sets} ({what} "
            f"{before:.3f}; {own[0].source})"
        )
    return sentences


def _cautions(model: Candidate, wishes: Wishes) -> list[str]:
    found = []
    if model.service:
        found.append("texts leave the house, and it cannot be tuned")
    if model.code:
        found.append("runs Python code of its own: read it, then --trust-remote-code")
    if model.licence not in (*PERMISSIVE, "service") and model.kind != STATIC:
        found.append(f"licence: {model.licence}")
    if wishes.gpu_memory_gb and model.parameters and "dense" in model.train:
        need = model.parameters * 4e6 / 1e9
        if need * _HEADROOM > wishes.gpu_memory_gb:
            found.append(f"tuning keeps weights in float32, {need:.1f} GB: too much for this GPU")
    if _small_data(wishes) and model.parameters is not None and model.parameters > _LARGE:
        found.append("large for so few pairs: a smaller model converges more easily")
    if model.kind == STATIC:
        found.append("needs your corpus and some hundred pairs; knows nothing else")
    return found


def _small_data(wishes: Wishes) -> bool:
    return wishes.pairs is not None and wishes.pairs < _FEW_PAIRS


def _notes(wishes: Wishes, kept: Sequence[Candidate]) -> list[str]:
    notes = []
    if wishes.use in _FIELDS:
        notes.append(
            f"{_FIELDS[wishes.use]} read the field's language, but are no sentence encoders: a "
            "general encoder tuned on your own texts is the better start."
        )
    if len(wishes.languages) > 1:
        notes.append(
            "Several languages: after tuning on one, measure the others (a floor set each), and "
            "mix their texts into the training data."
        )
    kinds = {model.kind for model in kept}
    if {"dense", "sparse"} <= kinds:
        notes.append("A dense and a sparse model together, with BM25, are one hybrid index.")
    if wishes.latency_ms is not None and wishes.gpu_memory_gb:
        notes.append(
            "Time on your GPU is not known here, so nothing was left out for it; measure with "
            "tandem evaluate."
        )
    return notes
