"""Create the new physical index beside the old one, or find the build that was begun."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from encoders.base import stamp_of
from opensearch.index_info import IndexInfo
from opensearch.index_spec import seismic_name
from opensearch.workflows.build import dense_floor, heaviest_weight
from operations.reindexing.catalogue import version_infos, version_of
from operations.reindexing.copying import as_chunk
from operations.reindexing.job import ReindexJob
from operations.reindexing.legs import Legs
from operations.reindexing.naming import next_number, physical_name
from operations.reindexing.patience import Patience
from operations.reindexing.shards import Reader
from operations.reindexing.state import BuildState, first_state, note_state, read_physical
from operations.reindexing.target import (
    Changes,
    dropped_pipelines,
    new_body,
    new_companion_body,
)

SURVEY_PASSAGES = 512
# New passages become visible now and then while a long build goes on.
REFRESH_DURING_BUILD = "30s"


@dataclass(frozen=True, slots=True)
class Build:
    """A build, begun or found.

    Attributes:
        info: The new index.
        state: How far it is.
        resumed: Whether an earlier run had begun it.
        refresh_interval: The old index's own, for when the build is done.
        warnings: What a person should know.
    """

    info: IndexInfo
    state: BuildState
    resumed: bool
    refresh_interval: str | None
    warnings: tuple[str, ...] = ()


def open_build(client: Any, job: ReindexJob, legs: Legs, patience: Patience) -> Build:
    """Find the build that an earlier run of the same job began, or begin one.

    Raises:
        SearchBackendError: OpenSearch refused.
    """
    old = read_body(client, legs.before.physical, patience)
    index = old["settings"]["index"]
    known = patience(
        f"listing the versions of {job.index}", lambda: version_infos(client, job.index)
    )
    found = _begun(job, legs, known, index["uuid"])
    if found is not None:
        info, state = found
        return Build(info, state, resumed=True, refresh_interval=index.get("refresh_interval"))
    physical = physical_name(job.index, job.version, next_number(job.index, job.version, known))
    changes = _changes(client, job, legs, patience)
    _create(client, physical, _bodies(client, old, legs, changes, patience), patience)
    info = read_physical(client, patience, job.index, physical)
    state = first_state(legs.before.physical, index["uuid"], int(index["number_of_shards"]))
    note_state(client, patience, info, state)
    warnings = tuple(_warnings(old, changes, known))
    return Build(info, state, False, index.get("refresh_interval"), warnings)


def read_body(client: Any, physical: str, patience: Patience) -> dict[str, Any]:
    """Settings and mapping of an index, as the server tells them."""
    answer = patience(f"reading {physical}", lambda: client.indices.get(index=physical))
    body: dict[str, Any] = answer[physical]
    return body


def _begun(
    job: ReindexJob, legs: Legs, known: Mapping[str, IndexInfo], source_id: str
) -> tuple[IndexInfo, BuildState] | None:
    for info in reversed(list(known.values())):
        state = BuildState.of(info)
        if (
            state is not None
            and state.phase != "done"
            and info.physical != legs.before.physical
            and (state.source, state.source_id) == (legs.before.physical, source_id)
            and version_of(info) == job.version
            and stamp_of(info.dense, info.sparse) == legs.stamp
        ):
            return info, state
    return None


def _changes(client: Any, job: ReindexJob, legs: Legs, patience: Patience) -> Changes:
    texts: list[str] = []
    if legs.new.dense is not None or legs.new.sparse is not None:
        texts = survey(Reader(client, legs.before.physical, patience))
    floor = dense_floor(legs.new.dense, texts) if legs.new.dense is not None else None
    return Changes(
        version=job.version,
        dense=legs.dense,
        sparse=legs.sparse,
        encoder_options=legs.options,
        changed=legs.changed,
        dense_floor=floor,
        max_sparse_weight=heaviest_weight(legs.new.sparse, texts),
        shards=job.shards,
        replicas=job.replicas,
    )


def survey(reader: Reader) -> list[str]:
    """Some stored passages, at random, always the same of the same index."""
    chance = {"random_score": {"seed": 5, "field": "_seq_no"}}
    query = {"bool": {"must_not": [{"term": {"level": "coarse"}}]}}
    reader.refresh()
    found = reader.search(
        {
            "size": SURVEY_PASSAGES,
            "query": {"function_score": {"query": query, **chance}},
            "_source": ["doc_id", "title", "text"],
        }
    )
    return [as_chunk(stored).passage for stored in found]


def _bodies(
    client: Any, old: Mapping[str, Any], legs: Legs, changes: Changes, patience: Patience
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    info = legs.before
    main = new_body(old, info, changes)
    main["settings"]["index"]["refresh_interval"] = REFRESH_DURING_BUILD
    if info.sparse_field != "seismic" or legs.sparse is None:
        return main, None
    before = read_body(client, seismic_name(info.physical), patience) if info.sparse else None
    return main, new_companion_body(before, info, changes, kept=legs.kept("sparse"))


def _create(
    client: Any,
    physical: str,
    bodies: tuple[dict[str, Any], dict[str, Any] | None],
    patience: Patience,
) -> None:
    main, companion = bodies
    if companion is not None:
        # The main index last: where it stands, its companion does too; one without is a leftover.
        name = seismic_name(physical)
        patience(
            f"deleting what is left of {name}",
            lambda: client.indices.delete(index=name, params={"ignore": 404}),
        )
        _create_one(client, name, companion, patience)
    _create_one(client, physical, main, patience)


def _create_one(client: Any, physical: str, body: Mapping[str, Any], patience: Patience) -> None:
    def create() -> None:
        # A request whose answer was lost may have created it.
        if not client.indices.exists(index=physical):
            client.indices.create(index=physical, body=body)

    patience(f"creating {physical}", create)


def _warnings(
    old: Mapping[str, Any], changes: Changes, known: Mapping[str, IndexInfo]
) -> list[str]:
    found = []
    if pipelines := dropped_pipelines(old["settings"], changes):
        found.append(
            f"{', '.join(pipelines)} of the old index encode by its models and are not attached "
            "to the new one. Write pipelines for the new models (`tandem pipelines init`)."
        )
    for info in known.values():
        state = BuildState.of(info)
        if state is not None and state.phase in ("building", "swapping"):
            found.append(
                f"{info.physical} is a build that another job began. Finish that job, or drop the "
                f"build: `tandem versions {info.name} --drop {info.physical}`."
            )
    return found
