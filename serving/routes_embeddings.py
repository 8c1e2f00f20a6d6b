"""``/v1/embeddings`` and ``/v1/models``, in OpenAI's form."""

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from encoders.base import DenseEncoder
from encoders.dense import shorten
from serving.answers import json_response
from serving.engine import Engine
from serving.errors import RequestError
from serving.models import is_named, shown_name
from serving.responses import ENCODING_ERRORS, TEXTS_HEADERS, error_responses
from serving.schemas import EmbeddingsAnswer, EmbeddingsRequest, InputType, ModelList
from serving.tasks import Side, Vector

_OK: dict[str, Any] = {"model": EmbeddingsAnswer, "headers": TEXTS_HEADERS}


def embeddings_router(engine: Engine, encoder: DenseEncoder, *, shortens: bool) -> APIRouter:
    """Routes of a dense encoder.

    Args:
        engine: Encodes.
        encoder: The dense encoder.
        shortens: Whether shorter vectors may be asked for.
    """
    router = APIRouter(tags=["dense"])
    identity = encoder.identity

    @router.post("/v1/embeddings", responses={200: _OK, **ENCODING_ERRORS})
    async def embeddings(request: Request, body: EmbeddingsRequest) -> Response:
        """Dense vectors of unit length, one per text, in the order of the texts."""
        check_model(body.model, identity.model)
        width = body.dimensions or identity.dimension
        _check_width(width, identity.dimension, shortens=shortens)
        found = await engine.dense(request, body.input, side_of(body.input_type or "document"))
        rows = shorten(np.stack(found.rows), width)
        as_base64 = body.encoding_format == "base64"
        return json_response(
            {
                "object": "list",
                "data": [
                    {
                        "object": "embedding",
                        "index": number,
                        "embedding": _packed(row) if as_base64 else row,
                    }
                    for number, row in enumerate(rows)
                ],
                "model": shown_name(identity.model),
                "usage": usage(found.tokens),
            }
        )

    @router.get("/v1/models", responses={200: {"model": ModelList}, **error_responses(401, 503)})
    async def models() -> Response:
        """The dense model served here."""
        entry = {"id": shown_name(identity.model), "object": "model", "owned_by": "tandem"}
        return json_response({"object": "list", "data": [entry]})

    return router


def side_of(input_type: InputType) -> Side:
    """Passages are documents."""
    return "query" if input_type == "query" else "document"


def usage(tokens: int) -> dict[str, int]:
    """OpenAI's count."""
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def check_model(wanted: str | None, served: str) -> None:
    """Refuse a request for another model.

    Raises:
        RequestError: Another model is named.
    """
    if wanted is not None and not is_named(served, wanted):
        msg = f"The model served here is {shown_name(served)}; name it, or no model at all."
        raise RequestError(msg, status=404, code="model_not_found")


def _check_width(wanted: int, width: int, *, shortens: bool) -> None:
    if wanted > width:
        msg = f"dimensions: the model gives {width} components, {wanted} cannot be had."
    elif wanted < width and not shortens:
        msg = (
            f"dimensions: this model is not known to be trained for vectors shorter than {width} "
            "(Matryoshka). If it is, start the server with --matryoshka."
        )
    else:
        return
    raise RequestError(msg, status=400, code="dimensions")


def _packed(row: Vector) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
