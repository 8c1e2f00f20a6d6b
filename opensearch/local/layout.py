"""What an engine's data was made with: it cannot be opened with anything else."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from opensearch.errors import EngineError

_FILE = "layout.json"


@dataclass(frozen=True)
class Layout:
    """How the nodes were set up that wrote the data.

    Attributes:
        version: OpenSearch version.
        nodes: Number of nodes.
        secure: Whether they had TLS and users.
    """

    version: str
    nodes: int
    secure: bool = False

    def __str__(self) -> str:
        secured = "secured " if self.secure else ""
        return f"{secured}OpenSearch {self.version} with {self.nodes} node(s)"


def claim_layout(files: Path, layout: Layout) -> None:
    """Record the layout of an engine's new folder, or check that of an older one.

    Args:
        files: The engine's folder.
        layout: What is about to start.

    Raises:
        EngineError: Its data was written by something else.
    """
    record = files / _FILE
    # Until a first start succeeded so far as to write, another layout may be tried.
    if not record.exists() or not any(files.glob("node-*/data/nodes")):
        record.write_text(json.dumps(asdict(layout)) + "\n", encoding="utf-8")
        return
    try:
        earlier = Layout(**json.loads(record.read_text("utf-8")))
    except (TypeError, ValueError) as error:
        msg = f"{record} is damaged ({error}). Remove {files} to begin anew."
        raise EngineError(msg) from error
    if earlier != layout:
        msg = (
            f"{files} holds the data of {earlier}, which {layout} cannot open. "
            "Use another --name, or remove that folder."
        )
        raise EngineError(msg)
