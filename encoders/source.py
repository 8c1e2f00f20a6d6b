"""From what a user names to a folder with the model's files."""

import importlib.util
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from encoders.errors import EncoderError
from encoders.options import LoadOptions
from encoders.presets import Preset, find_preset, unknown_model

logger = logging.getLogger(__name__)

_NEEDED_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "*.py"]
_UNNEEDED_FILES = ["*.onnx", "onnx/*", "openvino/*", "*.msgpack", "*.h5", "imgs/*"]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model's files.

    Attributes:
        name: Name under which the model can be loaded again.
        folder: Where its files are.
        preset: What is known about it beyond its files.
    """

    name: str
    folder: Path
    preset: Preset | None = None


def find_source(
    model: str, options: LoadOptions, *, kind: Literal["dense", "sparse"] | None = None
) -> ModelSource:
    """Find the files of a preset, a folder or a hub id.

    Raises:
        EncoderError: Nothing of this name exists, or it cannot be had without a network.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return ModelSource(str(folder.resolve()), folder.resolve())
    preset = find_preset(model)
    if preset is None and not _is_hub_id(model):
        raise unknown_model(model, kind)
    if preset is not None and kind is not None and preset.kind != kind:
        msg = f"{model} is a {preset.kind} model, but a {kind} one is needed here"
        raise EncoderError(msg)
    packaged = _packaged(preset)
    if preset is not None and packaged is not None:
        return ModelSource(preset.name, packaged, preset)
    hub_id = preset.hub_id if preset is not None else model
    if hub_id is None:
        msg = f"{model} has no files of its own to load"
        raise EncoderError(msg)
    return ModelSource(preset.name if preset else model, _download(hub_id, options), preset)


def _is_hub_id(model: str) -> bool:
    owner, _, name = model.partition("/")
    return bool(owner and name) and "/" not in name and not model.startswith((".", "~", "/"))


def _packaged(preset: Preset | None) -> Path | None:
    """Folder of the model inside an installed package; the package itself is not imported."""
    if preset is None or preset.package is None:
        return None
    spec = importlib.util.find_spec(preset.package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / preset.package_folder
    return folder if folder.is_dir() else None


def _download(hub_id: str, options: LoadOptions) -> Path:
    """The files of a hub id: new weights (safetensors), old ones only where there are no new."""
    folder = _snapshot(hub_id, options, _NEEDED_FILES)
    if any(folder.rglob("*.safetensors")):
        return folder
    return _snapshot(hub_id, options, [*_NEEDED_FILES, "*.bin"])


def _snapshot(hub_id: str, options: LoadOptions, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            hub_id,
            revision=options.revision,
            allow_patterns=patterns,
            ignore_patterns=_UNNEEDED_FILES,
            local_files_only=os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"),
        )
    except (OSError, ValueError) as error:
        msg = (
            f"The model {hub_id} is neither in the local cache nor to be had from the model hub "
            f"({type(error).__name__}). Check the name and the network, or give a folder instead."
        )
        raise EncoderError(msg) from error
    return Path(found)
