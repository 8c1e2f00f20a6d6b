from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import EvaluationError
from training.evaluation.metrics import LABELS, MEASURES, evaluate_run


def scores(ranking: list[str], judged: dict[str, int]) -> dict[str, float]:
    run = {"q": {doc: float(-i) for i, doc in enumerate(ranking)}}
    return dict(evaluate_run(run, {"q": judged}).per_query["q"])


def oracle(ranking: list[str], judged: dict[str, int]) -> dict[str, float]:
    """The metrics from their definitions."""
    grades = [max(0, judged.get(doc, 0)) for doc in ranking]
    ideal = sorted((g for g in judged.values() if g > 0), reverse=True)
    found = [g > 0 for g in grades]

    def dcg(gains: list[int], k: int) -> float:
        return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains[:k], start=1))

    def ndcg(k: int) -> float:
        return dcg(grades, k) / dcg(ideal, k) if ideal else 0.0

    def recall(k: int) -> float:
        return sum(found[:k]) / len(ideal) if ideal else 0.0

    precisions = [sum(found[:i]) / i for i in range(1, min(10, len(found)) + 1) if found[i - 1]]
    return {
        "ndcg@10": ndcg(10),
        "ndcg@100": ndcg(100),
        "mrr@10": next((1 / i for i, hit in enumerate(found[:10], start=1) if hit), 0.0),
        "recall@1": recall(1),
        "recall@10": recall(10),
        "recall@100": recall(100),
        "map@10": sum(precisions) / len(ideal) if ideal else 0.0,
        "accuracy@1": float(bool(found[:1]) and found[0]),
        "p@10": sum(found[:10]) / 10,
    }


DOCS = [f"d{i}" for i in range(130)]


@settings(max_examples=80, deadline=None)
@given(
    st.permutations(DOCS),
    st.integers(0, 130),
    st.dictionaries(st.sampled_from(DOCS), st.integers(-1, 3), min_size=1, max_size=25),
)
def test_metrics_follow_their_definitions(
    order: list[str], depth: int, judged: dict[str, int]
) -> None:
    expected = oracle(order[:depth], judged)
    assert scores(order[:depth], judged) == pytest.approx(expected, abs=1e-9)


def test_values_computed_by_hand() -> None:
    found = scores(["x", "b", "a"], {"a": 2, "b": 1})
    # DCG = 1/log2(3) + 2/log2(4); the ideal order is a, b: 2/log2(2) + 1/log2(3).
    assert found["ndcg@10"] == pytest.approx((0.6309298 + 1.0) / (2.0 + 0.6309298), abs=1e-6)
    assert found["mrr@10"] == 0.5
    assert found["map@10"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert (found["recall@1"], found["recall@10"], found["accuracy@1"]) == (0.0, 1.0, 0.0)
    assert found["p@10"] == pytest.approx(0.2)


def test_gain_is_linear_in_the_grade() -> None:
    # 2 ** grade - 1 would give (1 + 7 * 0.5) / (7 + 1 * 0.5) at ranks 1 and 3.
    found = scores(["one", "none", "three"], {"one": 1, "three": 3})
    assert found["ndcg@10"] == pytest.approx((1 + 3 * 0.5) / (3 + 0.6309298), abs=1e-6)


def test_the_order_decides_not_the_scores() -> None:
    tied = {"q": {"zz": 1.0, "relevant": 1.0, "aa": 1.0}}
    result = evaluate_run(tied, {"q": {"relevant": 1}})
    assert result.aggregate["mrr@10"] == 0.5
    assert result.aggregate["ndcg@10"] == pytest.approx(0.6309298, abs=1e-6)


def test_a_query_without_hits_counts_as_zero_and_an_unjudged_one_not_at_all() -> None:
    qrels = {"found": {"a": 1}, "empty": {"a": 1}, "absent": {"a": 1}}
    result = evaluate_run({"found": {"a": 1.0}, "empty": {}, "unjudged": {"a": 1.0}}, qrels)
    assert list(result.per_query) == ["found", "empty", "absent"]
    assert result.aggregate == pytest.approx(dict.fromkeys(MEASURES, 1 / 3) | {"p@10": 0.1 / 3})
    assert result.values("mrr@10") == [1.0, 0.0, 0.0]


def test_an_entirely_empty_run_is_all_zero() -> None:
    assert set(evaluate_run({}, {"q": {"a": 1}}).aggregate.values()) == {0.0}


def test_no_judgement_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="no judged query"):
        evaluate_run({"q": {"a": 1.0}}, {})


def test_every_metric_has_a_label() -> None:
    assert list(LABELS) == list(MEASURES)
