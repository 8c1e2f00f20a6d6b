"""Which queries the quickstart shows."""

from training.evaluation.datasets import JudgedQueries, Query
from training.evaluation.results import Searched
from training.evaluation.runner import Report, compare_modes, run_mode
from training.quickstart import choose_examples, first_rank

QUERIES = {
    "q1": ("apple", {"lang": "en", "kind": "keyword"}),
    "q2": ("banana", {"lang": "en", "kind": "keyword"}),
    "q3": ("사과", {"lang": "ko", "kind": "keyword"}),
    "q4": ("cherry", {"lang": "en", "kind": "exact"}),
}
# Rank of the one relevant document per query and mode; 0: not found.
RANKS = {
    "bm25": {"q1": 5, "q2": 4, "q3": 0, "q4": 1},
    "hybrid": {"q1": 1, "q2": 1, "q3": 2, "q4": 2},
}


def report() -> Report:
    queries = {i: Query(i, text, metadata) for i, (text, metadata) in QUERIES.items()}
    judged = JudgedQueries(queries, {i: {f"doc-{i}": 1} for i in QUERIES}, "fruit")
    ids = {text: i for i, (text, _) in QUERIES.items()}

    def search(mode: str):
        def run(text: str) -> Searched:
            query = ids[text]
            hits = [(f"other-{n}", 1.0 - n / 100) for n in range(9)]
            if rank := RANKS[mode][query]:
                hits.insert(rank - 1, (f"doc-{query}", 1.0))
            return Searched(hits, 1.0, 1.0)

        return run

    return compare_modes({mode: run_mode(judged, search(mode)) for mode in RANKS})


def test_examples_gain_and_vary() -> None:
    chosen = [query.id for query in choose_examples(report(), count=3)]
    assert chosen == ["q3", "q1", "q2"]


def test_a_query_that_lost_is_never_an_example() -> None:
    assert "q4" not in [query.id for query in choose_examples(report(), count=10)]


def test_first_rank() -> None:
    assert first_rank(["a", "b", "c"], frozenset({"c", "b"})) == 2
    assert first_rank(["a"], frozenset({"c"})) is None
