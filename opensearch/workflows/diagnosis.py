"""What is installed, what runs, and what to do about the rest."""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from opensearch.capabilities import Capabilities, detect
from opensearch.errors import EngineError, SearchBackendError
from opensearch.workflows.connection import cluster_settings, open_cluster

State = Literal["ok", "missing", "note"]

_LIBRARIES = ("opensearch-py", "sentence-transformers", "transformers", "torch", "peft")
_PLUGINS = (
    ("opensearch-knn", "dense vectors"),
    ("opensearch-neural-search", "token weights and hybrid queries"),
    ("opensearch-ml", "models inside the cluster"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: Its name.
        state: ``ok``; ``missing``: the main job needs it; ``note``: worth knowing.
        detail: What was found.
        cure: What to do, if anything.
    """

    what: str
    state: State
    detail: str
    cure: str = ""

    def as_dict(self) -> dict[str, str]:
        """The finding as JSON-ready values."""
        return {
            "what": self.what,
            "state": self.state,
            "detail": self.detail,
            "cure": self.cure,
        }


def diagnose(url: str | None = None) -> list[Finding]:
    """Look at everything the main job needs; never raises for what it finds."""
    return [*_python(), *_libraries(), *_runtime(), *_java(), *_cluster(url)]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Finding(
        "Python", "ok" if good else "missing", version, "" if good else "Use 3.11 or newer."
    )


def _libraries() -> Iterator[Finding]:
    for name in _LIBRARIES:
        version = _version(name)
        if version is None:
            yield Finding(name, "missing", "not installed", "pip install tandem-search")
        else:
            yield Finding(name, "ok", version)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _runtime() -> Iterator[Finding]:
    both = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    if len(both) == 2:
        cure = "pip uninstall onnxruntime onnxruntime-gpu, then install one of the extras cpu, gpu"
        yield Finding("ONNX Runtime", "missing", "both packages overwrite each other", cure)
    elif not both:
        cure = "pip install 'tandem-search[cpu]' (or [gpu]); until then PyTorch encodes, slower"
        yield Finding("ONNX Runtime", "note", "not installed", cure)
    else:
        import onnxruntime

        providers = ", ".join(onnxruntime.get_available_providers())
        yield Finding("ONNX Runtime", "ok", f"{both[0]} {_version(both[0])} with {providers}")
    yield _cuda()


def _cuda() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("CUDA", "note", "PyTorch is not installed")
    import torch

    if torch.cuda.is_available():
        return Finding("CUDA", "ok", torch.cuda.get_device_name(0))
    return Finding("CUDA", "note", "no device: models run on the CPU")


def _java() -> Iterator[Finding]:
    from opensearch.local.account import node_account
    from opensearch.local.distribution import distribution
    from opensearch.local.engine import DEFAULT_VERSION
    from opensearch.local.java import choose_java

    try:
        java = choose_java(distribution(DEFAULT_VERSION), node_account())
    except EngineError as error:
        yield Finding("Java for the local engine", "note", "none that serves", str(error))
    else:
        yield Finding("Java for the local engine", "ok", f"{java.major} in {java.home}")


def _cluster(url: str | None) -> Iterator[Finding]:
    try:
        settings = cluster_settings(url)
        client = open_cluster(url)
        capabilities = detect(client)
    except SearchBackendError as error:
        yield Finding("OpenSearch", "note", "no cluster answers", str(error))
        return
    version = ".".join(map(str, capabilities.version)) if capabilities.version else "version hidden"
    yield Finding("OpenSearch", "ok", f"{version} at {settings.url}")
    yield from _plugins(capabilities)


def _plugins(capabilities: Capabilities) -> Iterator[Finding]:
    for plugin, purpose in _PLUGINS:
        if capabilities.plugins is None:
            yield Finding(plugin, "note", f"unknown: this user may not list plugins ({purpose})")
        elif capabilities.has(plugin):
            yield Finding(plugin, "ok", purpose)
        else:
            yield Finding(plugin, "missing", f"absent: no {purpose}", "Install the plugin.")
    if capabilities.knn_natives is False:
        yield Finding("k-NN natives", "note", "absent: engine lucene only, faiss is refused")
    nori = capabilities.has("analysis-nori")
    detail = "nori" if nori else "tandem_cjk (bigrams); the cluster has no nori"
    yield Finding("Korean analyzer", "ok" if nori else "note", detail)
