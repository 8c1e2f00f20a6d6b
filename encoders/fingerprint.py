"""Fingerprints of models: from their source files, so that every runtime gives the same one."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from encoders.settings import GraphSettings, ModelFiles

_WEIGHT_SUFFIXES = (".safetensors", ".bin")
_ADAPTER = "adapter_config.json"
_BLOCK = 65_536
_BLOCKS_BETWEEN = 30
_DIGITS = 32


def graph_fingerprint(
    folder: Path, files: ModelFiles, graph: GraphSettings, tokenizer_digest: str
) -> str:
    """Fingerprint of what the network computes from token ids.

    Weights are not read whole: their size, their first and last block and blocks in between are,
    so that gigabytes take milliseconds and a tuned model differs from its base.

    Args:
        folder: The model's folder.
        files: Where its parts are.
        graph: What is computed around the network.
        tokenizer_digest: Decides which ids are special, for a sparse model.
    """
    digest = hashlib.sha256()
    settings = graph.as_dict()
    if graph.kind == "sparse":
        settings["tokenizer"] = tokenizer_digest
    digest.update(canonical_json(settings))
    for path in _graph_files(folder, files):
        digest.update(path.name.encode())
        digest.update(_sample(path) if path.suffix in _WEIGHT_SUFFIXES else path.read_bytes())
    return digest.hexdigest()[:_DIGITS]


def combined_fingerprint(*parts: Any) -> str:
    """Fingerprint over JSON-ready values."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(canonical_json(part))
    return digest.hexdigest()[:_DIGITS]


def text_digest(text: str) -> str:
    """Digest over a text file's content."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def canonical_json(value: Any) -> bytes:
    """The same bytes for the same value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _graph_files(folder: Path, files: ModelFiles) -> Iterable[Path]:
    yield from _own_files(folder / files.transformer)
    for projection in files.projections:
        yield from _own_files(folder / projection)
    if files.head is not None:
        yield from _own_files(folder / files.head)


def _own_files(folder: Path) -> Iterable[Path]:
    """Configuration, weights and model code directly in a folder, in a fixed order."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    # Old weights beside new ones are not loaded; what a trainer leaves behind ends in .bin, too.
    safe = any(path.suffix == ".safetensors" for path in paths)
    suffixes = (".py", ".safetensors") if safe else (".py", ".bin")
    for path in paths:
        if path.suffix in suffixes or path.name in ("config.json", _ADAPTER):
            yield path
    if folder / _ADAPTER in paths:
        adapter = json.loads((folder / _ADAPTER).read_text(encoding="utf-8"))
        yield from _own_files(Path(adapter["base_model_name_or_path"]))


def _sample(path: Path) -> bytes:
    size = path.stat().st_size
    starts = np.linspace(0, max(0, size - _BLOCK), _BLOCKS_BETWEEN + 2).astype(np.int64)
    blocks = [str(size).encode()]
    with path.open("rb") as file:
        for start in np.unique(starts).tolist():
            file.seek(start)
            blocks.append(file.read(_BLOCK))
    return b"".join(blocks)
