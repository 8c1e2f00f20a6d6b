"""Whether to tune at all: by Recall@10 of an untuned model and the number of labelled pairs."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from training.data.advice import FEW, advice

Verdict: TypeAlias = Literal[
    "tune", "do not tune", "in between", "more data first", "measure first"
]
LOW, HIGH = 0.8, 0.9


@dataclass(frozen=True)
class TuningAdvice:
    """Whether to tune.

    Attributes:
        verdict: In two or three words.
        sentences: Why, and what to do.
    """

    verdict: Verdict
    sentences: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The advice as JSON-ready values."""
        return {"verdict": self.verdict, "reasons": list(self.sentences)}


def tuning_advice(recall: float | None, pairs: int | None) -> TuningAdvice:
    """The rule: tune below 80 % Recall@10 with 1,000 pairs or more; not above 90 %.

    Args:
        recall: Recall@10 of an untuned model on your own judged questions, 0..1.
        pairs: Labelled pairs of question and answering text.
    """
    if recall is None:
        return TuningAdvice("measure first", tuple(_measure_first(pairs)))
    shown = f"Recall@10 is {recall:.0%}"
    if recall > HIGH:
        return TuningAdvice(
            "do not tune",
            (
                f"{shown}, above {HIGH:.0%}: a general model is good enough here.",
                "What is left to gain is in the order of the first results: fit the fusion "
                "(tandem tune), or rerank.",
            ),
        )
    if recall < LOW:
        return _below(shown, pairs)
    return _between(shown, pairs)


def _measure_first(pairs: int | None) -> list[str]:
    known = [] if pairs is None else advice(pairs)
    return [
        "Whether tuning pays is decided by Recall@10 on your own questions: judge 100 to 500, run "
        "tandem compare, and give the figure by --recall-at-10 (or its report by --report).",
        *known,
    ]


def _below(shown: str, pairs: int | None) -> TuningAdvice:
    low = f"{shown}, below {LOW:.0%}"
    if pairs is None:
        return TuningAdvice(
            "in between",
            (f"{low}: tune if you have {FEW:,} labelled pairs or more; say how many by --pairs.",),
        )
    if pairs < FEW:
        return TuningAdvice("more data first", (f"{low}, but:", *advice(pairs)))
    return TuningAdvice(
        "tune",
        (
            f"{low}, and {pairs:,} labelled pairs are enough ({FEW:,} or more).",
            "Mine hard negatives (tandem mine) and keep a floor set of other texts, so that "
            "what is lost elsewhere shows.",
        ),
    )


def _between(shown: str, pairs: int | None) -> TuningAdvice:
    first = (
        f"{shown}, between {LOW:.0%} and {HIGH:.0%}: the rule leaves it open.",
        "Try what costs less first: a hybrid index with a fitted fusion (tandem tune). Tune if "
        "questions use terms of the field that the model mistakes.",
    )
    return TuningAdvice("in between", (*first, *(advice(pairs) if pairs is not None else ())))
