"""Push an encoder into the cluster: export, upload, deploy, verify."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from opensearch.capabilities import Capabilities, detect
from opensearch.encoder_store import load_state
from opensearch.index_info import read_index_info
from opensearch.ml.catalogue import ModelInfo, find_model, list_models
from opensearch.ml.deployment import DEFAULT_DEADLINE_S, deploy, undeploy
from opensearch.ml.errors import ModelError, ModelTaskFailedError, VerificationError
from opensearch.ml.prediction import predict_dense, predict_sparse
from opensearch.ml.preflight import (
    apply_settings,
    obstacles,
    read_state,
    refuse_obstacles,
    require_ml_commons,
)
from opensearch.ml.upload import PushProgress, Silent, upload
from opensearch.ml.verification import (
    VERIFICATION_TEXTS,
    Verification,
    compare_dense,
    compare_sparse,
    require_agreement,
)
from opensearch.workflows.model_packages import (
    DenseReference,
    GraphFormat,
    Kind,
    Naming,
    Package,
    SparseReference,
    dense_package,
    lexical_package,
    model_kind,
    sparse_packages,
)

_SPACE_TYPE = "innerproduct"
_SPACE_TYPE_SINCE = (3, 1)
LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class PushRequest:
    """What to push.

    Attributes:
        model: Preset, folder or hub id; ``None`` with ``statistics_of``.
        kind: ``None`` is what the model's own files say.
        naming: Name and group.
        options: How the model is loaded.
        deploy: Load it into the nodes' memory and verify it.
        tokenizer_only: Of an inference-free sparse model, only the query side.
        statistics_of: Index whose lexical token weights the query side is for.
        graph_format: What the graph is written in.
        texts: Texts to verify on, besides the fixed ones.
        timeout_s: How long a deployment may take.
        apply_settings: Change cluster settings that stand in the way.
    """

    model: str | None = None
    kind: Kind | None = None
    naming: Naming = field(default_factory=Naming)
    options: LoadOptions = field(default_factory=LoadOptions)
    deploy: bool = True
    tokenizer_only: bool = False
    statistics_of: str | None = None
    graph_format: GraphFormat = "onnx"
    texts: tuple[str, ...] = ()
    timeout_s: float = DEFAULT_DEADLINE_S
    apply_settings: bool = False


@dataclass(frozen=True, slots=True)
class Pushed:
    """A model that is in the cluster.

    Attributes:
        model: The model.
        how: ``found``, ``continued`` or ``registered``.
        chunks_sent: Chunks sent just now.
        verification: How it agrees with the local encoder; ``None`` where it is not deployed.
        seconds: Time taken by upload, deployment and verification.
    """

    model: ModelInfo
    how: Literal["found", "continued", "registered"]
    chunks_sent: int
    verification: Verification | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON-ready values."""
        return {
            **self.model.as_dict(),
            "how": self.how,
            "chunks_sent": self.chunks_sent,
            "verification": self.verification.as_dict() if self.verification else None,
            "seconds": round(self.seconds, 2),
        }


def push(client: Any, request: PushRequest, progress: PushProgress | None = None) -> list[Pushed]:
    """Push a model; an inference-free sparse one becomes two models, documents and queries.

    Pushing again what is there already changes nothing, and an upload that broke off goes on.

    Raises:
        CapabilityError: The cluster has no ML Commons.
        PreflightError: Its settings keep models from its nodes.
        EncoderError: The model cannot be exported.
        ModelTaskFailedError: The nodes could not load it.
        VerificationError: It does not give what the local encoder gives; it was undeployed.
    """
    progress = progress or Silent()
    capabilities = detect(client)
    require_ml_commons(capabilities)
    packages = _packages(client, request, capabilities)
    if request.deploy:
        _preflight(client, packages, apply=request.apply_settings)
    return [_push_one(client, package, request, progress) for package in packages]


def verify(client: Any, model_id: str, package: Package, texts: Sequence[str]) -> Verification:
    """Ask a deployed model and the local encoder the same texts, and compare.

    Raises:
        ModelError: The node's answer is none.
        VerificationError: It has another form than the encoder's.
    """
    reference = package.reference()
    if isinstance(reference, SparseReference):
        return _verify_sparse(client, model_id, reference, texts)
    return _verify_dense(client, model_id, reference, texts)


def _packages(client: Any, request: PushRequest, capabilities: Capabilities) -> list[Package]:
    if request.statistics_of is not None:
        return [_lexical(client, request.statistics_of, request)]
    if request.model is None or request.model == LEXICAL:
        msg = (
            "Name a model (preset, folder or hub id), or an index whose lexical query side is to "
            "be pushed: --statistics-of INDEX."
        )
        raise ModelError(msg)
    kind = request.kind or model_kind(request.model, request.options)
    if kind == "sparse":
        return sparse_packages(
            request.model,
            request.options,
            request.naming,
            tokenizer_only=request.tokenizer_only,
            graph_format=request.graph_format,
        )
    if request.tokenizer_only:
        msg = f"{request.model} is dense: it has no tokenizer-only query side."
        raise ModelError(msg)
    known = capabilities.version is not None and capabilities.version >= _SPACE_TYPE_SINCE
    space_type = _SPACE_TYPE if known else None
    package = dense_package(
        request.model,
        request.options,
        request.naming,
        space_type=space_type,
        graph_format=request.graph_format,
    )
    return [package]


def _lexical(client: Any, index: str, request: PushRequest) -> Package:
    if request.model not in (None, LEXICAL):
        msg = f"--statistics-of takes no other model than `{LEXICAL}`, not {request.model!r}."
        raise ModelError(msg)
    info = read_index_info(client, index)
    if info.sparse is None or info.sparse.model != LEXICAL:
        found = info.sparse.model if info.sparse else "none"
        msg = (
            f"The index {index!r} has no lexical token weights (its sparse encoder: {found}). Push "
            "that encoder by its own name."
        )
        raise ModelError(msg)
    encoder = LexicalEncoder.from_state(load_state(client, info.sparse.fingerprint))
    return lexical_package(encoder, index, request.naming)


def _preflight(client: Any, packages: Sequence[Package], *, apply: bool) -> None:
    models = list_models(client)
    deployed = [model for model in models if model.deployed and model.function != "REMOTE"]
    there = {model.content_hash for model in deployed}
    new = sum(package.bundle.sha256 not in there for package in packages)
    found = obstacles(read_state(client, len(deployed)), new)
    if found and apply:
        apply_settings(client, found)
        return
    refuse_obstacles(found)


def _push_one(
    client: Any, package: Package, request: PushRequest, progress: PushProgress
) -> Pushed:
    started = monotonic()
    card, bundle = package.card, package.bundle
    done = upload(client, card, bundle, progress)
    model, verification = done.model, None
    if request.deploy:
        if not model.deployed:
            progress.stage(f"Deploying {model.label}")
        deploy(client, model, deadline_s=request.timeout_s)
        progress.stage(f"Verifying {model.label}")
        verification = _verified(client, model, package, request.texts)
    return Pushed(
        model=find_model(client, model.id),
        how=done.how,
        chunks_sent=done.chunks_sent,
        verification=verification,
        seconds=monotonic() - started,
    )


def _verified(
    client: Any, model: ModelInfo, package: Package, texts: Sequence[str]
) -> Verification:
    try:
        found = verify(client, model.id, package, (*VERIFICATION_TEXTS, *texts))
        require_agreement(found, model.label)
    except (VerificationError, ModelTaskFailedError):
        undeploy(client, model)
        raise
    return found


def _verify_dense(
    client: Any, model_id: str, reference: DenseReference, texts: Sequence[str]
) -> Verification:
    found = []
    for content_type in reference.content_types:
        vectors = predict_dense(client, model_id, texts, content_type=content_type)
        found.append(compare_dense(texts, reference.expected(texts, content_type), vectors))
    return min(found, key=lambda verification: verification.lowest_cosine or 0.0)


def _verify_sparse(
    client: Any, model_id: str, reference: SparseReference, texts: Sequence[str]
) -> Verification:
    function: Literal["sparse_tokenize", "sparse_encoding"] = (
        "sparse_tokenize" if reference.tokenizer_only else "sparse_encoding"
    )
    weights = predict_sparse(client, model_id, texts, function=function)
    return compare_sparse(reference.expected(texts), weights)
