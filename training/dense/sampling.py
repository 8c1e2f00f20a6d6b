"""The order of batches when several sets are mixed in given shares."""

import random
from collections.abc import Iterator, Sequence
from typing import Any


def weighted_batches(weights: Sequence[float]) -> Any:
    """A factory of batch samplers for the trainer: each batch is from one set, drawn by weight.

    An epoch has as many batches as the sets together; a set that ends before starts again in
    another order.

    Args:
        weights: Share of each set's batches, in the order of the sets.
    """
    from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler

    class WeightedBatchSampler(MultiDatasetDefaultBatchSampler):  # type: ignore[misc]
        def __iter__(self) -> Iterator[list[int]]:
            draw = random.Random(f"{self.seed}/{self.epoch}")  # noqa: S311
            numbers = range(len(self.batch_samplers))
            passes = [_endless(sampler, self.epoch) for sampler in self.batch_samplers]
            starts = [0]
            for dataset in self.dataset.datasets:
                starts.append(starts[-1] + len(dataset))
            for _ in range(len(self)):
                chosen = draw.choices(numbers, weights)[0]
                yield [starts[chosen] + index for index in next(passes[chosen])]

        def __len__(self) -> int:
            return sum(len(sampler) for sampler in self.batch_samplers)

    return WeightedBatchSampler


def _endless(sampler: Any, epoch: int) -> Iterator[list[int]]:
    # The samplers seed themselves by their epoch: each pass needs a number of its own.
    number = epoch * 1_000
    while True:
        sampler.set_epoch(number)
        yield from sampler
        number += 1
