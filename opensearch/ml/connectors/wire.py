"""Wire formats of model servers: what a connector sends, and how its answer is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from opensearch.errors import SettingsError
from opensearch.ml.connectors.spec import Connection, Flavour, Kind

_PLAIN = "connector.pre_process.default.embedding"
_PLAIN_VECTORS = "connector.post_process.default.embedding"
_OPENAI = "connector.pre_process.openai.embedding"
_OPENAI_VECTORS = "connector.post_process.openai.embedding"
_PAIRS = "connector.pre_process.cohere.rerank"
_SCORES = "connector.post_process.cohere.rerank"

# Text Embeddings Inference answers [{"index", "score"}], best first; ML Commons wants a tensor per
# document, in the order of the documents.
_TEI_SCORES = """
def scores = new HashMap();
for (row in params.result) { scores.put(((Number) row.index).intValue(), row.score); }
StringBuilder out = new StringBuilder("[");
for (int i = 0; i < scores.size(); i++) {
  if (i > 0) { out.append(","); }
  out.append('{"name":"similarity","data_type":"FLOAT32","shape":[1],"data":[');
  out.append(scores.get(i));
  out.append("]}");
}
return out.append("]").toString();
"""


@dataclass(frozen=True, slots=True)
class Wire:
    """One request and its answer.

    Attributes:
        path: Below the server's address.
        body: Template of the request's body.
        before: Built-in function or script that fills the template.
        after: Built-in function or script that reads the answer; token weights need none.
        parameters: Defaults for places in the template.
        asymmetric: Whether the cluster says which side a text is from.
        needs_model: Whether the server must be told which model.
    """

    path: str
    body: str
    before: str | None = None
    after: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    asymmetric: bool = False
    needs_model: bool = False


_OPENAI_DENSE = Wire(
    path="/v1/embeddings",
    body='{ "model": "${parameters.model}", "input": ${parameters.input} }',
    before=_OPENAI,
    after=_OPENAI_VECTORS,
    needs_model=True,
)
# A model that is told the side of a text gets its texts as `texts` and no function before it.
_TANDEM_BOTH: Mapping[Kind, Wire] = {
    "dense": Wire(
        path="/dense",
        body='{ "texts": ${parameters.texts}, "content_type": "${parameters.content_type}" }',
        after=_PLAIN_VECTORS,
        asymmetric=True,
    ),
    "sparse": Wire(
        path="/sparse",
        body=(
            '{ "texts": ${parameters.texts}, "input_type": "${parameters.content_type}",'
            ' "format": "${parameters.sparse_embedding_format}" }'
        ),
        parameters={"sparse_embedding_format": "WORD"},
        asymmetric=True,
    ),
}
_TANDEM_ONE: Mapping[Kind, Wire] = {
    "dense": Wire(
        path="/dense",
        body='{ "texts": ${parameters.input}, "content_type": "${parameters.content_type}" }',
        before=_PLAIN,
        after=_PLAIN_VECTORS,
    ),
    "sparse": Wire(
        path="/sparse",
        body=(
            '{ "texts": ${parameters.input}, "input_type": "${parameters.content_type}",'
            ' "format": "${parameters.sparse_embedding_format}" }'
        ),
        before=_PLAIN,
        parameters={"sparse_embedding_format": "WORD"},
    ),
}
_RERANK = Wire(
    path="/rerank",
    body='{ "query": "${parameters.query}", "documents": ${parameters.documents} }',
    before=_PAIRS,
    after=_SCORES,
)
_OTHERS: Mapping[tuple[Flavour, Kind], Wire] = MappingProxyType(
    {
        ("tandem", "rerank"): _RERANK,
        ("openai", "dense"): _OPENAI_DENSE,
        ("vllm", "dense"): _OPENAI_DENSE,
        ("vllm", "rerank"): Wire(
            path="/v1/rerank",
            body=(
                '{ "model": "${parameters.model}", "query": "${parameters.query}",'
                ' "documents": ${parameters.documents} }'
            ),
            before=_PAIRS,
            after=_SCORES,
            needs_model=True,
        ),
        ("tei", "dense"): Wire(
            path="/embed",
            body='{ "inputs": ${parameters.input}, "truncate": true }',
            before=_PLAIN,
            after=_PLAIN_VECTORS,
        ),
        ("tei", "rerank"): Wire(
            path="/rerank",
            body=(
                '{ "query": "${parameters.query}", "texts": ${parameters.documents},'
                ' "truncate": true }'
            ),
            before=_PAIRS,
            after=_TEI_SCORES,
        ),
    }
)
_WHY_NOT: Mapping[tuple[Flavour, Kind], str] = MappingProxyType(
    {
        ("tei", "sparse"): (
            "Text Embeddings Inference answers vocabulary ids without their words, and the sparse "
            "field is keyed by words"
        ),
    }
)


def wire_format(connection: Connection) -> Wire:
    """The request that a connection sends.

    Raises:
        SettingsError: Servers of this flavour have no models of this kind, or the model's name
            is missing.
    """
    wire = _find(connection)
    if wire.needs_model and connection.model is None:
        msg = f"{connection.flavour} servers want to know which model: give --model"
        raise SettingsError(msg)
    return wire


def _find(connection: Connection) -> Wire:
    flavour, kind = connection.flavour, connection.kind
    if flavour == "tandem" and kind != "rerank":
        return (_TANDEM_BOTH if connection.side == "both" else _TANDEM_ONE)[kind]
    if (flavour, kind) in _OTHERS:
        return _OTHERS[flavour, kind]
    able = [f for f in ("tandem", "openai", "tei", "vllm") if f == "tandem" or (f, kind) in _OTHERS]
    reason = _WHY_NOT.get((flavour, kind), f"{flavour} servers have no {kind} models")
    msg = f"{reason}; {kind} models are served by: {', '.join(able)}"
    raise SettingsError(msg)


def endpoint(url: str, path: str) -> str:
    """Address of a request; a base address may already end in ``/v1``."""
    base = url.rstrip("/")
    if base.endswith("/v1") and path.startswith("/v1/"):
        path = path.removeprefix("/v1")
    return base + path
