"""The difference between a file and a cluster: found, shown, applied, removed."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch.errors import ForbiddenError, SearchBackendError
from opensearch.pipeline_files.bodies import Resolver, ingest_body, is_managed, search_body
from opensearch.pipeline_files.cluster import (
    KINDS,
    SETTINGS,
    Kind,
    Use,
    all_default_pipelines,
    attach,
    check_name,
    defaults_of,
    delete_pipeline,
    detach,
    read_pipelines,
    users_of,
    write_pipeline,
)
from opensearch.pipeline_files.schema import PipelineFile


class ForeignPipelineError(SearchBackendError):
    """A pipeline of that name was not written from a file."""


class PipelineInUseError(SearchBackendError):
    """Indices send their writers or searches through the pipeline."""


@dataclass(frozen=True, slots=True)
class PipelineChange:
    """A pipeline that is not as the file says.

    Attributes:
        kind: Ingest or search.
        name: Its name.
        before: As the cluster holds it; ``None``: not at all.
        after: As the file wants it.
    """

    kind: Kind
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.kind} pipeline {self.name}"

    def diff(self) -> str:
        """Unified diff of the JSON, lines as in Dev Tools."""
        return _diff(self.title, self.before, self.after)

    def apply(self, client: Any) -> None:
        """Write the pipeline."""
        write_pipeline(client, self.kind, self.name, self.after)


@dataclass(frozen=True, slots=True)
class DefaultChange:
    """An index whose default pipeline is not as the file says.

    Attributes:
        use: The index and its setting.
        before: Pipeline that it names now.
        after: Pipeline that it shall name.
    """

    use: Use
    before: str | None
    after: str

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"index {self.use.index}"

    def diff(self) -> str:
        """Unified diff of the one setting."""
        before = None if self.before is None else {self.use.setting: self.before}
        return _diff(self.title, before, {self.use.setting: self.after})

    def apply(self, client: Any) -> None:
        """Set the setting."""
        attach(client, self.use, self.after)


Change = PipelineChange | DefaultChange


def wanted_pipelines(
    file: PipelineFile, resolve: Resolver
) -> dict[tuple[Kind, str], dict[str, Any]]:
    """Bodies of all pipelines of a file."""
    bodies: dict[tuple[Kind, str], dict[str, Any]] = {}
    for name, ingest in file.ingest.items():
        bodies["ingest", name] = ingest_body(ingest, resolve)
    for name, search in file.search.items():
        bodies["search", name] = search_body(search, resolve)
    for _, name in bodies:
        check_name(name)
    return bodies


def find_changes(
    client: Any, file: PipelineFile, resolve: Resolver, *, force: bool = False
) -> list[Change]:
    """What must be done so that the cluster is as the file says, in order.

    Args:
        client: The OpenSearch client.
        file: The file.
        resolve: Names of models to ids.
        force: Also overwrite pipelines that were not written from a file.

    Raises:
        ForeignPipelineError: Such a pipeline would be overwritten.
        IndexNotFoundError: An index of the file does not exist.
    """
    changes: list[Change] = []
    for (kind, name), after in wanted_pipelines(file, resolve).items():
        before = read_pipelines(client, kind, name).get(name)
        if before is not None and not is_managed(before) and not force:
            msg = (
                f"The cluster has a {kind} pipeline {name!r} that Tandem did not write. Choose "
                "another name, or overwrite it with --force (`tandem pipelines diff --force` "
                "shows what that changes)."
            )
            raise ForeignPipelineError(msg)
        if before is None or _canonical(before) != _canonical(after):
            changes.append(PipelineChange(kind, name, before, after))
    return [*changes, *_default_changes(client, file)]


def _default_changes(client: Any, file: PipelineFile) -> list[DefaultChange]:
    wanted = [(kind, n, p.index) for kind, n, p in _declared(file) if p.index is not None]
    changes = []
    for kind, name, index in wanted:
        for physical, settings in defaults_of(client, index).items():
            use = Use(physical, SETTINGS[kind][0])
            before = settings.get(use.setting)
            if before != name:
                changes.append(DefaultChange(use, before, name))
    return changes


def _declared(file: PipelineFile) -> Iterable[tuple[Kind, str, Any]]:
    yield from (("ingest", name, pipeline) for name, pipeline in file.ingest.items())
    yield from (("search", name, pipeline) for name, pipeline in file.search.items())


def apply_changes(client: Any, changes: Sequence[Change]) -> None:
    """Do what :func:`find_changes` found: pipelines first, then the indices that name them.

    Raises:
        SearchBackendError: OpenSearch refused one; those before it are applied, and running again
            continues.
    """
    for change in changes:
        change.apply(client)


@dataclass(frozen=True, slots=True)
class Removal:
    """What removing a file's pipelines did, or would do.

    Attributes:
        pipelines: Kind and name of what exists.
        detached: Indices that used them.
        absent: Kind and name of what does not exist.
    """

    pipelines: tuple[tuple[Kind, str], ...]
    detached: tuple[Use, ...]
    absent: tuple[tuple[Kind, str], ...]


def find_removal(client: Any, file: PipelineFile) -> Removal:
    """What of a file the cluster holds, and which indices use it."""
    present: list[tuple[Kind, str]] = []
    absent: list[tuple[Kind, str]] = []
    uses: list[Use] = []
    defaults = _visible_defaults(client, file)
    for kind, name, _ in _declared(file):
        known = name in read_pipelines(client, kind, name)
        (present if known else absent).append((kind, name))
        uses += users_of(defaults, kind, name)
    return Removal(tuple(present), tuple(uses), tuple(absent))


def _visible_defaults(client: Any, file: PipelineFile) -> dict[str, dict[str, str]]:
    """Settings of all indices, or of the file's own where the user may see no others."""
    try:
        return all_default_pipelines(client)
    except ForbiddenError:
        named = {pipeline.index for _, _, pipeline in _declared(file) if pipeline.index}
        found = (defaults_of(client, index) for index in sorted(named))
        return {name: settings for part in found for name, settings in part.items()}


def remove_pipelines(client: Any, removal: Removal, *, force: bool = False) -> None:
    """Remove pipelines.

    Args:
        client: The OpenSearch client.
        removal: From :func:`find_removal`.
        force: Detach indices that use them, and remove pipelines that were not written from a file.

    Raises:
        PipelineInUseError: Indices use them; nothing was removed.
        ForeignPipelineError: One was not written from a file; nothing was removed.
    """
    if not force:
        _refuse_used(removal)
        for kind, name in removal.pipelines:
            if not is_managed(read_pipelines(client, kind, name).get(name, {})):
                msg = f"Tandem did not write the {kind} pipeline {name!r}; --force removes it."
                raise ForeignPipelineError(msg)
    for use in removal.detached:
        detach(client, use)
    for kind, name in removal.pipelines:
        delete_pipeline(client, kind, name)


def _refuse_used(removal: Removal) -> None:
    if removal.detached:
        uses = ", ".join(f"{use.index} ({use.setting})" for use in removal.detached)
        msg = (
            f"Indices use these pipelines: {uses}. With --force they are detached: documents "
            "written from then on are not encoded, and searches bring models and fusion themselves."
        )
        raise PipelineInUseError(msg)


@dataclass(frozen=True, slots=True)
class Listed:
    """A pipeline of the cluster.

    Attributes:
        kind: Ingest or search.
        name: Its name.
        managed: Whether it was written from a file.
        description: Its description.
        models: Ids of the models it names.
        indices: Indices whose default it is; ``None``: the user may not see it.
    """

    kind: Kind
    name: str
    managed: bool
    description: str
    models: tuple[str, ...]
    indices: tuple[str, ...] | None

    def as_dict(self) -> dict[str, Any]:
        """The pipeline as JSON-ready values."""
        return {
            "kind": self.kind,
            "name": self.name,
            "managed": self.managed,
            "description": self.description,
            "models": list(self.models),
            "indices": None if self.indices is None else list(self.indices),
        }


def list_pipelines(client: Any) -> list[Listed]:
    """Every pipeline of the cluster, with the indices that use it."""
    defaults: dict[str, dict[str, str]] | None
    try:
        defaults = all_default_pipelines(client)
    except ForbiddenError:
        defaults = None
    return [
        Listed(
            kind=kind,
            name=name,
            managed=is_managed(body),
            description=str(body.get("description", "")),
            models=tuple(sorted(set(model_ids(body)))),
            indices=_using(defaults, kind, name),
        )
        for kind in KINDS
        for name, body in sorted(read_pipelines(client, kind).items())
    ]


def _using(
    defaults: Mapping[str, Mapping[str, str]] | None, kind: Kind, name: str
) -> tuple[str, ...] | None:
    if defaults is None:
        return None
    return tuple(use.index for use in users_of(defaults, kind, name))


def model_ids(body: Any) -> Iterable[str]:
    """Ids of models anywhere in a pipeline."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key in ("model_id", "default_model_id") and isinstance(value, str):
                yield value
            elif key == "neural_field_default_id" and isinstance(value, Mapping):
                yield from map(str, value.values())
            else:
                yield from model_ids(value)
    elif isinstance(body, list):
        for value in body:
            yield from model_ids(value)


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)


def _diff(title: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    lines = difflib.unified_diff(
        _lines(before),
        _lines(after),
        fromfile=f"{title} (cluster)" if before is not None else "/dev/null",
        tofile=f"{title} (file)",
        lineterm="",
    )
    return "\n".join(lines)


def _lines(body: Mapping[str, Any] | None) -> list[str]:
    """Indented JSON; the lines of a script stand as lines, so that its changes can be read."""
    if body is None:
        return []
    text = json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False)
    return text.replace("\\n", "\n").splitlines()
