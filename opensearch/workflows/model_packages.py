"""Make of an encoder what ML Commons takes: a bundle, what it is registered with, a reference.

Exports are made once and kept in the user's cache as the zip file that is uploaded, so that an
upload that broke off goes on with the same bytes.
"""

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from encoders.base import DenseEncoder, FloatMatrix, SparseEncoder, named_weights
from encoders.cache import build_once, cache_folder
from encoders.export.exporter import EXPORT_VERSION
from encoders.export.ml_commons import as_the_node_reads, export_for_ml_commons, model_type
from encoders.export.node_tokenizer import node_tokenizer
from encoders.export.options import ExportOptions
from encoders.export.precision import encoder_identity
from encoders.export.torchscript import write_torchscript
from encoders.lexical import MAX_QUERY_WEIGHT, LexicalEncoder
from encoders.model import Model
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse, read_model
from encoders.sparse import SpladeEncoder
from encoders.tokenization import TextTokenizer
from opensearch.ml.bundle import Bundle, read_bundle, write_bundle
from opensearch.ml.errors import ModelError
from opensearch.ml.prediction import ContentType
from opensearch.ml.query_side import query_side_files, with_plain_names
from opensearch.ml.registration import (
    DenseSettings,
    Format,
    ModelCard,
    dense_config,
)

logger = logging.getLogger(__name__)

Kind: TypeAlias = Literal["dense", "sparse"]
GraphFormat: TypeAlias = Literal["onnx", "torchscript"]
TokenWeights: TypeAlias = Mapping[str, float]
_Written: TypeAlias = tuple[Sequence[Path], dict[str, Any]]

# Part of the cache's path: raise it when exports or bundles change.
PACKAGE_VERSION = 1
NODE_MAX_TOKENS = 512
_BUNDLE = "bundle.zip"
_DESCRIPTION = "export.json"


@dataclass(frozen=True)
class DenseReference:
    """The local encoder that a dense model on the node must agree with.

    Attributes:
        encoder: The encoder.
        content_types: How the node must be asked, each compared on its own.
    """

    encoder: DenseEncoder
    content_types: tuple[ContentType | None, ...]

    def expected(self, texts: Sequence[str], content_type: ContentType | None) -> FloatMatrix:
        """What the encoder gives, ``[n, dimension]``."""
        if content_type == "query":
            return self.encoder.encode_queries(texts)
        return self.encoder.encode_documents(texts)


@dataclass(frozen=True)
class SparseReference:
    """What a sparse model on the node must agree with.

    Attributes:
        expected: Token weights of texts.
        tokenizer_only: Whether the node only tokenizes.
    """

    expected: Callable[[Sequence[str]], list[TokenWeights]]
    tokenizer_only: bool = False


@dataclass(frozen=True)
class Package:
    """A model ready to be pushed.

    Attributes:
        card: What it is registered with.
        bundle: What is uploaded.
        reference: Loads what it must agree with.
    """

    card: ModelCard
    bundle: Bundle
    reference: Callable[[], DenseReference | SparseReference]


@dataclass(frozen=True, slots=True)
class Naming:
    """How a model is to be called.

    Attributes:
        name: Its name; ``None`` makes one from the encoder's.
        group: Its group; ``None`` is its name.
    """

    name: str | None = None
    group: str | None = None

    def card_names(self, source: str, suffix: str = "") -> tuple[str, str]:
        """Name and group; ``suffix`` sets apart the parts of one encoder."""
        name = (self.name or short_name(source)) + suffix
        return name, self.group or name


def short_name(source: str) -> str:
    """A name for ML Commons from a preset, a folder or a hub id."""
    last = source.rstrip("/").rsplit("/", maxsplit=1)[-1]
    return re.sub(r"[^a-z0-9._-]+", "-", last.lower()).strip("-") or "model"


def model_kind(name: str, options: LoadOptions) -> Kind:
    """Whether a model is dense or sparse, by its own files.

    Raises:
        EncoderError: There is no such model.
    """
    from encoders.layout import read_modules
    from encoders.prior import is_prior
    from encoders.source import find_source

    source = find_source(name, options)
    if source.preset is not None:
        return source.preset.kind
    if is_prior(source.folder):
        return "sparse"
    modules = {module.name for module in read_modules(source.folder)}
    signs = {"SpladePooling", "SparseStaticEmbedding", "MLMTransformer", "Router", "Asym"}
    return "sparse" if modules & signs else "dense"


def dense_package(
    name: str,
    options: LoadOptions,
    naming: Naming,
    *,
    space_type: str | None,
    graph_format: GraphFormat = "onnx",
) -> Package:
    """A dense model as ``TEXT_EMBEDDING``.

    Raises:
        EncoderError: It cannot be exported.
    """
    model = _source_model(name, options, "dense")
    prepared = _prepared(model, options, graph_format)
    export = prepared.export
    settings = DenseSettings(
        dimension=export["dimension"],
        model_type=export["model_type"],
        pooling_mode=export["pooling_mode"],
        normalize_result=export["normalize_result"],
        query_prompt=export["query_prompt"],
        document_prompt=export["document_prompt"],
        space_type=space_type,
    )
    label, group = naming.card_names(model.name)
    card = ModelCard(
        name=label,
        group=group,
        function="TEXT_EMBEDDING",
        format=prepared.format,
        fingerprint=export["fingerprint"],
        source=model.name,
        settings=dense_config(settings),
    )
    asked: tuple[ContentType | None, ...] = ("query", "passage") if settings.asymmetric else (None,)
    cut = _reference_options(model, options, export["max_tokens"])
    return Package(card, prepared.bundle, lambda: DenseReference(load_dense(name, cut), asked))


def sparse_packages(
    name: str,
    options: LoadOptions,
    naming: Naming,
    *,
    tokenizer_only: bool,
    graph_format: GraphFormat = "onnx",
) -> list[Package]:
    """A sparse model as ``SPARSE_ENCODING``; for inference-free queries their side as well.

    Args:
        name: The model.
        options: How it is loaded.
        naming: How it is to be called; the query side gets ``-query`` behind it.
        tokenizer_only: Only the query side.
        graph_format: What the graph is written in.

    Raises:
        ModelError: There is no query side of its own, or the model reads prompts.
        EncoderError: It cannot be exported.
    """
    model = _source_model(name, options, "sparse")
    if tokenizer_only and model.query_weights is None:
        msg = (
            f"{name} encodes queries by its network: it has no tokenizer-only query side. Push it "
            "without --tokenizer-only and use it for queries, too."
        )
        raise ModelError(msg)
    _refuse_prompts(model)
    queries = (
        [_query_package(model, name, options, naming)] if model.query_weights is not None else []
    )
    if tokenizer_only:
        return queries
    prepared = _prepared(model, options, graph_format)
    return [_encoding_package(model, name, options, naming, prepared), *queries]


def lexical_package(encoder: LexicalEncoder, index: str, naming: Naming) -> Package:
    """The query side of an index with lexical token weights, as ``SPARSE_TOKENIZE``.

    The node counts a repeated word of a query once; the local encoder counts each.
    """
    tokenizer = encoder.vocabulary.tokenizer
    names = tokenizer.whole.get_vocab(with_added_tokens=True)
    idf = encoder.statistics.idf()
    weights = {
        token: min(float(idf[number]), MAX_QUERY_WEIGHT)
        for token, number in names.items()
        if encoder.vocabulary.content[number] and idf[number] > 0
    }
    label, group = (naming.name or f"{index}-lexical-query"), naming.group
    card = ModelCard(
        name=label,
        group=group or label,
        function="SPARSE_TOKENIZE",
        format="TORCH_SCRIPT",
        fingerprint=encoder.identity.fingerprint,
        source=encoder.identity.model,
    )

    def expected(texts: Sequence[str]) -> list[TokenWeights]:
        found = _named(encoder, encoder.encode_queries)(texts)
        return [{token: weights[token] for token in row} for row in found]

    return Package(
        card,
        _tokenizer_bundle(tokenizer, weights),
        lambda: SparseReference(expected, tokenizer_only=True),
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    bundle: Bundle
    export: Mapping[str, Any]
    format: Format = "ONNX"


def _source_model(name: str, options: LoadOptions, kind: Kind) -> Model:
    model = read_model(name, options, kind)
    if model.files is None:
        msg = (
            f"{name} is an exported folder. Push the model it was made from: a node's runtime "
            "needs an export of its own."
        )
        raise ModelError(msg)
    return model


def _prepared(model: Model, options: LoadOptions, graph_format: GraphFormat) -> _Prepared:
    """The cached bundle of a model, exported on the first call."""
    text = json.dumps(model.settings.text.as_dict(), sort_keys=True)
    key = _digest(model.graph_fingerprint, model.tokenizer_digest, text, graph_format)
    target = cache_folder() / "ml-commons" / f"v{PACKAGE_VERSION}.{EXPORT_VERSION}" / key
    write = _write_onnx if graph_format == "onnx" else _write_torchscript

    def build(folder: Path) -> None:
        files, description = write(model, folder / "export", options)
        if description["kind"] == "sparse":
            _name_tokens_plainly(files)
        write_bundle(files, folder / _BUNDLE)
        text = json.dumps(description, ensure_ascii=False, indent=2)
        (folder / _DESCRIPTION).write_text(text, encoding="utf-8")
        shutil.rmtree(folder / "export")

    if not target.is_dir():
        logger.warning("Exporting %s for ML Commons (once; kept in %s)", model.name, target)
    folder = build_once(target, build)
    description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    made: Format = "ONNX" if graph_format == "onnx" else "TORCH_SCRIPT"
    return _Prepared(read_bundle(folder / _BUNDLE), description, made)


def _write_onnx(model: Model, folder: Path, options: LoadOptions) -> _Written:
    # The node itself is the gate: what it answers is compared with the encoder.
    export = export_for_ml_commons(
        model,
        folder,
        trust_remote_code=options.trust_remote_code,
        options=ExportOptions(gate=False),
    )
    left_out = ("folder", "files", "query_files")
    described = {key: value for key, value in asdict(export).items() if key not in left_out}
    return list(export.files), described


def _write_torchscript(model: Model, folder: Path, options: LoadOptions) -> _Written:
    known = as_the_node_reads(model)
    folder.mkdir()
    made = write_torchscript(
        known, folder, ExportOptions(), trust_remote_code=options.trust_remote_code
    )
    text = known.settings.text
    described = {
        "kind": known.settings.graph.kind,
        "dimension": known.settings.graph.width,
        "max_tokens": text.max_tokens,
        "model_type": model_type(known),
        "pooling_mode": "MEAN",  # the graph has pooled; for TorchScript the node does not look
        "normalize_result": False,
        "query_prompt": text.query_prompt,
        "document_prompt": text.document_prompt,
        "fingerprint": encoder_identity(known).fingerprint,
    }
    return [folder / name for name in made.files], described


def _reference_options(model: Model, options: LoadOptions, max_tokens: int) -> LoadOptions:
    """Load the local encoder as the node reads, and without a second export where none is kept."""
    kept = (cache_folder() / "onnx" / f"v{EXPORT_VERSION}" / model.graph_fingerprint).is_dir()
    return replace(options, max_tokens=max_tokens, runtime="auto" if kept else "torch")


def _name_tokens_plainly(files: Iterable[Path]) -> None:
    for path in files:
        if path.name == "tokenizer.json":
            plain = with_plain_names(path.read_text(encoding="utf-8"))
            path.write_text(plain, encoding="utf-8")


def _encoding_package(
    model: Model, name: str, options: LoadOptions, naming: Naming, prepared: _Prepared
) -> Package:
    label, group = naming.card_names(model.name)
    card = ModelCard(
        name=label,
        group=group,
        function="SPARSE_ENCODING",
        format=prepared.format,
        fingerprint=prepared.export["fingerprint"],
        source=model.name,
    )
    cut = _reference_options(model, options, prepared.export["max_tokens"])

    def reference() -> SparseReference:
        encoder = load_sparse(name, cut)
        return SparseReference(_named(encoder, encoder.encode_documents))

    return Package(card, prepared.bundle, reference)


def _query_package(model: Model, name: str, options: LoadOptions, naming: Naming) -> Package:
    table = model.query_weights
    assert table is not None  # the caller has looked
    names = model.tokenizer.whole.get_vocab(with_added_tokens=True)
    weights = {
        token: float(table[number])
        for token, number in names.items()
        if number < len(table) and table[number] > 0
    }
    label, group = naming.card_names(model.name, "-query")
    encoder = SpladeEncoder(model, _NO_NETWORK)
    card = ModelCard(
        name=label,
        group=group,
        function="SPARSE_TOKENIZE",
        format="TORCH_SCRIPT",
        fingerprint=encoder.identity.fingerprint,
        source=model.name,
    )
    expected = _named(encoder, encoder.encode_queries)
    return Package(
        card,
        _tokenizer_bundle(model.tokenizer, weights),
        lambda: SparseReference(expected, tokenizer_only=True),
    )


def _tokenizer_bundle(tokenizer: TextTokenizer, weights: TokenWeights) -> Bundle:
    shorter = replace(
        tokenizer, max_tokens=min(tokenizer.max_tokens, NODE_MAX_TOKENS), special_tokens=True
    )
    files = query_side_files(node_tokenizer(shorter), weights)
    key = _digest(*(f"{name}\0{content}" for name, content in sorted(files.items())))
    target = cache_folder() / "ml-commons" / f"v{PACKAGE_VERSION}" / f"query-{key}"

    def build(folder: Path) -> None:
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        write_bundle([folder / name for name in files], folder / _BUNDLE)

    return read_bundle(build_once(target, build) / _BUNDLE)


def _named(
    encoder: SparseEncoder, encode: Callable[[Sequence[str]], Any]
) -> Callable[[Sequence[str]], list[TokenWeights]]:
    return lambda texts: [named_weights(encoder, vector) for vector in encode(texts)]


def _refuse_prompts(model: Model) -> None:
    text = model.settings.text
    if text.query_prompt or text.document_prompt:
        msg = (
            f"{model.name} reads prompts before its texts; ML Commons cannot put them before those "
            "of a sparse model. Run it beside the cluster: tandem serve."
        )
        raise ModelError(msg)


class _NoNetwork:
    """Stands where a runner would: the query side of an inference-free model needs none."""

    description = "no network"
    accelerated = False

    def run(self, batch: Any) -> FloatMatrix:
        msg = "inference-free queries do not run a network"
        raise ModelError(msg)


_NO_NETWORK = _NoNetwork()


def _digest(*parts: str) -> str:
    from hashlib import sha256

    digest = sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0\0")
    return digest.hexdigest()[:32]
