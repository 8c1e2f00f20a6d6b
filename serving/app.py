"""Puts the server together from its parts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware

from serving.body_limit import BodyLimit
from serving.config import ServeConfig
from serving.description import put_limits
from serving.engine import Engine
from serving.faults import add_fault_handlers
from serving.gate import Admission, Authentication
from serving.lifecycle import Lifecycle
from serving.logs import quiet_loop
from serving.metrics import Metrics
from serving.models import ServedModels, is_matryoshka
from serving.recording import NoRecorder, Recorder
from serving.request_log import RequestLog
from serving.routes_dense import dense_router
from serving.routes_embeddings import embeddings_router
from serving.routes_rerank import rerank_router
from serving.routes_sparse import sparse_router
from serving.routes_status import metrics_router, status_router
from serving.routes_tei import tei_router

_ALWAYS_OPEN = ("/health", "/ready")


@dataclass(frozen=True)
class Server:
    """The application, and what its process needs to stop it well.

    Attributes:
        app: The ASGI application.
        engine: The encoders at work.
        lifecycle: Whether requests are taken.
    """

    app: FastAPI
    engine: Engine
    lifecycle: Lifecycle


def build_server(
    models: ServedModels,
    config: ServeConfig,
    routers: Sequence[APIRouter] = (),
    recorder: Recorder | None = None,
) -> Server:
    """The application around loaded models.

    Args:
        models: What is served.
        config: How.
        routers: Further routes; they lie behind the same token and limits.
        recorder: Is told of every request.
    """
    metrics, lifecycle = Metrics(), Lifecycle()
    engine = Engine(models, config, metrics)
    app = FastAPI(
        title="Tandem encoder server",
        version=version("tandem-search"),
        description="Dense vectors, sparse token weights and cross-encoder scores.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(engine, lifecycle),
        middleware=_middleware(config, metrics, lifecycle, recorder or NoRecorder()),
    )
    guarded = [Depends(HTTPBearer(auto_error=False))] if config.token is not None else []
    app.include_router(status_router(models, lifecycle))
    for router in [*_encoding_routers(engine, models, config), *routers]:
        app.include_router(router, dependencies=guarded)
    behind_token = [] if config.open_metrics else guarded
    app.include_router(metrics_router(metrics, engine, lifecycle), dependencies=behind_token)
    add_fault_handlers(app)
    put_limits(app, config.limits, _widths(models, config))
    return Server(app, engine, lifecycle)


def _encoding_routers(engine: Engine, models: ServedModels, config: ServeConfig) -> list[APIRouter]:
    routers = []
    if models.dense is not None:
        widths = _widths(models, config)
        shortens = widths is not None and len(widths) > 1
        routers.append(embeddings_router(engine, models.dense, shortens=shortens))
        routers.append(dense_router(engine))
    if models.sparse is not None:
        routers.append(sparse_router(engine, models.sparse))
    if models.reranker is not None:
        routers.append(rerank_router(engine, models.reranker))
    return [*routers, tei_router(engine, models)]


def _widths(models: ServedModels, config: ServeConfig) -> range | None:
    """Widths of a dense vector that a request may ask for."""
    if models.dense is None:
        return None
    identity = models.dense.identity
    shortens = config.matryoshka or is_matryoshka(identity.model)
    return range(1 if shortens else identity.dimension, identity.dimension + 1)


def _middleware(
    config: ServeConfig, metrics: Metrics, lifecycle: Lifecycle, recorder: Recorder
) -> list[Middleware]:
    """From the outside to the inside."""
    open_paths = (*_ALWAYS_OPEN, "/metrics") if config.open_metrics else _ALWAYS_OPEN
    return [
        Middleware(RequestLog, metrics, lifecycle, recorder),
        Middleware(Authentication, config.token, open_paths),
        Middleware(Admission, lifecycle, config.in_flight),
        Middleware(BodyLimit, config.limits),
    ]


def _lifespan(engine: Engine, lifecycle: Lifecycle):  # type: ignore[no-untyped-def]  # noqa: ANN202
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        quiet_loop(asyncio.get_running_loop())
        engine.start()
        lifecycle.ready = True
        yield
        lifecycle.begin_stop()
        await engine.stop()

    return lifespan
