"""Is the server ready, how many requests are in work, is it going down."""

import asyncio


class Lifecycle:
    """Shared by the middlewares, the status routes and the process."""

    def __init__(self) -> None:
        self.ready = False
        self.stopping = False
        self.active = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self) -> None:
        """A request has begun."""
        self.active += 1
        self._idle.clear()

    def leave(self) -> None:
        """A request has ended."""
        self.active -= 1
        if not self.active:
            self._idle.set()

    def begin_stop(self) -> None:
        """From now on nothing new is taken."""
        self.stopping = True
        self.ready = False

    async def drained(self, within_s: float) -> bool:
        """Wait until no request is in work; whether that was so in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
