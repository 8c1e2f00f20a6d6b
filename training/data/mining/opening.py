"""Opens one leg of an index for mining: only the encoders that leg needs are loaded."""

from typing import Any

from encoders.options import LoadOptions
from opensearch.errors import SettingsError
from opensearch.index_info import read_index_info
from opensearch.plan import Mode, QueryEncoders
from opensearch.search import Searcher
from opensearch.workflows.connection import open_cluster
from opensearch.workflows.query_encoders import default_fusion, open_searcher


def open_leg(
    url: str | None,
    name: str,
    leg: Mode,
    options: LoadOptions,
    *,
    dense: str | None = None,
    sparse: str | None = None,
) -> tuple[Searcher, Any]:
    """A searcher of an index, and how its legs are fused.

    Args:
        url: The cluster; the local engine by default.
        name: The index.
        leg: What is searched with.
        options: How models are loaded.
        dense: Load the dense encoder from here instead; it must be the same model.
        sparse: The same for the sparse encoder.

    Raises:
        SettingsError: The index has no such leg.
        SearchBackendError: The cluster cannot be reached, or has no such index.
        EncoderError: A model cannot be loaded.
    """
    client = open_cluster(url)
    info = read_index_info(client, name)
    if leg in ("dense", "sparse") and getattr(info, leg) is None:
        msg = f"the index {name} has no {leg} leg; mine with --leg bm25, or index with --{leg}"
        raise SettingsError(msg)
    if leg == "bm25":
        return Searcher(client, info, QueryEncoders()), default_fusion(info)
    return open_searcher(client, info, options, dense=dense, sparse=sparse), default_fusion(info)
