"""Runs the server in this process until it is told to stop."""

import asyncio
import logging
import signal
import socket
from types import FrameType

import uvicorn

from serving.app import Server
from serving.config import ServeConfig
from serving.errors import ServingError
from serving.logs import FIELDS, configure_logs

logger = logging.getLogger(__name__)

# After the last answer, so long new requests still hear a clear 503 instead of a closed door.
_LINGER_S = 0.5
_CLOSE_S = 2
# Longer than the idle connections of the usual client pools.
_KEEP_ALIVE_S = 75


class StoppableServer(uvicorn.Server):
    """Stops in two steps: first nothing new is taken, then, when all is answered, it closes.

    Args:
        settings: Uvicorn's.
        server: The application.
        stop_s: Seconds a stop waits for what is still being worked on.
    """

    def __init__(self, settings: uvicorn.Config, server: Server, stop_s: float) -> None:
        super().__init__(settings)
        self._server = server
        self._stop_s = stop_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first signal begins the stop, a second one ends it at once."""
        if self._loop is None or self._server.lifecycle.stopping:
            self.should_exit = self.force_exit = True
            return
        name = signal.Signals(sig).name
        self._loop.call_soon_threadsafe(self._begin_stop, name)

    def _begin_stop(self, name: str) -> None:
        self._server.lifecycle.begin_stop()
        fields = {"signal": name, "in_work": self._server.lifecycle.active}
        logger.info("stopping", extra={FIELDS: fields})
        self._stop = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        if not await self._server.lifecycle.drained(self._stop_s):
            logger.warning("Not done within %g s; the rest is refused", self._stop_s)
            self._server.engine.refuse()
        await asyncio.sleep(_LINGER_S)
        self.should_exit = True


def serve(server: Server, config: ServeConfig) -> None:
    """Listen until a signal ends it.

    Raises:
        ServingError: The address cannot be listened on.
    """
    configure_logs()
    listener = _listen(config)
    settings = uvicorn.Config(
        server.app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_CLOSE_S,
    )
    host, port = listener.getsockname()[:2]
    fields = {"host": host, "port": port, "models": server.engine.models.describe()}
    logger.info("listening", extra={FIELDS: fields})
    with listener:
        StoppableServer(settings, server, config.stop_s).run(sockets=[listener])
    logger.info("stopped")


def _listen(config: ServeConfig) -> socket.socket:
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        place = f"{config.host}:{config.port}"
        msg = f"Cannot listen on {place}: {error.strerror}. Choose another --port."
        raise ServingError(msg) from error
    return listener
