"""ONNX Runtime 1.16.3, which OpenSearch's ML Commons carries: loads and runs a graph elsewhere.

A graph this runtime cannot load may end the whole process, and on a cluster the node. So it runs
in a process of its own, in an environment of its own: the runtime has wheels for Python 3.8 to
3.11 only and does not go with today's numpy.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encoders.base import FloatMatrix
from encoders.cache import build_once, cache_folder
from encoders.errors import GateError
from encoders.tokenization import Batch

logger = logging.getLogger(__name__)

RUNTIME_VERSION = "1.16.3"
INTERPRETER_VARIABLE = "TANDEM_ORT_1_16_PYTHON"
_PACKAGES = (f"onnxruntime=={RUNTIME_VERSION}", "numpy<2")
_OLDEST, _NEWEST = (3, 8), (3, 11)
_SCRIPT = Path(__file__).with_name("old_runtime_script.py")
_PROBE_S = 30
_INSTALL_S = 900
_RUN_S = 1800
_SHOWN_CHARACTERS = 700


@dataclass(frozen=True, slots=True)
class OldRun:
    """What the old runtime answered.

    Attributes:
        rows: First output of each batch.
        load_seconds: Time the runtime took to load and optimise the graph.
    """

    rows: list[FloatMatrix]
    load_seconds: float


def run_in_old_runtime(path: Path, inputs: Sequence[str], batches: Sequence[Batch]) -> OldRun:
    """Load a graph in ONNX Runtime 1.16.3, in another process, and run batches through it.

    Args:
        path: The ``.onnx`` file.
        inputs: Its names of ids and mask.
        batches: What to run.

    Raises:
        GateError: The runtime refused the graph or ended its process, or it cannot be had.
    """
    python = old_interpreter()
    with tempfile.TemporaryDirectory(prefix="tandem-gate-") as scratch:
        feeds, outputs = Path(scratch) / "feeds.npz", Path(scratch) / "outputs.npz"
        np.savez(feeds, **_named(batches))
        words = [str(python), "-I", str(_SCRIPT), str(path), str(feeds), str(outputs), *inputs]
        try:
            done = _run(words, _RUN_S)
        except subprocess.TimeoutExpired as error:
            msg = f"ONNX Runtime {RUNTIME_VERSION} did not finish {path.name} in {_RUN_S} s"
            raise GateError(msg) from error
        if done.returncode != 0:
            raise GateError(_refusal(path, done))
        with np.load(outputs) as found:
            rows = [np.asarray(found[f"rows_{n}"], np.float32) for n in range(len(batches))]
            return OldRun(rows, float(found["load_seconds"]))


def old_interpreter() -> Path:
    """An interpreter that has ONNX Runtime 1.16.3: the environment's, else one kept in the cache.

    Raises:
        GateError: There is none and none can be made; the message says what to do.
    """
    named = os.environ.get(INTERPRETER_VARIABLE)
    if named:
        return _checked(Path(named).expanduser())
    target = cache_folder() / f"onnxruntime-{RUNTIME_VERSION}"
    return build_once(target, _build_environment) / "bin" / "python"


def _checked(python: Path) -> Path:
    code = "import onnxruntime, numpy; print(onnxruntime.__version__)"
    found = _answer([str(python), "-I", "-c", code])
    if found != RUNTIME_VERSION:
        has = f"it has {found}" if found else "it does not"
        msg = (
            f"{INTERPRETER_VARIABLE} names {python}, which should have onnxruntime "
            f"{RUNTIME_VERSION} and numpy below 2, but {has}. Install them there "
            f"({' and '.join(_PACKAGES)}), or unset the variable."
        )
        raise GateError(msg)
    return python


def _build_environment(folder: Path) -> None:
    base = _base_interpreter()
    logger.warning("Installing onnxruntime %s for %s (once)", RUNTIME_VERSION, base)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    options = ["--disable-pip-version-check", "--no-input", "--only-binary=:all:"]
    _install([str(base), "-m", "venv", str(folder)])
    _install([*pip, *options, *_PACKAGES])


def _install(words: list[str]) -> None:
    try:
        done = _run(words, _INSTALL_S)
    except subprocess.TimeoutExpired as error:
        msg = f"Installing onnxruntime {RUNTIME_VERSION} took over {_INSTALL_S} s. {_remedy()}"
        raise GateError(msg) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-_SHOWN_CHARACTERS:]
        msg = f"onnxruntime {RUNTIME_VERSION} could not be installed: {said}\n{_remedy()}"
        raise GateError(msg)


def _base_interpreter() -> str:
    """A Python of 3.8 to 3.11, this one first.

    Raises:
        GateError: There is none.
    """
    tried = list(_candidates())
    code = "import sys; print(*sys.version_info[:2])"
    for python in tried:
        version = tuple(int(part) for part in (_answer([python, "-I", "-c", code]) or "0").split())
        if _OLDEST <= version <= _NEWEST:
            return python
    msg = f"No Python 3.8 to 3.11 was found for onnxruntime {RUNTIME_VERSION}. {_remedy()}"
    raise GateError(msg)


def _candidates() -> Iterator[str]:
    yield getattr(sys, "_base_executable", None) or sys.executable
    for minor in range(_NEWEST[1], _OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            yield found


def _remedy() -> str:
    return (
        "Install one of Python 3.8 to 3.11 (python3.11 on PATH), or name an interpreter that has "
        f"{' and '.join(_PACKAGES)} in {INTERPRETER_VARIABLE}, or export without the check "
        "(--without-gate): then nobody has tried whether the cluster can load the file."
    )


def _refusal(path: Path, done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in done.stderr.splitlines() if "[W:onnxruntime" not in line]
    said = "\n".join(lines).strip()[-_SHOWN_CHARACTERS:]
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return (
            f"ONNX Runtime {RUNTIME_VERSION} ended its process ({name}) on {path.name}: on a "
            f"cluster this file would take the node down. Nothing was written. It said: {said}"
        )
    last = said.splitlines()[-1] if said else "nothing"
    return f"ONNX Runtime {RUNTIME_VERSION} refuses {path.name}. Nothing was written. {last}"


def _named(batches: Sequence[Batch]) -> dict[str, Any]:
    ids = {f"ids_{number}": batch.ids for number, batch in enumerate(batches)}
    return ids | {f"mask_{number}": batch.mask for number, batch in enumerate(batches)}


def _answer(words: list[str]) -> str | None:
    """What a command prints, or ``None`` where it fails."""
    try:
        done = _run(words, _PROBE_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(words: list[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  # an interpreter we chose, no shell
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
