"""The two sides of a shadow check, opened for searching."""

import re
from typing import Any

from encoders.options import LoadOptions
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.plan import Mode
from opensearch.workflows.query_encoders import default_fusion
from opensearch.workflows.retrieval import Refinements, open_retrieval
from operations.reindexing.catalogue import version_infos, version_of
from operations.reindexing.naming import parse_physical
from operations.reindexing.state import BuildState
from operations.shadow.comparing import Side
from operations.shadow.errors import ShadowError

_VERSION = re.compile(r"\d+(\.\d+)*")


def candidate_info(client: Any, name: str, candidate: str) -> IndexInfo:
    """The index that a candidate's name stands for.

    Args:
        client: The client.
        name: The logical index it competes with.
        candidate: Name of an index (physical or logical), or a version of ``name``.

    Raises:
        ShadowError: There is none, or it is what production is.
        SearchBackendError: OpenSearch failed, or Tandem did not build the index.
    """
    production = read_index_info(client, name).physical
    is_version = _VERSION.fullmatch(candidate) is not None
    # Where the user may not look for any name, a version is not taken for one.
    info = _version(client, name, candidate) if is_version else read_index_info(client, candidate)
    if info.physical == production:
        msg = f"{candidate} is {production}, which {name} is now: there is nothing to compare"
        raise ShadowError(msg)
    return info


def _version(client: Any, name: str, version: str) -> IndexInfo:
    """The newest finished build of a version; not one that is still being filled."""
    infos = version_infos(client, name)
    versions = {physical: version_of(info) for physical, info in infos.items()}
    built = [
        info
        for physical, info in infos.items()
        if versions[physical] == version and not _is_building(info)
    ]
    if not built:
        known = ", ".join(f"{physical} ({of})" for physical, of in versions.items())
        msg = (
            f"no version {version!r} of {name} is built; there are: {known}. `tandem reindex "
            f"{name}` builds one beside production"
        )
        raise ShadowError(msg)
    newest = max(built, key=lambda info: _number(name, info.physical))
    return read_index_info(client, newest.physical)


def _number(name: str, physical: str) -> int:
    build = parse_physical(name, physical)
    return build.number if build else 0


def _is_building(info: IndexInfo) -> bool:
    state = BuildState.of(info)
    return state is not None and state.phase == "building"


def open_side(
    client: Any,
    info: IndexInfo,
    mode: Mode,
    options: LoadOptions,
    *,
    dense: str | None = None,
    sparse: str | None = None,
) -> Side:
    """An index with the encoders that belong to it and its own fusion.

    Args:
        client: The client.
        info: The index.
        mode: Which legs search.
        options: How models are loaded.
        dense: Load the dense encoder from here instead; it must be the same model.
        sparse: The same for the sparse encoder.

    Raises:
        EncoderError: A model cannot be loaded.
        EncoderMismatchError: It is not the one that built the index.
    """
    search = open_retrieval(client, info, options, Refinements(), dense=dense, sparse=sparse)
    return Side(info.physical, search, mode, default_fusion(info))
