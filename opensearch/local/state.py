"""What runs: a small JSON file that a later command finds the node by."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from opensearch.errors import EngineError
from opensearch.local.process import ProcessId, is_alive

_FORMAT = 1


@dataclass(frozen=True)
class NodeState:
    """One running node.

    Attributes:
        name: Name of the node.
        url: Address for clients.
        process: Its process.
        data: Folder of its indices.
        logs: Folder of its logs.
    """

    name: str
    url: str
    process: ProcessId
    data: Path
    logs: Path

    @property
    def port(self) -> int:
        """Port for clients."""
        return int(self.url.rpartition(":")[2])


@dataclass(frozen=True)
class Login:
    """How clients of a secured engine log in. The password itself is only in its file.

    Attributes:
        user: The administrator.
        password_file: File of the password, readable by the account that started the engine.
        ca_file: Certificate to trust, in PEM; another one after each start.
    """

    user: str
    password_file: Path
    ca_file: Path

    @property
    def password(self) -> str:
        """The password."""
        return self.password_file.read_text("utf-8").strip()


@dataclass(frozen=True)
class EngineState:
    """One running engine: a node, or several that form a cluster.

    Attributes:
        name: Name of the engine.
        version: OpenSearch version.
        nodes: Its nodes, at least one.
        home: The assembled software.
        knn_natives: Whether fields of the k-NN engine `faiss` can be written; where false, the
            first such write ends the node. Nodes tell the same by their attribute
            `tandem_knn_natives`.
        login: How to log in; None where the engine is not secured.
    """

    name: str
    version: str
    nodes: tuple[NodeState, ...]
    home: Path
    knn_natives: bool
    login: Login | None = None

    @property
    def url(self) -> str:
        """Address of the first node."""
        return self.nodes[0].url

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses of all nodes."""
        return tuple(node.url for node in self.nodes)

    @property
    def data(self) -> Path:
        """Data folder of the first node."""
        return self.nodes[0].data

    @property
    def logs(self) -> Path:
        """Log folder of the first node."""
        return self.nodes[0].logs

    def to_json(self) -> dict[str, Any]:
        """As one JSON object; `url`, `pid`, `data` and `logs` are the first node's."""
        first = self.nodes[0]
        return {
            "format": _FORMAT,
            "name": self.name,
            "version": self.version,
            "url": first.url,
            "pid": first.process.pid,
            "home": str(self.home),
            "data": str(first.data),
            "logs": str(first.logs),
            "knn_natives": self.knn_natives,
            "login": _login_to_json(self.login),
            "nodes": [_node_to_json(node) for node in self.nodes],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "EngineState":
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: It is not such an object.
        """
        if value["format"] != _FORMAT:
            msg = f"format {value['format']}"
            raise ValueError(msg)
        return EngineState(
            name=str(value["name"]),
            version=str(value["version"]),
            nodes=tuple(_node_from_json(node) for node in value["nodes"]),
            home=Path(value["home"]),
            knn_natives=bool(value["knn_natives"]),
            login=_login_from_json(value.get("login")),
        )


def write_state(path: Path, state: EngineState) -> None:
    """Replace the state file at once: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(state.to_json(), indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_state(path: Path) -> EngineState | None:
    """What the state file says, running or not; None where there is none.

    Raises:
        EngineError: The file is damaged.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        return EngineState.from_json(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        msg = (
            f"{path} is damaged ({error}). If no engine runs, remove the file; "
            "otherwise stop the node's process first."
        )
        raise EngineError(msg) from error


def alive_part(state: EngineState) -> EngineState | None:
    """The state with the nodes whose processes are still the ones that were started, if any."""
    nodes = tuple(node for node in state.nodes if is_alive(node.process))
    return replace(state, nodes=nodes) if nodes else None


def _node_to_json(node: NodeState) -> dict[str, Any]:
    return {
        "name": node.name,
        "url": node.url,
        **asdict(node.process),
        "data": str(node.data),
        "logs": str(node.logs),
    }


def _login_to_json(login: Login | None) -> dict[str, str] | None:
    if login is None:
        return None
    return {key: str(value) for key, value in asdict(login).items()}


def _login_from_json(value: dict[str, str] | None) -> Login | None:
    if value is None:
        return None
    return Login(value["user"], Path(value["password_file"]), Path(value["ca_file"]))


def _node_from_json(value: dict[str, Any]) -> NodeState:
    return NodeState(
        name=str(value["name"]),
        url=str(value["url"]),
        process=ProcessId(int(value["pid"]), float(value["created"])),
        data=Path(value["data"]),
        logs=Path(value["logs"]),
    )
