"""The texts a node is started with: `opensearch.yml`, `log4j2.properties`, the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearch.local.distribution import Distribution
from opensearch.local.java import Java
from opensearch.local.security import Security, security_settings

LOOPBACK = "127.0.0.1"
MAIN_CLASS = "org.opensearch.bootstrap.OpenSearch"
SERVER_LOG = "server.log"
EARLIER_LOG = "server.before.log"
KNN_NATIVES_ATTRIBUTE = "tandem_knn_natives"
# DJL looks for its native libraries in a folder of this name below the ML cache.
NATIVE_CACHE = Path("ml_cache/pytorch/2.5.1-20241113-cpu-linux-x86_64")


@dataclass(frozen=True)
class NodeFolders:
    """The folders of one node.

    Attributes:
        root: The folder that holds the others.
    """

    root: Path

    @property
    def config(self) -> Path:
        """Settings, written anew at each start."""
        return self.root / "config"

    @property
    def data(self) -> Path:
        """Indices and deployed models."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """The server's log and what the process printed."""
        return self.root / "logs"

    @property
    def tmp(self) -> Path:
        """Java's temporary folder, emptied at each start."""
        return self.root / "tmp"


@dataclass(frozen=True)
class NodePlan:
    """One node to start.

    Attributes:
        cluster: Name of its cluster.
        name: Its own name.
        http_port: Port for clients.
        transport_port: Port for other nodes.
        folders: Where it keeps its files.
        peers: Name and transport port of every node of a cluster, itself included; empty for
            a node that is alone.
        knn_natives: Whether the k-NN plugin has its native libraries.
        security: What it does about the security plugin.
    """

    cluster: str
    name: str
    http_port: int
    transport_port: int
    folders: NodeFolders
    peers: tuple[tuple[str, int], ...] = ()
    knn_natives: bool = False
    security: Security = Security.ABSENT

    @property
    def url(self) -> str:
        """Address for clients."""
        scheme = "https" if self.security is Security.ON else "http"
        return f"{scheme}://{LOOPBACK}:{self.http_port}"


def node_settings(plan: NodePlan) -> dict[str, Any]:
    """The settings of one node, by their full names."""
    return {
        "cluster.name": plan.cluster,
        "node.name": plan.name,
        f"node.attr.{KNN_NATIVES_ATTRIBUTE}": str(plan.knn_natives).lower(),
        "path.data": str(plan.folders.data),
        "path.logs": str(plan.folders.logs),
        "network.host": LOOPBACK,
        "http.port": plan.http_port,
        "transport.port": plan.transport_port,
        # A development machine's disk is often fuller than production's watermarks allow.
        "cluster.routing.allocation.disk.threshold_enabled": False,
        **_discovery(plan),
        **_ml_settings(),
        **security_settings(plan.security),
    }


def opensearch_yml(settings: Mapping[str, Any]) -> str:
    """Settings as YAML: each value in JSON, which is YAML and needs no quoting rules."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())


def log4j2_properties(logs: Path) -> str:
    """Logging into one file of at most 20 MB, with three older ones."""
    lines = {
        "status": "error",
        "appender.file.type": "RollingFile",
        "appender.file.name": "file",
        "appender.file.fileName": str(logs / SERVER_LOG),
        "appender.file.filePattern": str(logs / f"{SERVER_LOG}.%i"),
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": "[%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%n",
        "appender.file.policies.type": "Policies",
        "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size": "20MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": "3",
        "rootLogger.level": "info",
        "rootLogger.appenderRef.file.ref": "file",
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items())


def command_line(
    distribution: Distribution, java: Java, home: Path, *, folders: NodeFolders, heap: str
) -> list[str]:
    """The command that starts one node.

    Args:
        distribution: The version.
        java: What runs it.
        home: The assembled home.
        folders: The node's folders.
        heap: Size of the heap as Java writes it (`1g`, `512m`).
    """
    properties = {
        "java.awt.headless": "true",
        "file.encoding": "UTF-8",
        "io.netty.noUnsafe": "true",
        "io.netty.noKeySetOptimization": "true",
        "io.netty.recycler.maxCapacityPerThread": "0",
        "log4j.shutdownHookEnabled": "false",
        "log4j2.disable.jmx": "true",
        "jna.nosys": "true",
        "java.io.tmpdir": str(folders.tmp),
        "opensearch.path.home": str(home),
        "opensearch.path.conf": str(folders.config),
        "opensearch.distribution.type": "tar",
        "opensearch.bundled_jdk": "false",
    }
    return [
        str(java.executable),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        "-Xss1m",
        f"-XX:ErrorFile={folders.logs}/jvm-error-%p.log",
        *distribution.java_options(java.major),
        *(f"-D{key}={value}" for key, value in properties.items()),
        "-cp",
        f"{home}/lib/*",
        MAIN_CLASS,
    ]


def process_environment(distribution: Distribution, folders: NodeFolders) -> dict[str, str]:
    """Environment of a node's process: nothing of the caller's that could change it."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(folders.tmp),
        **distribution.environment,
    }


def _discovery(plan: NodePlan) -> dict[str, Any]:
    if not plan.peers:
        return {"discovery.type": "single-node"}
    return {
        "discovery.seed_hosts": [f"{LOOPBACK}:{port}" for _, port in plan.peers],
        "cluster.initial_cluster_manager_nodes": _names(plan.peers),
    }


def _names(peers: Sequence[tuple[str, int]]) -> list[str]:
    return [name for name, _ in peers]


def _ml_settings() -> dict[str, Any]:
    prefix = "plugins.ml_commons"
    return {
        f"{prefix}.only_run_on_ml_node": False,
        f"{prefix}.native_memory_threshold": 100,
        # The garbage of a model's upload fills a heap of 1 GB beyond what it allows by default.
        f"{prefix}.jvm_heap_memory_threshold": 100,
        f"{prefix}.model_access_control_enabled": False,
        f"{prefix}.allow_registering_model_via_url": True,
        f"{prefix}.allow_registering_model_via_local_file": True,
        # Our embedding server listens on the loopback address, and only there.
        f"{prefix}.connector.private_ip_enabled": True,
        f"{prefix}.trusted_connector_endpoints_regex": [
            r"^https?://(127\.0\.0\.1|localhost)(:\d+)?(/.*)?$"
        ],
    }
