"""Threads beside the event loop: one per encoder, so that it is never called twice at once."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

I = TypeVar("I")  # noqa: E741  # input and output
O = TypeVar("O")  # noqa: E741


class Worker:
    """One thread that encodes, and one that counts tokens meanwhile.

    The runtimes and the tokenizers let go of the interpreter while they compute.

    Args:
        name: Name of the threads.

    Attributes:
        free: Held while the encoder works.
    """

    def __init__(self, name: str) -> None:
        self.free = asyncio.Lock()
        self._encoding = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-encode")
        self._counting = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-count")

    async def encode(
        self, function: Callable[[Sequence[I]], Sequence[O]], items: Sequence[I]
    ) -> Sequence[O] | BaseException:
        """What the function returns, or what it raises, as a value."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._encoding, function, items)
        await asyncio.wait([future])
        return future.exception() or future.result()

    async def count(
        self, function: Callable[[Sequence[I]], list[int]], items: Sequence[I]
    ) -> list[int]:
        """What the function returns."""
        return await asyncio.get_running_loop().run_in_executor(self._counting, function, items)

    def stop(self) -> None:
        """End the threads after what they are at."""
        self._encoding.shutdown(wait=False, cancel_futures=True)
        self._counting.shutdown(wait=False, cancel_futures=True)
