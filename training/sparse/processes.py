"""Several processes that share a batch: gradients and means over all of them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used


@contextmanager
def process_group() -> Iterator[tuple[int, int]]:
    """Join the processes that ``torchrun`` or ``accelerate`` started, if it did.

    Yields:
        This process's number and how many there are.
    """
    import torch
    from torch import distributed

    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or distributed.is_initialized():
        yield rank(), world_size()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield rank(), world_size()
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """This process's number, from 0."""
    from torch import distributed

    return distributed.get_rank() if _joined() else 0


def world_size() -> int:
    """How many processes there are."""
    from torch import distributed

    return distributed.get_world_size() if _joined() else 1


@contextmanager
def first_alone() -> Iterator[None]:
    """Let process 0 through the block before all others: it writes what they read."""
    from torch import distributed

    if _joined() and rank() > 0:
        distributed.barrier()
    yield
    if _joined() and rank() == 0:
        distributed.barrier()


def mean_over_processes(weights: Tensor) -> Tensor:
    """Mean over the rows of all processes, ``[N, V]`` to ``[V]``.

    The gradients of all processes are averaged afterwards, so each row's must count as one of its
    own process's rows: the sum is differentiated as if the other processes' rows were constants,
    times the number of processes.
    """
    mean = weights.mean(0)
    if not _joined():
        return mean
    from torch import distributed

    everywhere = mean.detach().clone()
    distributed.all_reduce(everywhere)
    return mean + (everywhere / world_size() - mean.detach())


def average_gradients(parameters: Iterable[Any]) -> None:
    """Replace each gradient by its mean over the processes."""
    if not _joined():
        return
    import torch
    from torch import distributed

    for parameter in parameters:
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)
        parameter.grad /= world_size()


def _joined() -> bool:
    from torch import distributed

    return bool(distributed.is_available() and distributed.is_initialized())
