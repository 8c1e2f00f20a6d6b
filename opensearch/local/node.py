"""Start one node: its folders, its settings, its process."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opensearch.local.account import Account, own_folder
from opensearch.local.assemble import link_or_copy, native_libraries
from opensearch.local.config import (
    EARLIER_LOG,
    NATIVE_CACHE,
    SERVER_LOG,
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
        extra_files: More files for each config folder: text by relative path.
    """

    software: Distribution
    java: Java
    home: Path
    account: Account
    heap: str
    extra_files: Mapping[str, str] = field(default_factory=dict)

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
        return NodeState(plan.name, plan.url, process, folders.data, folders.logs)

    def _prepare(self, plan: NodePlan) -> None:
        folders = plan.folders
        # The ONNX runtime unpacks itself there at each start, and leaves it behind.
        shutil.rmtree(folders.tmp, ignore_errors=True)
        for folder in (folders.config, folders.data, folders.logs, folders.tmp):
            own_folder(self.account, folder)
        log = folders.logs / SERVER_LOG
        if log.exists():
            # What a failed start shows must be this start's.
            log.replace(folders.logs / EARLIER_LOG)
        texts = {
            "opensearch.yml": opensearch_yml(node_settings(plan)),
            "log4j2.properties": log4j2_properties(folders.logs),
            **self.extra_files,
        }
        for path, text in texts.items():
            self._write_private(folders.config / path, text)
        self._lay_natives(folders)

    def _write_private(self, path: Path, text: str) -> None:
        """Write what only the node's account shall read: among it are keys."""
        own_folder(self.account, path.parent).chmod(0o700)
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        if self.account.switch:
            os.chown(path, self.account.uid, self.account.gid)

    def _lay_natives(self, folders: NodeFolders) -> None:
        """Put DJL's native libraries where it looks first; it cannot download them."""
        cache = folders.data / NATIVE_CACHE
        for folder in (folders.data / "ml_cache", cache.parent, cache):
            own_folder(self.account, folder)
        for library in native_libraries(self.home):
            if not (cache / library.name).exists():
                link_or_copy(library, cache / library.name)
