import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from encoders.batching import BatchPlan, plan_batches

LENGTHS = st.lists(st.integers(min_value=0, max_value=600), max_size=80)
PLANS = st.builds(BatchPlan, st.integers(1, 1000), st.integers(1, 40))


@given(LENGTHS, PLANS)
def test_every_position_comes_exactly_once(lengths: list[int], plan: BatchPlan) -> None:
    positions = [place for batch in plan_batches(lengths, plan) for place in batch.tolist()]
    assert sorted(positions) == list(range(len(lengths)))


@given(LENGTHS, PLANS)
def test_no_batch_exceeds_its_bounds(lengths: list[int], plan: BatchPlan) -> None:
    for batch in plan_batches(lengths, plan):
        padded = len(batch) * max(lengths[place] for place in batch)
        assert len(batch) <= plan.max_rows
        assert padded <= plan.max_tokens or len(batch) == 1


def test_longest_come_first_and_equals_keep_their_order() -> None:
    batches = list(plan_batches([3, 9, 3, 9], BatchPlan(max_tokens=18, max_rows=8)))
    assert [batch.tolist() for batch in batches] == [[1, 3], [0, 2]]


def test_a_text_longer_than_the_budget_stands_alone() -> None:
    batches = list(plan_batches([500, 1], BatchPlan(max_tokens=100, max_rows=8)))
    assert [batch.tolist() for batch in batches] == [[0], [1]]
    assert all(np.issubdtype(batch.dtype, np.integer) for batch in batches)
