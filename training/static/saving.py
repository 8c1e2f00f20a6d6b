"""Finished models as folders that load everywhere."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from encoders.base import FloatMatrix
from encoders.prior import BACKBONE, PriorHead, PriorSettings, write_prior
from training.static.preparation import Prepared
from training.static.starting import ALPHA

Module: TypeAlias = Any


def save_dense(network: Module, prepared: Prepared, max_tokens: int, folder: Path) -> None:
    """Write a plain Sentence Transformers folder: StaticEmbedding and Normalize.

    Args:
        network: The trained table.
        prepared: Its tokenizer.
        max_tokens: Where the tokenizer cuts texts.
        folder: An existing folder.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = _cutting(prepared, max_tokens)
    table = _with_padding(network.table())
    modules = [StaticEmbedding(tokenizer, embedding_weights=table), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(folder), create_model_card=False)


def save_sparse(network: Module, prepared: Prepared, settings: PriorSettings, folder: Path) -> None:
    """Write a folder of a vocabulary head with a lexical prior on a static backbone.

    Args:
        network: The trained network.
        prepared: Its tokenizer.
        settings: What the head's configuration says.
        folder: An existing folder.
    """
    from safetensors.numpy import save_file

    tokens = _tokens(prepared)
    write_prior(folder, PriorHead(settings, head_tensors(network, prepared)), tokens)
    backbone = folder / BACKBONE
    backbone.mkdir(exist_ok=True)
    save_file({"embedding.weight": network.table()}, str(backbone / "model.safetensors"))
    _cutting(prepared, settings.max_tokens).save(str(backbone / "tokenizer.json"))
    config = {"model_type": "static", "vocab_size": len(tokens)}
    (backbone / "config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")


def prior_settings(prepared: Prepared, max_tokens: int, top_k: int) -> PriorSettings:
    """The head's configuration."""
    return PriorSettings(
        backbone="static",
        average_length=prepared.statistics.average_length,
        max_tokens=max_tokens,
        alpha=ALPHA,
        top_k=top_k,
    )


def head_tensors(network: Module, prepared: Prepared) -> dict[str, Any]:
    """The head's tensors under the names of :class:`encoders.prior.PriorHead`."""
    import torch
    from torch.nn import functional

    with torch.no_grad():
        words = torch.nonzero(network.content).flatten()
        tensors = {
            "content": network.content,
            "idf": torch.from_numpy(prepared.idf),
            "query_gain": network.query_gain,
            "asked": network.asked,
            "words": words,
            "word_vectors": functional.normalize(network.words[words], dim=1),
            "thresholds": network.thresholds[words],
            "projection.weight": network.projection.weight,
            "projection.bias": network.projection.bias,
            "gamma": network.gamma,
            "own": network.own,
        }
    return {name: np.ascontiguousarray(t.detach().numpy()) for name, t in tensors.items()}


def _tokens(prepared: Prepared) -> list[str]:
    vocabulary = prepared.tokenizer.get_vocab()
    return sorted(vocabulary, key=lambda token: vocabulary[token])


def _cutting(prepared: Prepared, max_tokens: int) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(prepared.tokenizer.to_str())
    tokenizer.enable_truncation(max_length=max_tokens)
    return tokenizer


def _with_padding(table: FloatMatrix) -> FloatMatrix:
    """A row for the padding token, which stands for a text of nothing: the mean of all rows."""
    rows = table.copy()
    rows[0] = table.mean(0)
    return rows
