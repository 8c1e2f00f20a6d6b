"""A version's models in the cluster: fetched, checked, and pushed as any other model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from encoders.lexical import NAME as LEXICAL
from encoders.service_address import is_service
from opensearch.ml.upload import PushProgress
from opensearch.workflows.model_packages import Kind, Naming
from opensearch.workflows.push_model import Pushed, PushRequest, push
from operations.registry.errors import RegistryError
from operations.registry.fetching import Fetched
from operations.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How a version is pushed.

    Attributes:
        deploy: Load the models into the nodes' memory and verify them.
        statistics_of: Index whose word statistics the lexical query side is for.
        apply_settings: Change cluster settings that stand in the way.
    """

    deploy: bool = True
    statistics_of: str | None = None
    apply_settings: bool = False


def push_version(
    client: Any,
    registry: Registry,
    name: str,
    ref: str,
    options: PushOptions,
    progress: PushProgress | None = None,
) -> list[Pushed]:
    """Push a version's models; each is named ``NAME-KIND-VERSION`` in the group ``NAME-KIND``.

    Pushing again changes nothing.

    Raises:
        RegistryError: The version has nothing that a node could run.
        TamperedError: The files are not what was published.
        ModelError: The cluster refuses.
    """
    fetched = registry.fetch(name, ref)
    requests = list(_requests(fetched, options))
    if not requests:
        msg = (
            f"{name} {fetched.manifest.version} has no model that a node could run: services stay "
            "where they are, and the lexical query side needs an index: --statistics-of INDEX."
        )
        raise RegistryError(msg)
    return [pushed for request in requests for pushed in push(client, request, progress)]


def _requests(fetched: Fetched, options: PushOptions) -> Iterator[PushRequest]:
    kinds: tuple[tuple[Kind, str | None], ...] = (
        ("dense", fetched.dense),
        ("sparse", fetched.sparse),
    )
    for kind, model in kinds:
        group = f"{fetched.manifest.name}-{kind}"
        naming = Naming(f"{group}-{fetched.manifest.version}", group)
        if model == LEXICAL and options.statistics_of is not None:
            yield _request(None, None, naming, options)
        elif model is not None and model != LEXICAL and not is_service(model):
            yield _request(model, kind, naming, options)


def _request(
    model: str | None, kind: Kind | None, naming: Naming, options: PushOptions
) -> PushRequest:
    return PushRequest(
        model=model,
        kind=kind,
        naming=naming,
        deploy=options.deploy,
        statistics_of=options.statistics_of if model is None else None,
        apply_settings=options.apply_settings,
    )
