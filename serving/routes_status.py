"""``/health``, ``/ready`` and ``/metrics``."""

from typing import Any

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from serving.answers import json_response
from serving.engine import Engine
from serving.lifecycle import Lifecycle
from serving.metrics import CONTENT_TYPE_LATEST, Metrics
from serving.models import ServedModels
from serving.responses import error_responses
from serving.schemas import Health, Readiness

_METRICS: dict[str, Any] = {
    "description": "Prometheus' text form.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
_NOT_READY: dict[str, Any] = {"model": Readiness, "description": "Not yet, or no longer."}


def status_router(models: ServedModels, lifecycle: Lifecycle) -> APIRouter:
    """The routes that tell whether the server works; they need no token.

    Args:
        models: What is served.
        lifecycle: Knows whether requests are taken.
    """
    router = APIRouter(tags=["status"])
    described = models.describe()

    @router.get("/health", responses={200: {"model": Health}})
    async def health() -> Response:
        """The process answers."""
        return json_response({"status": "ok"})

    @router.get("/ready", responses={200: {"model": Readiness}, 503: _NOT_READY})
    async def ready() -> Response:
        """Whether requests are taken, and which models run where."""
        if lifecycle.ready:
            return json_response({"status": "ready", "models": described})
        status = "stopping" if lifecycle.stopping else "starting"
        return JSONResponse({"status": status, "models": described}, 503)

    return router


def metrics_router(metrics: Metrics, engine: Engine, lifecycle: Lifecycle) -> APIRouter:
    """The route Prometheus reads.

    Args:
        metrics: Counters.
        engine: Knows what waits.
        lifecycle: Knows how many requests are in work.
    """
    router = APIRouter(tags=["status"])

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: _METRICS, **error_responses(401)},
    )
    async def page() -> Response:
        """Counters of requests, batches, tokens and waiting texts."""
        content = metrics.page(engine.waiting(), lifecycle.active)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    return router
