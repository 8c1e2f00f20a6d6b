"""Fixtures shared by the tests of all packages."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def node_url() -> Iterator[str]:
    """Address of a real OpenSearch: the one named by the environment, or one of this run's own."""
    if given := os.environ.get("TANDEM_TEST_OPENSEARCH_URL"):
        yield given
        return
    from opensearch.local.engine import EngineOptions, start_engine, stop_engine

    with tempfile.TemporaryDirectory(prefix="tandem-tests-") as folder:
        root = Path(folder)
        root.chmod(0o755)  # the node may run as another user than the tests
        options = EngineOptions(name="tests", heap="1g", state_root=root, timeout_s=300)
        try:
            yield start_engine(options).url
        finally:
            stop_engine("tests", state_root=root)
