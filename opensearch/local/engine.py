"""Start, find and stop a real OpenSearch on this machine, without containers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opensearch.errors import EngineError
from opensearch.local.account import Account, node_account, public_folder
from opensearch.local.assemble import HomeRequest, ensure_home, has_knn_natives
from opensearch.local.config import SERVER_LOG, NodeFolders, NodePlan
from opensearch.local.distribution import distribution
from opensearch.local.file_lock import file_lock
from opensearch.local.java import choose_java
from opensearch.local.layout import Layout, claim_layout
from opensearch.local.locks import known_versions
from opensearch.local.node import NodeLauncher
from opensearch.local.paths import RunPaths, cache_paths, files_folder, run_paths
from opensearch.local.ports import choose_ports, free_ports
from opensearch.local.process import stop_process
from opensearch.local.progress import EngineProgress, Silent
from opensearch.local.readiness import wait_until_ready
from opensearch.local.security import Security, secure_engine
from opensearch.local.state import (
    EngineState,
    Login,
    NodeState,
    alive_part,
    read_state,
    write_state,
)

DEFAULT_NAME = "default"
DEFAULT_VERSION = "3.6.0"
STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class EngineOptions:
    """Which engine to start, and how.

    Attributes:
        name: Engines of different names run side by side, each with its own data.
        version: OpenSearch version; one of the lock files.
        port: Port for clients (the first of them); any free one where None.
        heap: Size of each node's heap, as Java writes it.
        nodes: How many nodes form the cluster.
        user: Who the nodes run as, when root starts them.
        state_root: Instead of `TANDEM_STATE`.
        cache_root: Instead of `TANDEM_CACHE`.
        timeout_s: How long a start may take, fetching not counted.
        secure: TLS, and a login that is in the state; only versions with the security plugin.
    """

    name: str = DEFAULT_NAME
    version: str = DEFAULT_VERSION
    port: int | None = None
    heap: str = "1g"
    nodes: int = 1
    user: str | None = None
    state_root: Path | None = None
    cache_root: Path | None = None
    timeout_s: float = 180.0
    secure: bool = False


@dataclass(frozen=True)
class StopReport:
    """What stopping an engine did.

    Attributes:
        state: What ran.
        killed: Names of the nodes that did not end by themselves.
    """

    state: EngineState
    killed: tuple[str, ...]


def start_engine(
    options: EngineOptions | None = None, progress: EngineProgress | None = None
) -> EngineState:
    """Have an engine running; returns at once where it already does.

    It listens on the loopback address only, and keeps running when this process ends.

    Args:
        options: Which engine; the default one where None.
        progress: Told what happens.

    Raises:
        EngineError: It cannot be assembled or started; the message says what to do.
    """
    options = options or EngineOptions()
    told = progress or Silent()
    _check(options)
    paths = run_paths(options.name, options.state_root)
    with file_lock(paths.run_lock, lambda: told.stage("Another command starts or stops it")):
        running = _running(paths)
        if running is not None:
            _refuse_other(running, options)
            return running
        return _start(options, paths, told)


def running_engine(
    name: str = DEFAULT_NAME, *, state_root: Path | None = None
) -> EngineState | None:
    """The running engine of that name (those of its nodes that are alive), or None.

    Raises:
        EngineError: The state file is damaged.
    """
    return _running(run_paths(name, state_root))


def stop_engine(
    name: str = DEFAULT_NAME,
    *,
    state_root: Path | None = None,
    timeout_s: float = STOP_TIMEOUT_S,
) -> StopReport | None:
    """Stop an engine; its data stays. None where none of that name runs.

    Args:
        name: Which one.
        state_root: Instead of `TANDEM_STATE`.
        timeout_s: How long each node may take before it is killed.

    Raises:
        EngineError: The caller may not stop it.
    """
    paths = run_paths(name, state_root)
    if not paths.state_file.exists():
        return None
    with file_lock(paths.run_lock):
        state = _running(paths)
        killed = _stop_nodes(state.nodes, timeout_s) if state else ()
        paths.state_file.unlink(missing_ok=True)
    return StopReport(state, killed) if state else None


def log_file(
    name: str = DEFAULT_NAME, *, node: str = "node-1", state_root: Path | None = None
) -> Path:
    """The server log of a node, running or not (it may not exist yet).

    Raises:
        EngineError: The name cannot name an engine.
    """
    running = running_engine(name, state_root=state_root)
    for alive in running.nodes if running else ():
        if alive.name == node:
            return alive.logs / SERVER_LOG
    files = files_folder(name, node_account(), state_root)
    return NodeFolders(files / node).logs / SERVER_LOG


def _check(options: EngineOptions) -> None:
    if not re.fullmatch(r"[1-9]\d*[mMgG]", options.heap):
        msg = f"Heap {options.heap!r} is not a size: write 512m or 2g."
        raise EngineError(msg)
    if options.nodes < 1:
        msg = f"An engine has at least one node, not {options.nodes}."
        raise EngineError(msg)
    if options.secure and not distribution(options.version).has_security:
        secured = ", ".join(v for v in known_versions() if distribution(v).has_security)
        msg = (
            f"The security plugin for OpenSearch {options.version} is not published as an "
            f"artifact: choose --version {secured}."
        )
        raise EngineError(msg)


def _running(paths: RunPaths) -> EngineState | None:
    state = read_state(paths.state_file)
    return alive_part(state) if state else None


def _refuse_other(running: EngineState, options: EngineOptions) -> None:
    """Raise where what runs is not what was asked for."""
    differs = (
        running.version != options.version
        or len(running.nodes) != options.nodes
        or options.port not in (None, running.nodes[0].port)
        or options.secure != (running.login is not None)
    )
    if differs:
        msg = (
            f"The engine {running.name!r} runs already: OpenSearch {running.version}, "
            f"{len(running.nodes)} node(s), at {running.url}. "
            "Stop it first, or give the other one another --name."
        )
        raise EngineError(msg)


def _start(options: EngineOptions, paths: RunPaths, told: EngineProgress) -> EngineState:
    # What can be refused is refused before a long download.
    software = distribution(options.version)
    account = node_account(options.user)
    java = choose_java(software, account)
    ports = choose_ports(options.nodes, options.port)
    files = public_folder(files_folder(options.name, account, options.state_root))
    claim_layout(files, Layout(options.version, options.nodes, options.secure))
    login, extra_files = secure_engine(files) if options.secure else (None, {})
    home = _home(options, account, told)
    launcher = NodeLauncher(software, java, home, account, options.heap, extra_files)
    plans = _plan(options, files, ports, has_knn_natives(home))
    told.stage(f"Starting OpenSearch {options.version} with Java {java.major}")
    return _launch(options, paths, launcher, plans=plans, login=login)


def _launch(
    options: EngineOptions,
    paths: RunPaths,
    launcher: NodeLauncher,
    *,
    plans: Sequence[NodePlan],
    login: Login | None,
) -> EngineState:
    nodes: list[NodeState] = []
    try:
        for plan in plans:
            nodes.append(launcher.start(plan))
        state = EngineState(
            name=options.name,
            version=options.version,
            nodes=tuple(nodes),
            home=launcher.home,
            knn_natives=has_knn_natives(launcher.home),
            login=login,
        )
        write_state(paths.state_file, state)
        wait_until_ready(state, options.timeout_s)
    except BaseException:
        # A half-started engine is of no use; its logs stay.
        _stop_nodes(nodes, STOP_TIMEOUT_S)
        paths.state_file.unlink(missing_ok=True)
        raise
    return state


def _home(options: EngineOptions, account: Account, told: EngineProgress) -> Path:
    cache = cache_paths(account, options.cache_root)
    public_folder(cache.homes)
    return ensure_home(
        HomeRequest(distribution(options.version), cache.downloads, cache.homes), told
    )


def _stop_nodes(nodes: Sequence[NodeState], timeout_s: float) -> tuple[str, ...]:
    return tuple(node.name for node in nodes if not stop_process(node.process, timeout_s))


def _plan(
    options: EngineOptions, files: Path, ports: Sequence[int], knn_natives: bool
) -> list[NodePlan]:
    names = [f"node-{number}" for number in range(1, options.nodes + 1)]
    transport = free_ports(options.nodes)
    peers = tuple(zip(names, transport, strict=True)) if options.nodes > 1 else ()
    security = Security.ABSENT
    if distribution(options.version).has_security:
        security = Security.ON if options.secure else Security.OFF
    return [
        NodePlan(
            cluster=f"tandem-{options.name}",
            name=name,
            http_port=port,
            transport_port=inner,
            folders=NodeFolders(files / name),
            peers=peers,
            knn_natives=knn_natives,
            security=security,
        )
        for name, port, inner in zip(names, ports, transport, strict=True)
    ]
