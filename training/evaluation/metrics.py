"""Retrieval metrics of a run, by trec_eval's definitions through ir_measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.errors import EvaluationError

PRIMARY = "ndcg@10"
DEEPEST_CUTOFF = 100

# Our name -> ir_measures' name. RR is the field's MRR before averaging, AP its MAP, and
# Success@1 its Accuracy@1.
MEASURES = {
    "ndcg@10": "nDCG@10",
    "ndcg@100": "nDCG@100",
    "mrr@10": "RR@10",
    "recall@1": "R@1",
    "recall@10": "R@10",
    "recall@100": "R@100",
    "map@10": "AP@10",
    "accuracy@1": "Success@1",
    "p@10": "P@10",
}

LABELS = {
    "ndcg@10": "NDCG@10",
    "ndcg@100": "NDCG@100",
    "mrr@10": "MRR@10",
    "recall@1": "Recall@1",
    "recall@10": "Recall@10",
    "recall@100": "Recall@100",
    "map@10": "MAP@10",
    "accuracy@1": "Accuracy@1",
    "p@10": "P@10",
}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Metrics of a run.

    Attributes:
        aggregate: Metric -> mean over all judged queries.
        per_query: Query id -> metric -> value, in the order of the judgements.
    """

    aggregate: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]

    def values(self, metric: str) -> list[float]:
        """One metric for every query, in the order of the judgements."""
        return [scores[metric] for scores in self.per_query.values()]


def evaluate_run(
    run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Mapping[str, int]]
) -> Evaluated:
    """Score a run.

    The ranking is the order of each query's documents, not their scores (which may tie). NDCG's
    gain is the grade itself, as in trec_eval and BEIR: ``DCG@k = Σ grade_i / log2(i + 1)``
    (Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002).
    A grade below 0 (junk, in some TREC collections) counts as 0. A judged query that is missing
    in the run, or got no hit, counts as 0 in every metric; a query without judgements is ignored.

    Args:
        run: Query id -> document id -> score, best first.
        qrels: Query id -> document id -> grade.

    Raises:
        EvaluationError: There is no judged query.
    """
    import ir_measures

    if not qrels:
        msg = "no judged query to score; give judgements for at least one query"
        raise EvaluationError(msg)
    by_measure = {ir_measures.parse_measure(theirs): ours for ours, theirs in MEASURES.items()}
    per_query = {query_id: dict.fromkeys(MEASURES, 0.0) for query_id in qrels}
    for metric in ir_measures.iter_calc(list(by_measure), _grades(qrels), _by_rank(run, qrels)):
        per_query[metric.query_id][by_measure[metric.measure]] = float(metric.value)
    return Evaluated(_means(per_query), per_query)


def _grades(qrels: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {q: {d: max(0, grade) for d, grade in judged.items()} for q, judged in qrels.items()}


def _by_rank(
    run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """The run with falling scores: without ties, no tie-break can change the order."""
    scores = [float(DEEPEST_CUTOFF - i) for i in range(DEEPEST_CUTOFF)]
    return {
        # No metric looks deeper, so what lies beyond the cutoff need not be handed over.
        query_id: dict(zip(hits, scores, strict=False))
        for query_id, hits in run.items()
        if query_id in qrels and hits
    }


def _means(per_query: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    count = len(per_query)
    return {
        metric: sum(scores[metric] for scores in per_query.values()) / count for metric in MEASURES
    }
