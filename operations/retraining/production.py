"""What is in production: what a candidate is held against."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from encoders.base import EncoderIdentity
from opensearch.index_info import IndexInfo, read_index_info
from operations.registry.manifest import Manifest
from operations.retraining.context import Context
from operations.retraining.errors import RetrainingError
from operations.retraining.job import Leg

PRODUCTION = "production"
LEGS: tuple[Leg, ...] = ("dense", "sparse")

Source = Literal["registry", "index", "job", "nothing"]


@dataclass(frozen=True)
class Production:
    """The encoders in production.

    Attributes:
        source: Where that is known from.
        version: The version, where the registry names one.
        models: Leg -> what ``load_dense`` and ``load_sparse`` take.
        options: How they are loaded, as the index remembers.
    """

    source: Source
    version: str | None = None
    models: Mapping[Leg, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def named(self) -> str:
        """It in a few words."""
        models = ", ".join(f"{leg} {model}" for leg, model in self.models.items())
        of = f"version {self.version}, " if self.version else ""
        return f"{of}{models} (named by the {self.source})" if models else "none"


def find_production(context: Context) -> Production:
    """The version tagged ``production``; else what the job names; else what the index names.

    Raises:
        RetrainingError: The index is searched with another encoder than the tag says.
        OperationsError: The registry is damaged.
        SearchBackendError: The index cannot be read.
    """
    job = context.job
    tags = context.registry.tags(job.name) if job.name in context.registry.names() else {}
    if PRODUCTION in tags:
        found = context.registry.fetch(job.name, PRODUCTION)
        if job.index:
            refuse_disagreement(read_index_info(context.client, job.index), found.manifest)
        return Production("registry", str(found.manifest.version), _models(found))
    if job.production:
        return Production("job", None, dict(job.production))
    return _of_index(context) if job.index else Production("nothing")


def refuse_disagreement(info: IndexInfo, manifest: Manifest) -> None:
    """Refuse a tag that a rollback of the index has left behind.

    Raises:
        RetrainingError: The index is searched with another encoder than the version's.
    """
    if info.notes.get("encoder_options"):  # the same model, loaded otherwise, is another encoder
        return
    pairs = ((info.dense, manifest.dense), (info.sparse, manifest.sparse))
    for searched, entry in pairs:
        published = entry.identity.get("fingerprint") if entry else None
        if searched and published and searched.fingerprint != published:
            msg = (
                f"The registry has {manifest.name} {manifest.version} in production, but "
                f"{info.name} ({info.physical}) is searched with another {searched.kind} encoder, "
                f"{searched.model}. After a rollback the tag must follow: tandem registry promote "
                f"{manifest.name} VERSION. Or bring the index to the version: tandem reindex "
                f"{info.name} --model {PRODUCTION}."
            )
            raise RetrainingError(msg)


def _of_index(context: Context) -> Production:
    info = read_index_info(context.client, str(context.job.index))
    identities: dict[Leg, EncoderIdentity | None] = {"dense": info.dense, "sparse": info.sparse}
    models = {leg: found.model for leg, found in identities.items() if found is not None}
    return Production("index", None, models, dict(info.notes.get("encoder_options", {})))


def _models(found: Any) -> dict[Leg, str]:
    models: dict[Leg, str | None] = {"dense": found.dense, "sparse": found.sparse}
    return {leg: model for leg, model in models.items() if model is not None}
