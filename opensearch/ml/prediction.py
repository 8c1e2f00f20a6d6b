"""Ask a deployed model what it makes of texts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from opensearch.ml.errors import ModelError
from opensearch.ml.rest import Request, send

ContentType: TypeAlias = Literal["query", "passage"]
SparseFunction: TypeAlias = Literal["sparse_encoding", "sparse_tokenize"]
PREDICT_TIMEOUT_S = 120.0
T = TypeVar("T")


def predict_dense(
    client: Any,
    model_id: str,
    texts: Sequence[str],
    *,
    content_type: ContentType | None = None,
) -> list[list[float]]:
    """Vectors of texts, from a dense model in the cluster.

    Args:
        client: The OpenSearch client.
        model_id: A deployed model with the function ``TEXT_EMBEDDING``, or a remote one.
        texts: What to encode.
        content_type: For models that read queries and passages differently: which these are.

    Returns:
        One vector per text.

    Raises:
        ModelError: The model is not deployed, or does not answer one vector per text.
    """
    body = dense_body(texts, content_type)
    answer = _predict(client, "text_embedding", model_id, body)
    return check_count(list(dense_vectors(answer)), texts, model_id)


def predict_sparse(
    client: Any,
    model_id: str,
    texts: Sequence[str],
    *,
    token_ids: bool = False,
    function: SparseFunction = "sparse_encoding",
) -> list[dict[str, float]]:
    """Token weights of texts, from a sparse model in the cluster.

    Args:
        client: The OpenSearch client.
        model_id: A deployed model.
        texts: What to encode.
        token_ids: Name tokens by their numbers, as ``sparse_vector`` fields want it; refused by
            OpenSearch 2.
        function: ``sparse_tokenize`` for the query side of an inference-free model.

    Returns:
        ``{token: weight}`` of each text.

    Raises:
        ModelError: The model is not deployed, or does not answer one object per text.
    """
    answer = _predict(client, function, model_id, sparse_body(texts, token_ids=token_ids))
    return check_count(list(sparse_weights(answer)), texts, model_id)


def dense_body(texts: Sequence[str], content_type: ContentType | None = None) -> dict[str, Any]:
    """Body of a dense prediction."""
    body: dict[str, Any] = {
        "text_docs": list(texts),
        "return_number": True,
        "target_response": ["sentence_embedding"],
    }
    if content_type is not None:
        body["parameters"] = {"content_type": content_type.upper()}
    return body


def sparse_body(texts: Sequence[str], *, token_ids: bool = False) -> dict[str, Any]:
    """Body of a sparse prediction."""
    body: dict[str, Any] = {"text_docs": list(texts)}
    if token_ids:
        body["parameters"] = {"sparse_embedding_format": "TOKEN_ID"}
    return body


def dense_vectors(answer: Mapping[str, Any]) -> Iterator[list[float]]:
    """Vectors in an answer: local models give a result per text, remote ones one for all."""
    for output in _outputs(answer):
        if "data" in output:
            yield [float(value) for value in output["data"]]


def sparse_weights(answer: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Token weights in an answer."""
    for output in _outputs(answer):
        for row in (output.get("dataAsMap") or {}).get("response", ()):
            yield {str(token): float(weight) for token, weight in row.items()}


def check_count(rows: list[T], texts: Sequence[str], model_id: str) -> list[T]:
    """Refuse an answer that does not have a row per text.

    Raises:
        ModelError: It has not.
    """
    if len(rows) != len(texts):
        msg = (
            f"The model {model_id} answered {len(rows)} results for {len(texts)} texts. Is it of "
            "the right kind (`tandem models show`)?"
        )
        raise ModelError(msg)
    return rows


def _outputs(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for result in answer.get("inference_results") or ():
        yield from result.get("output") or ()


def _predict(client: Any, function: str, model_id: str, body: Mapping[str, Any]) -> Any:
    request = Request("POST", f"/_predict/{function}/{model_id}", body, PREDICT_TIMEOUT_S)
    return send(client, request, f"asking the model {model_id}")
