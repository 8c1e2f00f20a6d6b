"""Start one node: its folders, its settings, its process."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from opensearch.local.account import Account, own_folder
from opensearch.local.assemble import link_or_copy, native_libraries
from opensearch.local.config import (
    LOOPBACK,
    NATIVE_CACHE,
    NodeFolders,
    NodePlan,
    command_line,
    log4j2_properties,
    node_settings,
    opensearch_yml,
    process_environment,
)
from opensearch.local.distribution import Distribution
from opensearch.local.java import Java
from opensearch.local.process import LaunchRequest, launch
from opensearch.local.readiness import CONSOLE_LOG
from opensearch.local.state import NodeState


@dataclass(frozen=True)
class NodeLauncher:
    """Starts nodes of one kind.

    Attributes:
        software: The version.
        java: What runs it.
        home: The assembled software.
        account: Who the nodes run as.
        heap: Size of each node's heap.
    """

    software: Distribution
    java: Java
    home: Path
    account: Account
    heap: str

    def start(self, plan: NodePlan) -> NodeState:
        """Start one node; it does not answer yet when this returns.

        Raises:
            EngineError: Its process cannot be started.
        """
        folders = plan.folders
        self._prepare(plan)
        process = launch(
            LaunchRequest(
                command=command_line(
                    self.software, self.java, self.home, folders=folders, heap=self.heap
                ),
                environment=process_environment(self.software, folders),
                folder=folders.tmp,
                output=folders.logs / CONSOLE_LOG,
                account=self.account,
            )
        )
        url = f"http://{LOOPBACK}:{plan.http_port}"
        return NodeState(plan.name, url, process, folders.data, folders.logs)

    def _prepare(self, plan: NodePlan) -> None:
        folders = plan.folders
        # The ONNX runtime unpacks itself there at each start, and leaves it behind.
        shutil.rmtree(folders.tmp, ignore_errors=True)
        for folder in (folders.config, folders.data, folders.logs, folders.tmp):
            own_folder(self.account, folder)
        settings = opensearch_yml(node_settings(plan))
        (folders.config / "opensearch.yml").write_text(settings, encoding="utf-8")
        logging_text = log4j2_properties(folders.logs)
        (folders.config / "log4j2.properties").write_text(logging_text, encoding="utf-8")
        self._lay_natives(folders)

    def _lay_natives(self, folders: NodeFolders) -> None:
        """Put DJL's native libraries where it looks first; it cannot download them."""
        cache = folders.data / NATIVE_CACHE
        for folder in (folders.data / "ml_cache", cache.parent, cache):
            own_folder(self.account, folder)
        for library in native_libraries(self.home):
            if not (cache / library.name).exists():
                link_or_copy(library, cache / library.name)
