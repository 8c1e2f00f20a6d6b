"""``/dense``: what a connector of ML Commons for an asymmetric remote model talks to."""

from typing import Any

from fastapi import APIRouter, Request, Response

from serving.answers import json_response
from serving.engine import Engine
from serving.responses import ENCODING_ERRORS, TEXTS_HEADERS
from serving.routes_embeddings import side_of
from serving.schemas import DenseRequest

_OK: dict[str, Any] = {"model": list[list[float]], "headers": TEXTS_HEADERS}


def dense_router(engine: Engine) -> APIRouter:
    """Routes of a dense encoder."""
    router = APIRouter(tags=["dense"])

    @router.post("/dense", responses={200: _OK, **ENCODING_ERRORS})
    async def dense(request: Request, body: DenseRequest) -> Response:
        """Dense vectors of unit length as bare lists; the side is the ``content_type``."""
        found = await engine.dense(request, body.texts, side_of(body.content_type))
        return json_response(found.rows)

    return router
