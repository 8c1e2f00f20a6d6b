"""Builds a SPLADE model from a masked language model, in Sentence Transformers' own modules."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from encoders.errors import EncoderError
from encoders.lexical import PieceVocabulary, gather_statistics
from encoders.options import Activation, LoadOptions
from encoders.source import find_source
from encoders.tokenization import TextTokenizer, read_tokenizer
from training.sparse.config import SparseConfig
from training.sparse.pretraining import pretrain
from training.sparse.sources import corpus_texts

logger = logging.getLogger(__name__)

# What Sentence Transformers calls "what comes before log1p".
_POOLING_NAMES: dict[Activation, str] = {"log1p_relu": "relu", "log1p_log1p_relu": "log1p_relu"}
_UNLIMITED = 1_000_000


def write_splade(config: SparseConfig, folder: Path) -> None:
    """Write the untrained model, pre-trained on the corpus first where that is asked for.

    Raises:
        EncoderError: The model cannot be loaded, or has no masked-language head.
    """
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    options = LoadOptions(trust_remote_code=config.trust_remote_code)
    source = find_source(config.model, options, kind=None).folder
    network = folder / "network"
    _write_network(config, source, network)
    transformer = Transformer(
        str(network),
        transformer_task="fill-mask",
        model_kwargs={"dtype": "float32", "trust_remote_code": config.trust_remote_code},
    )
    name = _POOLING_NAMES[config.splade.activation]
    pooling = SpladePooling("max", activation_function=name)
    if config.splade.query_side == "bi-encoder":
        modules: list[Any] = [transformer, pooling]
    else:
        table = SparseStaticEmbedding(
            transformer.tokenizer,
            weight=_query_table(config, source, int(transformer.auto_model.config.vocab_size)),
            frozen=config.splade.query_table == "fixed",
        )
        modules = [
            Router.for_query_document(
                query_modules=[table], document_modules=[transformer, pooling]
            )
        ]
    encoder = SparseEncoder(modules=modules, device="cpu")
    encoder.save_pretrained(str(folder), create_model_card=False)
    _remove(network)


def document_modules(encoder: Any) -> tuple[Any, Any]:
    """Transformer and pooling of the document side."""
    first = encoder[0]
    if hasattr(first, "sub_modules"):
        route = first.sub_modules["document"]
        return route[0], route[1]
    return first, encoder[1]


def query_module(encoder: Any) -> Any | None:
    """The table of an inference-free query side; ``None`` where queries use the network."""
    first = encoder[0]
    return first.sub_modules["query"][0] if hasattr(first, "sub_modules") else None


def _write_network(config: SparseConfig, source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    network, found = AutoModelForMaskedLM.from_pretrained(
        str(source),
        dtype=torch.float32,
        output_loading_info=True,
        trust_remote_code=config.trust_remote_code,
    )
    missing = [name for name in found["missing_keys"] if "position_ids" not in name]
    if missing:
        _start_head(config, source, network, missing)
    tokenizer = AutoTokenizer.from_pretrained(
        str(source), trust_remote_code=config.trust_remote_code
    )
    if config.pretraining.steps:
        pretrain(network, tokenizer, lambda: corpus_texts(config.data), config)
    if config.splade.query_side == "inference-free":
        # Sentence Transformers wants a table as wide as the network's output; rows beyond the
        # tokenizer's entries can never be read or written by a text.
        network.resize_token_embeddings(len(tokenizer))
    network.save_pretrained(str(target))
    tokenizer.save_pretrained(str(target))


def _start_head(config: SparseConfig, source: Path, network: Any, missing: list[str]) -> None:
    """A head that scores an entry by the likeness of its own embedding to the position."""
    import torch

    if config.splade.head == "refuse":
        msg = (
            f"{source} has no masked-language head ({', '.join(missing[:3])}). Take a masked "
            "language model, or recipe = 'sentence-encoder', or start a head from the token "
            "embeddings by splade.head = 'tied' and train it first with pretraining.steps."
        )
        raise EncoderError(msg)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not any(name.endswith(wanted) or wanted.endswith(name) for wanted in missing):
                continue
            if parameter.ndim == 2 and parameter.shape[0] == parameter.shape[1]:
                parameter.copy_(torch.eye(len(parameter)))
            elif "norm" in name.lower() and name.endswith("weight"):
                parameter.fill_(1.0)
            elif parameter.ndim == 1:
                parameter.zero_()
    network.tie_weights()
    logger.warning(
        "%s has no masked-language head: one was started from its token embeddings (identity, "
        "then the tied embeddings). It knows nothing yet; pre-train it on your corpus.",
        source,
    )


def _query_table(config: SparseConfig, source: Path, width: int) -> Any:
    """IDF of each entry over the corpus; 0 for punctuation, stop words and special tokens."""
    import torch

    serialized = read_tokenizer(source, trust_remote_code=config.trust_remote_code)
    tokenizer = TextTokenizer(serialized, _UNLIMITED, special_tokens=False)
    vocabulary = PieceVocabulary(config.model, tokenizer)
    statistics = gather_statistics(corpus_texts(config.data), vocabulary)
    weights = np.zeros(width, dtype=np.float32)
    weights[: len(vocabulary.content)] = statistics.idf() * vocabulary.content
    return torch.from_numpy(weights)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
