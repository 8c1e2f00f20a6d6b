"""Reads a model's settings from its own files: those of Sentence Transformers, where it has them.

The files are ``modules.json``, each module's ``config.json``, ``sentence_bert_config.json``,
``config_sentence_transformers.json`` and ``router_config.json``, in the forms of versions 2 to 6.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from encoders.errors import EncoderError
from encoders.options import POOLINGS, Activation, LoadOptions, Pooling
from encoders.prior import BACKBONE, QUERY_TABLE, is_prior, read_prior_settings
from encoders.prior import CONFIG as PRIOR_CONFIG
from encoders.settings import (
    GraphSettings,
    ModelFiles,
    ModelLayout,
    ModelSettings,
    Projection,
    TextSettings,
)
from encoders.source import ModelSource

logger = logging.getLogger(__name__)

FALLBACK_MAX_TOKENS = 512
_NO_LIMIT = 1_000_000  # tokenizers write 1e30 for "no limit"
_TRANSFORMERS = ("Transformer", "MLMTransformer")
_STATIC = "StaticEmbedding"
# A static model has no limit of its own; a mean over more tokens than this says nothing.
_STATIC_MAX_TOKENS = 8192
_ROBERTA_TYPES = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl")
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_LEGACY_POOLING: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "lasttoken",
}
# Written by the module as "what comes before log1p".
_SPLADE_ACTIVATIONS: dict[str, Activation] = {
    "relu": "log1p_relu",
    "log1p_relu": "log1p_log1p_relu",
}


@dataclass(frozen=True, slots=True)
class Module:
    """One entry of ``modules.json``: its class, its folder, its settings."""

    name: str
    path: str
    config: Mapping[str, Any]


def read_layout(
    source: ModelSource, options: LoadOptions, kind: Literal["dense", "sparse"]
) -> ModelLayout:
    """Settings and files of a model folder.

    Raises:
        EncoderError: The folder holds no model, another kind of model, or a module that has no
            counterpart here.
    """
    if is_prior(source.folder):
        return _prior_layout(source, options, kind)
    modules = read_modules(source.folder)
    if kind == "dense" and any(module.name == _STATIC for module in modules):
        return _static_layout(source, options, modules)
    if kind == "dense":
        return _dense_layout(source, options, modules)
    return _sparse_layout(source, options, modules)


def read_modules(folder: Path) -> list[Module]:
    """The modules of a Sentence Transformers folder; none for any other folder."""
    entries = read_json(folder / "modules.json", default=[])
    return [_module(folder, str(entry["type"]), str(entry["path"])) for entry in entries]


def read_json(path: Path, *, default: Any = None) -> Any:
    """The content of a JSON file, or ``default`` where there is no file.

    Raises:
        EncoderError: The file is there but is not JSON.
    """
    if not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is not valid JSON: {error}"
        raise EncoderError(msg) from error


def transformer_config(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of the network.

    Raises:
        EncoderError: There is none.
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        adapter = read_json(folder / "adapter_config.json")
        if adapter is None:
            msg = f"{folder} holds no model: config.json is missing"
            raise EncoderError(msg)
        config = _adapter_base_config(folder, adapter)
    return {**config, **config.get("text_config", {})}


def _adapter_base_config(folder: Path, adapter: Mapping[str, Any]) -> dict[str, Any]:
    base = Path(str(adapter.get("base_model_name_or_path")))
    config = read_json(base / "config.json")
    if not isinstance(config, dict):
        msg = f"The adapter in {folder} needs its base model {base}, which is not a folder here"
        raise EncoderError(msg)
    return config


def _module(folder: Path, kind: str, path: str) -> Module:
    config = read_json(folder / path / "config.json", default={}) if path else {}
    return Module(kind.rsplit(".", maxsplit=1)[-1], path, config)


def _dense_layout(
    source: ModelSource, options: LoadOptions, modules: Sequence[Module]
) -> ModelLayout:
    _refuse(source, modules, ("Pooling", "Dense", "Normalize", "Dropout", *_TRANSFORMERS))
    transformer = next((m.path for m in modules if m.name in _TRANSFORMERS), "")
    projections = tuple(_projection(m) for m in modules if m.name == "Dense")
    config = transformer_config(source.folder / transformer)
    width = projections[-1].outputs if projections else _hidden_size(config)
    _warn_of_dot_product(source, modules)
    graph = GraphSettings(
        kind="dense",
        width=width,
        pooling=options.pooling or _pooling(source, modules),
        projections=projections,
    )
    text = _text_settings(source, options, transformer)
    files = ModelFiles(transformer, tuple(p.path for p in projections))
    return ModelLayout(ModelSettings(graph, text), files)


def _static_layout(
    source: ModelSource, options: LoadOptions, modules: Sequence[Module]
) -> ModelLayout:
    _refuse(source, modules, (_STATIC, "Dense", "Normalize", "Dropout"))
    table = next(m.path for m in modules if m.name == _STATIC)
    projections = tuple(_projection(m) for m in modules if m.name == "Dense")
    width = projections[-1].outputs if projections else _table_width(source.folder / table)
    _warn_of_dot_product(source, modules)
    query, document = _prompts(source, options)
    text = TextSettings(
        max_tokens=options.max_tokens or _static_max_tokens(source.folder / table),
        query_prompt=query,
        document_prompt=document,
        special_tokens=False,
    )
    graph = GraphSettings(kind="dense", width=width, projections=projections, network="static")
    files = ModelFiles(table, tuple(p.path for p in projections))
    return ModelLayout(ModelSettings(graph, text), files)


def _static_max_tokens(folder: Path) -> int:
    """The limit a static model's tokenizer carries: there it takes effect."""
    tokenizer = read_json(folder / "tokenizer.json", default={})
    return int((tokenizer.get("truncation") or {}).get("max_length") or _STATIC_MAX_TOKENS)


def _table_width(folder: Path) -> int:
    """Components of a token vector, from the head of the file where that suffices."""
    path = folder / "model.safetensors"
    if not path.is_file():
        from encoders.export.static_graph import read_table

        return int(read_table(folder).shape[1])
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as weights:
            name = next(n for n in ("embedding.weight", "embeddings") if n in weights.keys())
            return int(weights.get_slice(name).get_shape()[1])
    except (OSError, SafetensorError, StopIteration) as error:
        msg = f"{path} holds no table of token vectors: {error!r}"
        raise EncoderError(msg) from error


def _sparse_layout(
    source: ModelSource, options: LoadOptions, modules: Sequence[Module]
) -> ModelLayout:
    routes = _routes(source.folder, modules)
    documents = routes.get("document", list(modules))
    queries = routes.get("query", documents)
    _refuse(source, documents, ("SpladePooling", *_TRANSFORMERS))
    transformer = next((m.path for m in documents if m.name in _TRANSFORMERS), "")
    pooling = next((m for m in documents if m.name == "SpladePooling"), None)
    graph = GraphSettings(
        kind="sparse",
        width=int(transformer_config(source.folder / transformer)["vocab_size"]),
        splade_pooling=pooling.config.get("pooling_strategy", "max") if pooling else "max",
        activation=options.activation or _activation(source, pooling),
    )
    table = _query_table(source, queries)
    text = _text_settings(source, options, transformer)
    side: Literal["bi-encoder", "inference-free"] = "inference-free" if table else "bi-encoder"
    return ModelLayout(ModelSettings(graph, text, side), ModelFiles(transformer, (), table))


def _prior_layout(
    source: ModelSource, options: LoadOptions, kind: Literal["dense", "sparse"]
) -> ModelLayout:
    if kind == "dense":
        msg = f"{source.name} is a sparse model, but a dense one is needed here"
        raise EncoderError(msg)
    config = read_json(source.folder / PRIOR_CONFIG)
    declared = read_prior_settings(source.folder)
    graph = GraphSettings(
        kind="sparse",
        width=int(config["vocab_size"]),
        network="prior",
        top_k=options.top_k or declared.top_k,
    )
    query, document = options.query_prompt, options.document_prompt
    text = TextSettings(
        max_tokens=options.max_tokens or declared.max_tokens,
        lowercase=declared.lowercase,
        query_prompt=declared.query_prompt if query is None else query,
        document_prompt=declared.document_prompt if document is None else document,
    )
    files = ModelFiles(BACKBONE, (), QUERY_TABLE, head="")
    return ModelLayout(ModelSettings(graph, text, "inference-free"), files)


def _refuse(source: ModelSource, modules: Sequence[Module], allowed: Sequence[str]) -> None:
    for module in modules:
        if module.name not in allowed:
            msg = (
                f"{source.name} has a module {module.name}; here only {', '.join(allowed)} can be "
                "loaded. A sparse model is loaded as sparse, a dense one as dense."
            )
            raise EncoderError(msg)


def _projection(module: Module) -> Projection:
    config = module.config
    if config.get("use_residual"):
        msg = f"The Dense module in {module.path} has a residual connection, which is not supported"
        raise EncoderError(msg)
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    return Projection(
        path=module.path,
        inputs=int(config["in_features"]),
        outputs=int(config["out_features"]),
        bias=bool(config.get("bias", True)),
        activation=activation.rsplit(".", maxsplit=1)[-1],
    )


def _pooling(source: ModelSource, modules: Sequence[Module]) -> Pooling:
    module = next((m for m in modules if m.name == "Pooling"), None)
    if module is None:
        if source.preset is not None and source.preset.pooling is not None:
            return source.preset.pooling
        logger.warning(
            "%s has no Sentence Transformers files that say how it pools: taking the mean. "
            "Say otherwise with pooling=%s.",
            source.name,
            "|".join(POOLINGS),
        )
        return "mean"
    return _declared_pooling(source, module.config)


def _declared_pooling(source: ModelSource, config: Mapping[str, Any]) -> Pooling:
    mode = config.get("pooling_mode")
    if mode is None:
        flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
        mode = [_LEGACY_POOLING.get(flag, flag) for flag in flags] or ["mean"]
    modes = [mode] if isinstance(mode, str) else list(mode)
    if len(modes) != 1 or modes[0] not in POOLINGS or not config.get("include_prompt", True):
        msg = (
            f"{source.name} pools by {' + '.join(modes)}"
            f"{'' if config.get('include_prompt', True) else ' without the prompt'}; "
            f"here a model pools by one of {', '.join(POOLINGS)}, prompt included"
        )
        raise EncoderError(msg)
    return next(pooling for pooling in POOLINGS if pooling == modes[0])


def _warn_of_dot_product(source: ModelSource, modules: Sequence[Module]) -> None:
    declared = read_json(source.folder / "config_sentence_transformers.json", default={})
    normalised = any(module.name == "Normalize" for module in modules)
    if declared.get("similarity_fn_name") in ("dot", "dot_score") and modules and not normalised:
        logger.warning(
            "%s was trained for dot products of vectors of any length; here its vectors are "
            "normalised, so that ranking is by cosine.",
            source.name,
        )


def _activation(source: ModelSource, module: Module | None) -> Activation:
    if module is not None:
        return _SPLADE_ACTIVATIONS[module.config.get("activation_function", "relu")]
    if source.preset is not None and source.preset.activation is not None:
        return source.preset.activation
    logger.warning(
        "%s has no Sentence Transformers files that say its activation: taking log1p(relu). "
        "Say otherwise with activation=log1p_log1p_relu.",
        source.name,
    )
    return "log1p_relu"


def _routes(folder: Path, modules: Sequence[Module]) -> dict[str, list[Module]]:
    router = next((m for m in modules if m.name in ("Router", "Asym")), None)
    if router is None:
        return {}
    root = folder / router.path
    config = read_json(root / "router_config.json", default=None) or router.config
    try:
        return {
            route: [_route_module(folder, router.path, config["types"], key) for key in keys]
            for route, keys in config["structure"].items()
        }
    except (KeyError, TypeError) as error:
        msg = f"{root / 'router_config.json'} does not describe its routes: {error!r}"
        raise EncoderError(msg) from error


def _route_module(folder: Path, root: str, types: Mapping[str, str], key: str) -> Module:
    path = "/".join(part for part in (root, key) if part)
    return _module(folder, types[key], path)


def _query_table(source: ModelSource, queries: Sequence[Module]) -> str | None:
    """Weights of inference-free queries: a module's, or an ``idf.json`` in the model's folder."""
    static = next((m for m in queries if m.name == "SparseStaticEmbedding"), None)
    side = source.preset.query_side if source.preset is not None else None
    if static is not None:
        declared = static.config.get("path")
        return str(declared) if declared and (source.folder / declared).is_file() else static.path
    if side != "bi-encoder" and (source.folder / "idf.json").is_file():
        return "idf.json"
    if side == "inference-free":
        msg = f"{source.name} encodes queries by a table, but {source.folder} holds no idf.json"
        raise EncoderError(msg)
    return None


def _text_settings(source: ModelSource, options: LoadOptions, transformer: str) -> TextSettings:
    folder = source.folder / transformer
    declared = read_json(folder / "sentence_bert_config.json", default={})
    tokenizer = read_json(folder / "tokenizer_config.json", default={})
    query, document = _prompts(source, options)
    return TextSettings(
        max_tokens=options.max_tokens or longest_input(folder, declared, tokenizer),
        padding_side="left" if tokenizer.get("padding_side") == "left" else "right",
        lowercase=bool(declared.get("do_lower_case", False)),
        query_prompt=query,
        document_prompt=document,
    )


def longest_input(folder: Path, declared: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> int:
    """The limit the model declares; otherwise the smaller of tokenizer's and positions' limit."""
    if declared.get("max_seq_length"):
        return int(declared["max_seq_length"])
    limits = [tokenizer.get("model_max_length"), _positions(transformer_config(folder))]
    usable = [int(limit) for limit in limits if limit and limit < _NO_LIMIT]
    return min(usable, default=FALLBACK_MAX_TOKENS)


def _positions(config: Mapping[str, Any]) -> int | None:
    """Positions a network has; RoBERTa's family starts to count behind the padding id."""
    positions = config.get("max_position_embeddings")
    if positions is None or str(config.get("model_type")) not in _ROBERTA_TYPES:
        return positions
    return int(positions) - int(config.get("pad_token_id", 1)) - 1


def _prompts(source: ModelSource, options: LoadOptions) -> tuple[str, str]:
    declared = read_json(source.folder / "config_sentence_transformers.json", default={})
    prompts = {name: text for name, text in (declared.get("prompts") or {}).items() if text}
    default = prompts.get(declared.get("default_prompt_name") or "", "")
    query = prompts.get("query", default)
    document = next((prompts[name] for name in _DOCUMENT_PROMPTS if name in prompts), default)
    preset = source.preset
    if preset is not None:
        query = query or preset.query_prompt or ""
        document = document or preset.document_prompt or ""
    return (
        query if options.query_prompt is None else options.query_prompt,
        document if options.document_prompt is None else options.document_prompt,
    )


def _hidden_size(config: Mapping[str, Any]) -> int:
    for key in ("hidden_size", "d_model", "dim", "n_embd"):
        if key in config:
            return int(config[key])
    msg = f"The config.json of a {config.get('model_type')} model does not say its hidden size"
    raise EncoderError(msg)
