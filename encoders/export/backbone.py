"""Loads a network in PyTorch and puts the whole graph around it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from encoders.errors import EncoderError
from encoders.export.graphs import dense_graph, linear_layer, sparse_graph
from encoders.layout import read_json
from encoders.settings import ModelLayout, Projection

Module: TypeAlias = Any


def load_graph(
    folder: Path, layout: ModelLayout, silent_ids: Sequence[int], *, trust_remote_code: bool = False
) -> Module:
    """A model folder as one PyTorch module, in float32 and evaluation mode, on the CPU.

    Args:
        folder: The model's folder.
        layout: What its files say.
        silent_ids: Ids that get no weight, for a sparse model.
        trust_remote_code: Whether code in the folder may run.

    Raises:
        EncoderError: The folder cannot be loaded, or lacks weights.
    """
    graph = layout.settings.graph
    if graph.network == "static":
        from encoders.export.static_graph import load_static_graph

        return load_static_graph(folder, layout)
    if graph.network == "prior":
        from encoders.export.prior_graph import load_prior_graph

        return load_prior_graph(folder, layout, silent_ids)
    transformer = folder / layout.files.transformer
    backbone = load_transformer(transformer, graph.kind, trust_remote_code=trust_remote_code)
    if hasattr(backbone.config, "use_cache"):
        backbone.config.use_cache = False
    if graph.kind == "sparse":
        return sparse_graph(backbone, graph, silent_ids)
    projections = [load_projection(folder, entry) for entry in graph.projections]
    return dense_graph(backbone, graph, projections)


def load_transformer(folder: Path, kind: str, *, trust_remote_code: bool = False) -> Module:
    """A network alone, adapter merged.

    Raises:
        EncoderError: The folder cannot be loaded, or lacks weights.
    """
    adapter = read_json(folder / "adapter_config.json")
    base = folder if adapter is None else Path(str(adapter["base_model_name_or_path"]))
    model, missing = _from_pretrained(base, kind, trust_remote_code=trust_remote_code)
    _refuse_random_weights(base, kind, missing)
    return model if adapter is None else _merge_adapter(model, folder)


def _from_pretrained(
    folder: Path, kind: str, *, trust_remote_code: bool
) -> tuple[Module, list[str]]:
    import torch
    from transformers import AutoModel, AutoModelForMaskedLM

    loader: Any = AutoModelForMaskedLM if kind == "sparse" else AutoModel
    try:
        with _quiet():
            model, found = loader.from_pretrained(
                str(folder),
                dtype=torch.float32,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except (OSError, ValueError, ImportError) as error:
        hint = _code_hint(str(error))
        msg = f"{folder} cannot be loaded as a {kind} model: {error}{hint}"
        raise EncoderError(msg) from error
    return model, list(found["missing_keys"])


def _code_hint(message: str) -> str:
    if "trust_remote_code" not in message:
        return ""
    return " Read that code first; then load the model with --trust-remote-code."


def _refuse_random_weights(folder: Path, kind: str, missing: Sequence[str]) -> None:
    """Weights that are not in the files were drawn at random: only an unused pooler may be."""
    drawn = [name for name in missing if "pooler" not in name and "position_ids" not in name]
    if not drawn:
        return
    head = " It has no masked-language-model head." if kind == "sparse" else ""
    msg = f"{folder} lacks weights of a {kind} model ({', '.join(drawn[:3])}).{head}"
    raise EncoderError(msg)


def _merge_adapter(model: Module, folder: Path) -> Module:
    from peft import PeftModel

    merged: Any = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    return merged


def load_projection(folder: Path, projection: Projection) -> Module:
    """A linear layer behind the pooling, with its weights.

    Raises:
        EncoderError: There are none, or they are of another shape.
    """
    layer = linear_layer(projection)
    path = folder / projection.path
    weights = weights_in(path)
    try:
        layer[0].load_state_dict({k.removeprefix("linear."): v for k, v in weights.items()})
    except RuntimeError as error:
        msg = f"The weights in {path} do not fit a {projection.inputs} x {projection.outputs} layer"
        raise EncoderError(msg) from error
    return layer


def weights_in(folder: Path) -> dict[str, Any]:
    """Weights of one module, from its safetensors or older file.

    Raises:
        EncoderError: There are none.
    """
    import torch
    from safetensors.torch import load_file

    if (folder / "model.safetensors").is_file():
        return dict(load_file(str(folder / "model.safetensors")))
    if (folder / "pytorch_model.bin").is_file():
        loaded: dict[str, Any] = torch.load(folder / "pytorch_model.bin", weights_only=True)
        return loaded
    msg = f"{folder} holds no weights (model.safetensors or pytorch_model.bin)"
    raise EncoderError(msg)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar for each of a model's shards on a terminal that shows others."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            transformers_logging.enable_progress_bar()
