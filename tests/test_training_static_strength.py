"""How much of what was learned is taken, and what a capped document keeps."""

from typing import Any

import numpy as np
import pytest

from encoders.lexical import CorpusStatistics
from training.evaluation.metrics import Evaluated
from training.static.asking import asking_rates
from training.static.examples import Examples
from training.static.networks import SparseStart, sparse_network
from training.static.strength import take_best_strength
from training.static.token_rows import TokenRows

SIZE = 6


def network() -> Any:
    import torch

    random = np.random.default_rng(0)
    ones = np.ones(SIZE, np.float32)
    start = SparseStart(content=ones, asked=ones, threshold=0.5, gamma=0.8, alpha=10.0)
    made = sparse_network(random.normal(size=(SIZE, 4)).astype(np.float32), np.zeros(SIZE), start)
    with torch.no_grad():
        made.own += torch.arange(SIZE)
        made.query_gain -= torch.arange(SIZE)
    return made


def peak_at(share: float) -> Any:
    """A measurement that is best where the expansion has this share of its weight."""

    def measure(made: Any) -> dict[str, Evaluated]:
        value = 1 - abs(made.gamma.item() - 0.8 * share)
        return {"dev": Evaluated(per_query={}, aggregate={"ndcg@10": value})}

    return measure


@pytest.mark.parametrize("best", [0.0, 0.5, 1.0])
def test_the_strength_that_is_best_on_dev_is_taken(best: float) -> None:
    made = network()
    assert take_best_strength(made, peak_at(best), (0.0, 0.5, 1.0)) == best
    assert made.gamma.item() == pytest.approx(0.8 * best)
    np.testing.assert_allclose(made.own.detach().numpy(), best * np.arange(SIZE))
    np.testing.assert_allclose(made.query_gain.detach().numpy(), -best * np.arange(SIZE))


def test_of_equally_good_strengths_the_largest_is_taken() -> None:
    same = {"dev": Evaluated(per_query={}, aggregate={"ndcg@10": 0.5})}
    assert take_best_strength(network(), lambda _: same, (0.0, 0.5, 0.25)) == 0.5


def examples(documents: list[list[int]], queries: list[list[int]]) -> Examples:
    return Examples(
        name="set",
        documents=TokenRows.of(documents),
        queries=TokenRows.of(queries),
        positives=tuple((number,) for number in range(len(queries))),
        negatives=tuple(() for _ in queries),
        weight=1.0,
        statistics=CorpusStatistics(len(documents), 3.0, np.ones(SIZE, np.int64)),
    )


def test_what_queries_ask_for_ranks_above_what_they_do_not() -> None:
    documents = [[1, 2, 3, 3]] * 40
    rates = asking_rates([examples(documents, [[1]] * 40)], np.ones(SIZE, np.float32))
    assert rates[1] > 2 * rates[2]
    assert rates[2] == pytest.approx(rates[3], rel=0.01)  # however often it stands there
    # Tokens without evidence have the rate of those as rare as they are: between the two.
    assert rates[2] < rates[4] < rates[1]


def test_no_two_rates_are_alike() -> None:
    rates = asking_rates([examples([[1, 2]], [[1]])], np.ones(SIZE, np.float32))
    assert len(set(rates.tolist())) == SIZE
