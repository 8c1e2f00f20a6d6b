"""``/sparse``: token weights in the form OpenSearch's ``neural_sparse`` takes."""

from typing import Any

from fastapi import APIRouter, Request, Response

from encoders.base import SparseEncoder, SparseVector, named_weights
from serving.answers import json_response
from serving.engine import Engine
from serving.responses import ENCODING_ERRORS, TEXTS_HEADERS
from serving.routes_embeddings import side_of
from serving.schemas import SparseRequest

_OK: dict[str, Any] = {"model": list[dict[str, float]], "headers": TEXTS_HEADERS}


def sparse_router(engine: Engine, encoder: SparseEncoder) -> APIRouter:
    """Routes of a sparse encoder.

    Args:
        engine: Encodes.
        encoder: Knows the tokens' names.
    """
    router = APIRouter(tags=["sparse"])

    @router.post("/sparse", responses={200: _OK, **ENCODING_ERRORS})
    async def sparse(request: Request, body: SparseRequest) -> Response:
        """Weights of each text, by token (``WORD``) or by its number (``TOKEN_ID``)."""
        found = await engine.sparse(request, body.input or body.texts, side_of(body.input_type))
        if body.format == "TOKEN_ID":
            return json_response([_numbered(vector) for vector in found.rows])
        return json_response([named_weights(encoder, vector) for vector in found.rows])

    return router


def _numbered(vector: SparseVector) -> dict[str, float]:
    return dict(zip(map(str, vector.ids.tolist()), vector.weights.tolist(), strict=True))
