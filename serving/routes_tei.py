"""``/info``, ``/embed`` and ``/embed_sparse``, in the form of Text Embeddings Inference.

Tandem's own encoders speak it (``--dense tei:URL``); ``/info`` tells them the fingerprints, so that
an index built through the server can be searched with the model at hand, and the other way round.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from encoders.base import SparseVector
from serving.answers import json_response
from serving.engine import Engine
from serving.models import ServedModels
from serving.responses import ENCODING_ERRORS, TEXTS_HEADERS, error_responses
from serving.routes_embeddings import side_of
from serving.schemas import EmbedRequest, EmbedSparseRequest, Info, WeightedToken

_DENSE: dict[str, Any] = {"model": list[list[float]], "headers": TEXTS_HEADERS}
_SPARSE: dict[str, Any] = {"model": list[list[WeightedToken]], "headers": TEXTS_HEADERS}


def tei_router(engine: Engine, models: ServedModels) -> APIRouter:
    """Routes of what is served, in the form of Text Embeddings Inference.

    Args:
        engine: Encodes.
        models: What is served.
    """
    router = APIRouter(tags=["tei"])
    described = models.describe()

    @router.get("/info", responses={200: {"model": Info}, **error_responses(401, 503)})
    async def info() -> Response:
        """Which models are served, with their fingerprints."""
        first = described[0]
        return json_response(
            {
                "model_id": first["model"],
                "model_sha": first["fingerprint"],
                "max_input_length": first["max_tokens"],
                "max_client_batch_size": engine.limits.texts,
                "tandem": described,
            }
        )

    if models.dense is not None:

        @router.post("/embed", responses={200: _DENSE, **ENCODING_ERRORS})
        async def embed(request: Request, body: EmbedRequest) -> Response:
            """Dense vectors of unit length as bare lists."""
            found = await engine.dense(request, body.inputs, side_of(body.input_type))
            return json_response(found.rows)

    if models.sparse is not None:

        @router.post("/embed_sparse", responses={200: _SPARSE, **ENCODING_ERRORS})
        async def embed_sparse(request: Request, body: EmbedSparseRequest) -> Response:
            """Weights of each text as pairs of token number and weight."""
            found = await engine.sparse(request, body.inputs, side_of(body.input_type))
            return json_response([_entries(vector) for vector in found.rows])

    return router


def _entries(vector: SparseVector) -> list[dict[str, Any]]:
    pairs = zip(vector.ids.tolist(), vector.weights.tolist(), strict=True)
    return [{"index": number, "value": weight} for number, weight in pairs]
