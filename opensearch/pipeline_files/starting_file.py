"""A file to start from, for an index that ``tandem index`` built."""

from dataclasses import dataclass

from opensearch.capabilities import Capabilities
from opensearch.errors import SettingsError
from opensearch.fusion import LEGS, Fusion, Leg
from opensearch.index_info import IndexInfo
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD
from opensearch.pipeline_files.served_fusion import served_fusion

_UNKNOWN = Capabilities()


@dataclass(frozen=True, slots=True)
class StartingModels:
    """Names of models in the cluster.

    Attributes:
        dense: Encodes documents for the field ``dense``.
        sparse: Encodes documents for the field ``sparse``.
        sparse_query: Encodes queries for it; by default the same. Alone, documents of other
            clients get no token weights.
        rerank: Re-ranks.
        dense_query: Encodes queries for the field ``dense``; by default the model of documents,
            which must stand beside it.
    """

    dense: str | None = None
    sparse: str | None = None
    sparse_query: str | None = None
    rerank: str | None = None
    dense_query: str | None = None


def starting_file(
    info: IndexInfo,
    models: StartingModels,
    fusion: Fusion,
    capabilities: Capabilities = _UNKNOWN,
) -> str:
    """A pipeline file in TOML.

    Args:
        info: The index.
        models: Models to name in it.
        fusion: How the index is searched.
        capabilities: Of the cluster: what its pipelines certainly lack is left out.

    Raises:
        SettingsError: No model is named, or the index has no field for one.
    """
    _check(info, models)
    served = served_fusion(fusion, capabilities)
    search = _search(info, models, served, like=fusion == served)
    parts = [_head(info), _ingest(info, models), search]
    return "\n".join(part for part in parts if part)


def _check(info: IndexInfo, models: StartingModels) -> None:
    if not (models.dense or models.sparse or models.sparse_query):
        msg = "name at least one model of the cluster: --dense-model, --sparse-model"
        raise SettingsError(msg)
    if models.dense_query and not models.dense:
        msg = (
            f"{models.dense_query} encodes queries alone: name the model of the documents, too "
            "(--dense-model)"
        )
        raise SettingsError(msg)
    if models.dense and info.dense is None:
        msg = f"the index {info.name!r} has no dense field for {models.dense}"
        raise SettingsError(msg)
    sparse = models.sparse or models.sparse_query
    if sparse and info.sparse is None:
        msg = f"the index {info.name!r} has no sparse field for {sparse}"
        raise SettingsError(msg)
    if models.sparse and info.seismic:
        msg = (
            f"the token weights of {info.name!r} lie in an index of their own (SEISMIC), which a "
            "pipeline does not write: index with --sparse-field rank_features"
        )
        raise SettingsError(msg)


def _head(info: IndexInfo) -> str:
    lines = [f"# Pipelines of the index {info.name}: `tandem pipelines diff`, then `apply`."]
    for leg, identity in (("dense", info.dense), ("sparse", info.sparse)):
        if identity is not None:
            short = identity.fingerprint[:12]
            lines.append(f"# Its field `{leg}` was made by {identity.model} ({short}).")
    return "\n".join(lines) + "\n"


def _ingest(info: IndexInfo, models: StartingModels) -> str:
    """Documents of any client, encoded as `tandem index` encodes them."""
    if models.dense is None and models.sparse is None:
        return ""
    name = f"{info.name}-documents"
    lines = [
        f"[ingest.{_quoted(name)}]",
        f'description = "Encodes documents for {info.name}."',
        f"index = {_quoted(info.name)}",
        "",
        f"[[ingest.{_quoted(name)}.steps]]",
        'step = "passage"  # title and text as one, and what the index wants to know',
    ]
    if models.dense is not None:
        lines += _encoding(name, "text_embedding", models.dense)
    if models.sparse is not None:
        lines += [*_encoding(name, "sparse_encoding", models.sparse), _pruning(info)]
    return "\n".join(lines) + "\n"


def _encoding(name: str, step: str, model: str) -> list[str]:
    head = f"[[ingest.{_quoted(name)}.steps]]"
    return ["", head, f'step = "{step}"', f"model = {_quoted(model)}", "batch_size = 16"]


def _pruning(info: IndexInfo) -> str:
    options = info.notes.get("encoder_options", {})
    for option, prune_type in (("prune_ratio", "max_ratio"), ("top_k", "top_k")):
        if option in options:
            return f'prune_type = "{prune_type}"\nprune_ratio = {options[option]}'
    return '# prune_type = "max_ratio"\n# prune_ratio = 0.1'


def _search(info: IndexInfo, models: StartingModels, fusion: Fusion, *, like: bool) -> str:
    name = _quoted(f"{info.name}-hybrid")
    named = {"bm25": True, "dense": models.dense, "sparse": models.sparse or models.sparse_query}
    legs: list[Leg] = [leg for leg in LEGS if named[leg]]
    lines = [
        f"[search.{name}]",
        f'description = "Models and fusion of hybrid queries on {info.name}."',
        f"index = {_quoted(info.name)}",
        "",
        f"[search.{name}.query_models.fields]",
    ]
    if dense := models.dense_query or models.dense:
        lines.append(f"{DENSE_FIELD} = {_quoted(dense)}")
    if sparse := models.sparse_query or models.sparse:
        lines.append(f"{SPARSE_FIELD} = {_quoted(sparse)}")
    lines += ["", *([] if like else _OTHERWISE), f"[search.{name}.fusion]"]
    lines += _fusion(fusion, legs, name)
    if models.rerank:
        lines += [
            "",
            f"[search.{name}.rerank]  # searches ask for it by ext.rerank.query_context",
            f"model = {_quoted(models.rerank)}",
            'fields = ["text"]',
            "ignore_failure = true",
        ]
    return "\n".join(lines) + "\n"


_OTHERWISE = (
    "# Nearest to the index's own fusion, which pipelines of this OpenSearch lack; `tandem search`",
    "# has it: there the client fuses.",
)


def _fusion(fusion: Fusion, legs: list[Leg], name: str) -> list[str]:
    lines = [
        "# Queries hold their sub-queries in this order.",
        f"legs = [{', '.join(_quoted(leg) for leg in legs)}]",
        f"method = {_quoted(fusion.method)}",
    ]
    if fusion.method == "rrf":  # equal weights, rounded, are not equal, and 2.19 knows none
        weights = [] if fusion.weighs_equally(legs) else [_weights(fusion, legs)]
        return [*lines, *weights, f"rank_constant = {fusion.rank_constant}"]
    lines += [_weights(fusion, legs), f"combination = {_quoted(fusion.combination)}"]
    if fusion.method == "minmax":
        lines += ["", f"[search.{name}.fusion.bounds]", *_bounds(fusion, legs)]
    return lines


def _weights(fusion: Fusion, legs: list[Leg]) -> str:
    shares = zip(legs, fusion.normalised_weights(legs), strict=True)
    return f"weights = {{ {', '.join(f'{leg} = {weight}' for leg, weight in shares)} }}"


def _bounds(fusion: Fusion, legs: list[Leg]) -> list[str]:
    lines = []
    for leg in legs:
        ends = fusion.bounds_of(leg)
        values = {"low": ends.low, "high": ends.high}
        given = ", ".join(f"{end} = {value}" for end, value in values.items() if value is not None)
        # A leg that is not named starts at 0.
        lines.append(f"{leg} = {{ {given} }}" if given else f"{leg} = {{}}  # as the candidates")
    return lines


def _quoted(text: str) -> str:
    """A TOML string, or quoted key."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
