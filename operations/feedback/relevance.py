"""From clicks to relevance: inverse propensity weighting, smoothing, grades that are sure.

A document that was shown ``n_k`` times at rank ``k`` was looked at about ``sum_k n_k theta_k``
times. Its clicks over that number estimate its attractiveness without the bias of its positions:
inverse propensity scoring (Joachims, Swaminathan and Schnabel, WSDM 2017; Wang et al., WSDM 2018)
in the self-normalised form, which divides by the sum of the propensities instead of weighting each
click (Swaminathan and Joachims, NIPS 2015). Propensities are clipped from below, so that no click
at a deep rank outweighs hundreds at the top. Few examinations are smoothed towards the mean of the
log, and a grade is given by what the evidence guarantees, not by what it may promise: by the lower
end of the Gamma posterior.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operations.feedback.errors import FeedbackError
from operations.feedback.evidence import PairEvidence, QueryEvidence
from operations.feedback.propensity import PositionBias

Floats = npt.NDArray[np.float64]

TOP_GRADE = 3
# Share of the best document's sure relevance from which on a document has each grade.
_GRADE_SHARES = ((0.7, 3), (0.4, 2))
# Below this share, even at the upper end of the evidence, it is not relevant.
_IRRELEVANT_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class RelevanceOptions:
    """How much evidence is enough.

    Attributes:
        clip: Most that one click weighs.
        smoothing: Examinations of average outcome that are added to everything.
        min_impressions: Clients who must have been shown a document before its clicks count.
        min_clicks: Clients who must have clicked it before it counts as relevant.
        min_skips: Clients who must have passed it over, clicking something below, before it is a
            hard negative.
        confidence: Of the ends that grades are given by.
    """

    clip: float = 10.0
    smoothing: float = 2.0
    min_impressions: int = 5
    min_clicks: int = 2
    min_skips: int = 3
    confidence: float = 0.9

    def __post_init__(self) -> None:
        if self.clip < 1 or self.smoothing <= 0 or not 0.5 <= self.confidence < 1:
            msg = (
                f"clip ({self.clip:g}) must be at least 1, smoothing ({self.smoothing:g}) above 0 "
                f"and confidence ({self.confidence:g}) from 0.5 to below 1"
            )
            raise FeedbackError(msg)


@dataclass(frozen=True, slots=True)
class Relevance:
    """What is known of one document for one query.

    Attributes:
        score: Estimated probability that who looks at it wants it, 0..1.
        grade: 0 (not relevant) to 3, higher only by explicit judgement; ``None``: too little
            evidence to say.
        hard_negative: Whether it was shown above what was wanted, and passed over.
        judged: Whether somebody judged it, so that clicks do not matter.
    """

    score: float
    grade: int | None
    hard_negative: bool = False
    judged: bool = False


class RelevanceModel:
    """Grades the documents of a query."""

    def __init__(self, bias: PositionBias, average: float, options: RelevanceOptions) -> None:
        """A model of a log.

        Args:
            bias: How examination falls with the rank.
            average: Clicks per examination over the whole log.
            options: How much evidence is enough.
        """
        self._bias = bias
        self._prior = average * options.smoothing
        self._options = options

    @classmethod
    def of(
        cls, pairs: Iterable[PairEvidence], bias: PositionBias, options: RelevanceOptions
    ) -> "RelevanceModel":
        """With the average of the log."""
        clicks = examinations = 0.0
        for pair in pairs:
            clicks += pair.clicks
            examinations += _examinations(pair, bias, options.clip)
        return cls(bias, clicks / examinations if examinations else 0.0, options)

    def grade(self, query: QueryEvidence) -> dict[str, Relevance]:
        """Relevance of each document of a query."""
        documents = query.documents
        if not documents:
            return {}
        estimates = self._estimates(list(documents.values()))
        sure = self._best(documents, estimates)
        return {
            doc: self._relevance(pair, row, sure)
            for (doc, pair), row in zip(documents.items(), estimates, strict=True)
        }

    def _estimates(self, pairs: list[PairEvidence]) -> Floats:
        """Mean, lower and upper end of each document's posterior, ``[documents, 3]``."""
        from scipy import stats

        options = self._options
        clicks = np.asarray([pair.clicks for pair in pairs], dtype=np.float64)
        examined = [_examinations(pair, self._bias, options.clip) for pair in pairs]
        shape = np.maximum(clicks + self._prior, 1e-9)
        rate = np.asarray(examined, dtype=np.float64) + options.smoothing
        tail = 1 - options.confidence
        low, high = stats.gamma.ppf([[tail], [options.confidence]], shape) / rate
        return np.stack([np.minimum(shape / rate, 1.0), low, high], axis=1)

    def _best(self, documents: Mapping[str, PairEvidence], estimates: Floats) -> float:
        """The surest relevance among the documents with enough evidence; 0 without any."""
        enough = [
            row[1]
            for pair, row in zip(documents.values(), estimates, strict=True)
            if self._enough(pair) and pair.clicks >= self._options.min_clicks
        ]
        return float(max(enough, default=0.0))

    def _enough(self, pair: PairEvidence) -> bool:
        return pair.impressions >= self._options.min_impressions

    def _relevance(self, pair: PairEvidence, row: Floats, best: float) -> Relevance:
        skipped = pair.skips >= self._options.min_skips
        if pair.grade is not None:
            grade = max(0, round(pair.grade))
            score = min(1.0, max(0.0, pair.grade) / TOP_GRADE)
            return Relevance(score, grade, grade == 0, judged=True)
        if best <= 0 or not self._enough(pair):
            return Relevance(float(row[0]), None)
        _, low, high = (float(value) for value in row)
        if high < _IRRELEVANT_SHARE * best:
            return Relevance(float(row[0]), 0, hard_negative=skipped)
        if pair.clicks < self._options.min_clicks:
            return Relevance(float(row[0]), None)
        grade = next((grade for share, grade in _GRADE_SHARES if low >= share * best), 1)
        return Relevance(float(row[0]), grade)


def _examinations(pair: PairEvidence, bias: PositionBias, clip: float) -> float:
    shown = np.asarray(pair.counts.shown, dtype=np.float64)
    return float(shown @ bias.propensities(pair.counts.ranks, clip))
