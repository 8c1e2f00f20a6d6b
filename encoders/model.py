"""A model as it lies on disk: settings, tokenizer, fingerprint; no weights loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from encoders.errors import EncoderError
from encoders.fingerprint import graph_fingerprint, text_digest
from encoders.layout import read_json, read_layout
from encoders.options import LoadOptions
from encoders.settings import ModelFiles, ModelLayout, ModelSettings
from encoders.source import ModelSource
from encoders.tokenization import TextTokenizer, read_tokenizer

Kind = Literal["dense", "sparse"]
# Lies in the folder of a model that was tuned on the query side alone.
QUERY_SIDE = "query_side.json"


@dataclass(frozen=True)
class Model:
    """Everything about a model but its weights.

    Attributes:
        name: Name under which it can be loaded again.
        folder: Where its files are.
        settings: How texts become vectors.
        files: Where the parts of a source model are; ``None`` for an exported one.
        serialized_tokenizer: Content of its ``tokenizer.json``.
        tokenizer_digest: Of the source's tokenizer, whatever an export made of it.
        graph_fingerprint: Of what the network computes.
        query_weights: Weight of each id in an inference-free query, ``[vocabulary]``.
        documents: Fingerprint of the encoder whose documents its queries search, where it was
            tuned on the query side alone.
    """

    name: str
    folder: Path
    settings: ModelSettings
    files: ModelFiles | None
    serialized_tokenizer: str = field(repr=False)
    tokenizer_digest: str
    graph_fingerprint: str
    query_weights: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    documents: str | None = None

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer of documents and of bi-encoder queries."""
        text = self.settings.text
        return TextTokenizer(
            self.serialized_tokenizer,
            text.max_tokens,
            text.padding_side,
            text.lowercase,
            text.special_tokens,
        )

    def load_graph(self, *, trust_remote_code: bool = False) -> Any:
        """The whole graph in PyTorch.

        Raises:
            EncoderError: The model is an export: it has no PyTorch weights.
        """
        from encoders.export.backbone import load_graph

        if self.files is None:
            msg = f"{self.folder} is an exported ONNX model; it runs only with --runtime onnx"
            raise EncoderError(msg)
        layout = ModelLayout(self.settings, self.files)
        silent = self.silent_ids()
        return load_graph(self.folder, layout, silent, trust_remote_code=trust_remote_code)

    def silent_ids(self) -> list[int]:
        """Ids without weight in a sparse model: special tokens, rows beyond the vocabulary."""
        width = self.settings.graph.width
        special = [number for number in self.tokenizer.special_ids() if number < width]
        return special + list(range(self.tokenizer.vocabulary_size, width))


def read_source_model(source: ModelSource, options: LoadOptions, kind: Kind) -> Model:
    """Read a model from its source files.

    Raises:
        EncoderError: The files are no model of this kind.
    """
    layout = read_layout(source, options, kind)
    serialized = read_tokenizer(
        source.folder / layout.files.transformer, trust_remote_code=options.trust_remote_code
    )
    digest = text_digest(serialized)
    fingerprint = graph_fingerprint(source.folder, layout.files, layout.settings.graph, digest)
    model = Model(
        name=source.name,
        folder=source.folder,
        settings=layout.settings,
        files=layout.files,
        serialized_tokenizer=serialized,
        tokenizer_digest=digest,
        graph_fingerprint=fingerprint,
        documents=_documents_of(source.folder),
    )
    return _with_query_weights(model, layout.files.query_table)


def _documents_of(folder: Path) -> str | None:
    pair = read_json(folder / QUERY_SIDE)
    if pair is None:
        return None
    try:
        return str(pair["documents"]["fingerprint"])
    except (KeyError, TypeError) as error:
        msg = f"{folder / QUERY_SIDE} does not say whose documents the model searches"
        raise EncoderError(msg) from error


def read_exported_model(folder: Path, options: LoadOptions, kind: Kind) -> Model:
    """Read an exported folder; options that change texts still apply.

    Raises:
        EncoderError: It is of another kind, or broken.
    """
    from encoders.export.folder import QUERY_WEIGHTS, read_description

    description = read_description(folder)
    settings = description.settings
    if settings.graph.kind != kind:
        msg = f"{folder} is a {settings.graph.kind} model, but a {kind} one is needed here"
        raise EncoderError(msg)
    changes = {
        name: getattr(options, name)
        for name in ("max_tokens", "query_prompt", "document_prompt")
        if getattr(options, name) is not None
    }
    model = Model(
        name=str(folder),
        folder=folder,
        settings=replace(settings, text=replace(settings.text, **changes)),
        files=None,
        serialized_tokenizer=read_tokenizer(folder),
        tokenizer_digest=description.tokenizer_digest,
        graph_fingerprint=description.graph_fingerprint,
        documents=description.documents,
    )
    table = QUERY_WEIGHTS if settings.query_side == "inference-free" else None
    return _with_query_weights(model, table)


def _with_query_weights(model: Model, table: str | None) -> Model:
    if model.settings.query_side == "bi-encoder" or table is None:
        return model
    path = model.folder / table
    width = model.settings.graph.width
    if path.is_dir():
        weights = _static_weights(path, width)
    else:
        weights = weights_of_table(read_json(path, default={}), model.tokenizer, width)
    weights[[number for number in model.tokenizer.special_ids() if number < width]] = 0
    return replace(model, query_weights=weights)


def weights_of_table(
    table: Mapping[str, float], tokenizer: TextTokenizer, width: int
) -> npt.NDArray[np.float32]:
    """``{token: weight}`` as a weight for each id.

    Raises:
        EncoderError: Most of the table's tokens are not in the vocabulary.
    """
    weights = np.zeros(width, dtype=np.float32)
    unknown = 0
    for token, weight in table.items():
        number = tokenizer.whole.token_to_id(token)
        if number is None or number >= width:
            unknown += 1
        else:
            weights[number] = weight
    if not table or unknown > len(table) / 2:
        msg = f"{unknown} of {len(table)} tokens of the query weights are not in the vocabulary"
        raise EncoderError(msg)
    return weights


def _static_weights(folder: Path, width: int) -> npt.NDArray[np.float32]:
    """Weights a SparseStaticEmbedding module saved."""
    path = folder / "model.safetensors"
    if path.is_file():
        from safetensors.numpy import load_file

        found = np.asarray(load_file(str(path))["weight"], dtype=np.float32)
    elif (folder / "pytorch_model.bin").is_file():
        import torch

        state = torch.load(folder / "pytorch_model.bin", weights_only=True)
        found = state["weight"].float().numpy()
    else:
        msg = f"{folder} holds no weights (model.safetensors or pytorch_model.bin)"
        raise EncoderError(msg)
    weights = np.zeros(width, dtype=np.float32)
    weights[: min(width, len(found))] = found[:width]
    return weights
