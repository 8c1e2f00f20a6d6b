"""What is handed to the registry to become a version."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Draft:
    """A model, or a pair of models, with all that an auditor asks about them.

    Attributes:
        dense: Folder of the dense model, which is copied; or a preset, hub id or service, which is
            kept by name; ``None`` for a version without one.
        sparse: The same for the sparse model; ``lexical`` is kept by name.
        exports: Further files or folders by name, such as the ONNX export; copied.
        configuration: File or folder with the settings of the training run; copied.
        data: Training and evaluation files or folders by role; only their SHA-256 is kept.
        metrics: What was measured, JSON-ready.
        parity: How close exports are to the model, JSON-ready.
        notes: Why this version exists, for people.
        author: Who publishes; ``None`` is ``TANDEM_AUTHOR``, else the user of this machine.
    """

    dense: str | Path | None = None
    sparse: str | Path | None = None
    exports: Mapping[str, Path] = field(default_factory=dict)
    configuration: Path | None = None
    data: Mapping[str, Path] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""
    author: str | None = None
