"""Ask a connected model for a few texts, and compare it with the local encoder."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.base import DenseEncoder, SparseEncoder, named_weights
from opensearch.ml.connectors.spec import Connection, Side
from opensearch.ml.connectors.wire import wire_format
from opensearch.ml.errors import ModelError, VerificationError
from opensearch.ml.prediction import check_count, dense_vectors, sparse_weights
from opensearch.ml.rest import ROOT
from opensearch.translation import reason, translated

MIN_COSINE = 0.999
MAX_WEIGHT_GAP = 1e-3
# Quotes, a line break and two scripts: what a wrongly quoted template stumbles over.
TEXTS = (
    "The transfer fee is 25,000 won.",
    'She said "the card\\account is blocked"\nand hung up.',
    "신용카드 연회비는 매년 청구됩니다.",
)
_CONTENT_TYPES: Mapping[Side, str] = {"query": "query", "document": "passage"}


@dataclass(frozen=True, slots=True)
class Check:
    """What a connected model answered.

    Attributes:
        texts: How many texts were asked about.
        dimension: Width of the vectors of a dense model.
        agreement: Least cosine with the local encoder (dense), or largest difference of a token's
            weight (sparse); ``None`` where nothing was compared.
    """

    texts: int
    dimension: int | None = None
    agreement: float | None = None


def check_dense(
    client: Any, model_id: str, connection: Connection, encoder: DenseEncoder | None = None
) -> Check:
    """Vectors of a connected dense model.

    Raises:
        ModelError: The server does not answer, or not one vector per text.
        VerificationError: Its vectors are not the encoder's.
    """
    worst: float | None = None
    width = 0
    for side in _sides(connection):
        rows = np.array(ask_dense(client, model_id, connection, TEXTS, side), dtype=np.float64)
        width = _check_vectors(rows, connection)
        if encoder is not None:
            expected = _dense(encoder, side)
            worst = min(worst if worst is not None else 1.0, least_cosine(rows, expected))
    if worst is not None and not worst >= MIN_COSINE:
        msg = (
            f"{connection.url} does not serve this encoder: the least cosine of its vectors with "
            f"the local ones is {worst:.4f}, not {MIN_COSINE}. Which model does it serve?"
        )
        raise VerificationError(msg)
    return Check(len(TEXTS), width, worst)


def check_sparse(
    client: Any, model_id: str, connection: Connection, encoder: SparseEncoder | None = None
) -> Check:
    """Token weights of a connected sparse model.

    Raises:
        ModelError: The server does not answer, or not one object of weights per text.
        VerificationError: Its weights are not the encoder's.
    """
    widest: float | None = None
    for side in _sides(connection):
        rows = ask_sparse(client, model_id, connection, TEXTS, side)
        if encoder is not None:
            gap = max(
                weight_gap(row, expected)
                for row, expected in zip(rows, _sparse(encoder, side), strict=True)
            )
            widest = max(widest or 0.0, gap)
    if widest is not None and not widest <= MAX_WEIGHT_GAP:
        msg = (
            f"{connection.url} does not serve this encoder: a token's weight differs by "
            f"{widest:.4f} from the local one, more than {MAX_WEIGHT_GAP}. Which model does it "
            "serve, and how does it prune?"
        )
        raise VerificationError(msg)
    return Check(len(TEXTS), agreement=widest)


def check_rerank(client: Any, model_id: str, connection: Connection) -> Check:
    """Scores of a connected cross-encoder.

    Raises:
        ModelError: The server does not answer, or not one number per document.
    """
    body = {"query_text": TEXTS[0], "text_docs": list(TEXTS)}
    answer = _predict(client, f"/_predict/text_similarity/{model_id}", body, connection)
    scores = check_count(list(dense_vectors(answer)), TEXTS, model_id)
    if not all(len(score) == 1 and math.isfinite(score[0]) for score in scores):
        msg = f"{connection.url} answered scores that are no finite numbers: {scores}"
        raise ModelError(msg)
    return Check(len(scores))


def ask_dense(
    client: Any, model_id: str, connection: Connection, texts: Sequence[str], side: Side
) -> list[list[float]]:
    """Vectors of texts by a connected model."""
    path, body = _question(model_id, connection, texts, side)
    return check_count(
        list(dense_vectors(_predict(client, path, body, connection))), texts, model_id
    )


def ask_sparse(
    client: Any, model_id: str, connection: Connection, texts: Sequence[str], side: Side
) -> list[dict[str, float]]:
    """Token weights of texts by a connected model."""
    path, body = _question(model_id, connection, texts, side)
    return check_count(
        list(sparse_weights(_predict(client, path, body, connection))), texts, model_id
    )


def least_cosine(rows: Any, expected: Any) -> float:
    """Least cosine of two ``[n, d]`` matrices, row by row; -1 where their widths differ."""
    if rows.shape != expected.shape:
        return -1.0
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((rows * expected).sum(axis=1) / np.maximum(lengths, 1e-12)).min())


def weight_gap(row: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """Largest difference of any token's weight."""
    tokens = set(row) | set(expected)
    return max((abs(row.get(t, 0.0) - expected.get(t, 0.0)) for t in tokens), default=0.0)


def _sides(connection: Connection) -> tuple[Side, ...]:
    if connection.flavour != "tandem":
        return ("document",)
    return ("query", "document") if connection.side == "both" else (connection.side,)


def _question(
    model_id: str, connection: Connection, texts: Sequence[str], side: Side
) -> tuple[str, dict[str, Any]]:
    if wire_format(connection).asymmetric:
        parameters = {"texts": list(texts), "content_type": _CONTENT_TYPES[side]}
        return f"/models/{model_id}/_predict", {"parameters": parameters}
    function = "text_embedding" if connection.kind == "dense" else "sparse_encoding"
    return f"/_predict/{function}/{model_id}", {"text_docs": list(texts)}


def _predict(client: Any, path: str, body: Mapping[str, Any], connection: Connection) -> Any:
    from opensearchpy.exceptions import ConnectionError as NoConnectionError
    from opensearchpy.exceptions import TransportError

    with translated(f"asking {connection.name}"):
        try:
            return client.transport.perform_request("POST", ROOT + path, body=dict(body))
        except NoConnectionError:  # to OpenSearch itself
            raise
        except TransportError as error:
            # Its status may be the model server's own: a 401 is not about OpenSearch.
            msg = (
                f"The cluster gets no answer from {connection.url} ({error.status_code}): "
                f"{reason(error)}. Does the server run, can the nodes reach it at that address, "
                "and is the key (--key-env) right?"
            )
            raise ModelError(msg) from error


def _check_vectors(rows: Any, connection: Connection) -> int:
    if rows.ndim != 2 or not np.isfinite(rows).all():
        msg = f"{connection.url} answered no vectors of finite numbers, all of one length"
        raise ModelError(msg)
    width = int(rows.shape[1])
    if connection.dimension is not None and width != connection.dimension:
        msg = f"{connection.url} answers vectors of {width} components, not {connection.dimension}."
        raise ModelError(msg)
    return width


def _dense(encoder: DenseEncoder, side: Side) -> Any:
    encode = encoder.encode_queries if side == "query" else encoder.encode_documents
    return encode(TEXTS)


def _sparse(encoder: SparseEncoder, side: Side) -> list[dict[str, float]]:
    encode = encoder.encode_queries if side == "query" else encoder.encode_documents
    return [named_weights(encoder, vector) for vector in encode(TEXTS)]
