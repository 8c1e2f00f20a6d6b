"""``/rerank``: a cross-encoder puts texts in order."""

from typing import Any

from fastapi import APIRouter, Request, Response

from encoders.base import Reranker
from serving.answers import json_response
from serving.engine import Engine
from serving.models import shown_name
from serving.responses import ENCODING_ERRORS, TEXTS_HEADERS
from serving.routes_embeddings import check_model, usage
from serving.schemas import RerankAnswer, RerankRequest

_OK: dict[str, Any] = {"model": RerankAnswer, "headers": TEXTS_HEADERS}


def rerank_router(engine: Engine, reranker: Reranker) -> APIRouter:
    """Routes of a cross-encoder.

    Args:
        engine: Scores.
        reranker: Knows its name.
    """
    router = APIRouter(tags=["rerank"])
    name = reranker.identity.model

    @router.post("/rerank", responses={200: _OK, **ENCODING_ERRORS})
    async def rerank(request: Request, body: RerankRequest) -> Response:
        """Texts by how well they answer the query, the best first; ties keep their order."""
        check_model(body.model, name)
        found = await engine.rerank(request, body.query, body.documents or body.texts)
        order = sorted(range(len(found.rows)), key=lambda place: -found.rows[place])
        results = [{"index": n, "relevance_score": found.rows[n]} for n in order[: body.top_n]]
        return json_response(
            {"model": shown_name(name), "results": results, "usage": usage(found.tokens)}
        )

    return router
