"""Create, refresh and drop indices."""

import logging
from dataclasses import replace
from typing import Any

from opensearch.capabilities import Capabilities
from opensearch.errors import CapabilityError
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.index_spec import IndexSpec, seismic_name
from opensearch.mappings import DEFAULT_PIPELINE, META_KEY, index_body, seismic_body
from opensearch.pipelines import default_pipeline
from opensearch.translation import translated

logger = logging.getLogger(__name__)


def index_exists(client: Any, name: str) -> bool:
    """Whether an index or alias of that name exists."""
    from opensearchpy.exceptions import AuthorizationException

    with translated(f"looking for {name}"):
        try:
            return bool(client.indices.exists(index=name))
        except AuthorizationException:
            # The answer to a HEAD request has no body; this one's names the missing permission.
            client.indices.get(index=name)
            raise


def create_index(client: Any, spec: IndexSpec, capabilities: Capabilities) -> IndexInfo:
    """Create the physical indices and the alias people search; nothing is left half done.

    Raises:
        CapabilityError: The cluster lacks what the specification needs; nothing was sent.
    """
    check_capabilities(spec, capabilities)
    spec = replace(spec, portable=spec.portable or not capabilities.certainly("server_fusion"))
    _put_default_pipeline(client)
    bodies = {spec.physical: index_body(spec)}
    if spec.sparse is not None and spec.sparse_field == "seismic":
        bodies[seismic_name(spec.physical)] = seismic_body(spec)
    for physical, body in bodies.items():
        _create_if_absent(client, physical, body)
    # The alias comes last: until it stands, a reader sees no half-made index.
    with translated(f"naming {spec.physical} {spec.name}"):
        client.indices.put_alias(index=spec.physical, name=spec.name)
    return read_index_info(client, spec.name)


def _create_if_absent(client: Any, physical: str, body: dict[str, Any]) -> None:
    with translated(f"creating {physical}"):
        if not client.indices.exists(index=physical):
            client.indices.create(index=physical, body=body)


def check_capabilities(spec: IndexSpec, capabilities: Capabilities) -> None:
    """Refuse a specification the cluster cannot serve, before anything is sent.

    Raises:
        CapabilityError: A plugin, version or native library is missing.
    """
    if spec.dense is not None:
        capabilities.require_plugin("opensearch-knn", "The dense field")
    if spec.sparse is not None:
        capabilities.require_plugin("opensearch-neural-search", "The sparse field")
    if spec.sparse_field == "seismic":
        capabilities.require("seismic")
    if spec.dense_engine == "faiss" and capabilities.knn_natives is False:
        msg = (
            "This node carries the k-NN plugin without its native libraries: the first document "
            "written to a faiss field would end the node. Use --dense-engine lucene here."
        )
        raise CapabilityError(msg)


def _put_default_pipeline(client: Any) -> None:
    with translated("writing the default search pipeline"):
        client.http.put(f"/_search/pipeline/{DEFAULT_PIPELINE}", body=default_pipeline())


def physical_indices(info: IndexInfo) -> list[str]:
    """Every physical index behind a logical one."""
    return [info.physical, *([info.seismic] if info.seismic else [])]


def set_refresh_interval(client: Any, info: IndexInfo, interval: str | None) -> None:
    """How often written documents become visible; ``None`` restores the server's default."""
    body = {"index": {"refresh_interval": interval}}
    for physical in physical_indices(info):
        with translated(f"setting the refresh interval of {physical}"):
            client.indices.put_settings(index=physical, body=body)


def refresh(client: Any, info: IndexInfo) -> None:
    """Make everything written so far visible to searches."""
    for physical in physical_indices(info):
        with translated(f"refreshing {physical}"):
            client.indices.refresh(index=physical)


def force_merge(client: Any, info: IndexInfo, max_segments: int = 1) -> None:
    """Merge segments: faster searches on an index that is no longer written to."""
    for physical in physical_indices(info):
        with translated(f"merging {physical}"):
            client.indices.forcemerge(
                index=physical, max_num_segments=max_segments, request_timeout=3600
            )


def write_note(client: Any, info: IndexInfo, name: str, value: Any) -> None:
    """Keep a fact in the index's ``_meta``, or forget it (``None``); documents stay as they are."""
    with translated(f"reading the mapping of {info.physical}"):
        mappings = client.indices.get_mapping(index=info.physical)[info.physical]["mappings"]
    meta = mappings["_meta"]
    notes = {key: kept for key, kept in meta[META_KEY].items() if key != name}
    if value is not None:
        notes[name] = value
    # OpenSearch replaces `_meta` as a whole.
    with translated(f"writing the mapping of {info.physical}"):
        client.indices.put_mapping(index=info.physical, body={"_meta": {**meta, META_KEY: notes}})


def count_chunks(client: Any, info: IndexInfo) -> int:
    """Chunks stored in the main index."""
    with translated(f"counting {info.name}"):
        return int(client.count(index=info.physical)["count"])


def delete_index(client: Any, info: IndexInfo) -> None:
    """Remove the physical indices and, with them, the alias."""
    for physical in physical_indices(info):
        with translated(f"deleting {physical}"):
            client.indices.delete(index=physical, ignore_unavailable=True)
    logger.info("deleted %s", ", ".join(physical_indices(info)))
