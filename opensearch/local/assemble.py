"""Put an engine's home together from its artifacts: whole, or not at all."""

import logging
import os
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from opensearch.errors import EngineError
from opensearch.local import locks
from opensearch.local.distribution import Distribution, Module
from opensearch.local.download import DownloadOptions, fetch_all, repository_url
from opensearch.local.file_lock import file_lock
from opensearch.local.locks import Artifact
from opensearch.local.progress import EngineProgress

logger = logging.getLogger(__name__)

# Home (1.5 GB), downloads (0.65 GB), the unpacked native libraries and the node's data.
NEEDED_BYTES = 4_000_000_000
ML_PLUGIN = "opensearch-ml"
KNN_PLUGIN = "opensearch-knn"
_DESCRIPTOR = "plugin-descriptor.properties"
_NATIVE_FOLDER = "pytorch/cpu/linux-x86_64/"
_JNI_FILE = "jnilib/linux-x86_64/cpu/libdjl_torch.so"
# DJL 0.31.1 in the ML plugin takes a file of this name instead of downloading its own.
_JNI_NAME = "0.31.1-libdjl_torch.so"


@dataclass(frozen=True)
class HomeRequest:
    """What to assemble, and where.

    Attributes:
        distribution: The version.
        downloads: Folder of the fetched artifacts.
        homes: Folder of the assembled homes.
    """

    distribution: Distribution
    downloads: Path
    homes: Path

    @property
    def home(self) -> Path:
        """The finished home."""
        return self.homes / self.distribution.version


def ensure_home(request: HomeRequest, progress: EngineProgress) -> Path:
    """Have the home of one version, assembling it (and fetching what it needs) when missing.

    Two processes at once are safe: the second waits, then finds the home done.

    Raises:
        EngineError: Another platform, too little disk space, or an artifact cannot be had.
    """
    if request.home.exists():
        return request.home
    refuse_other_platforms(platform.system(), platform.machine())
    lock = request.homes / ".lock"
    with file_lock(lock, lambda: progress.stage("Another process assembles an engine; waiting")):
        if not request.home.exists():
            _assemble(request, progress)
    return request.home


def refuse_other_platforms(system: str, machine: str) -> None:
    """Raise where the locked native libraries cannot run.

    Raises:
        EngineError: This is not Linux on x86-64.
    """
    if (system, machine.lower()) not in {("Linux", "x86_64"), ("Linux", "amd64")}:
        msg = (
            f"The local engine's native libraries are for Linux on x86-64; this is {system} on "
            f"{machine}. Start OpenSearch in a container instead: docker compose up -d"
        )
        raise EngineError(msg)


def refuse_full_disk(folders: Iterable[Path], needed: int = NEEDED_BYTES) -> None:
    """Raise before a long download that could not be unpacked.

    Raises:
        EngineError: A folder's file system has less than `needed` bytes free.
    """
    for folder in folders:
        free = shutil.disk_usage(folder).free
        if free < needed:
            msg = (
                f"{folder} has {free / 1e9:.1f} GB free; the engine needs {needed / 1e9:.1f} GB. "
                "Free some space, or set TANDEM_CACHE to a folder on another disk."
            )
            raise EngineError(msg)


def native_libraries(home: Path) -> tuple[Path, ...]:
    """The files that must lie in a node's ML cache before its first model is deployed."""
    return tuple(sorted((home / "native").iterdir()))


def has_knn_natives(home: Path) -> bool:
    """Whether the k-NN plugin can write fields of the engine `faiss`."""
    return any((home / "plugins" / KNN_PLUGIN).rglob("libopensearchknn_faiss*"))


def module_descriptor(name: str, module: Module, distribution: Distribution) -> str:
    """Text of a module's `plugin-descriptor.properties`."""
    lines = {
        "name": name,
        "description": f"The module {name}",
        "version": distribution.version,
        "opensearch.version": distribution.version,
        "java.version": str(distribution.java[0]),
        "classname": module.plugin_class,
        "extended.plugins": ",".join(module.extends),
        "has.native.controller": "false",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def module_policy(module: Module) -> str:
    """Text of a module's `plugin-security.policy`; empty where it needs none."""
    if not module.policy:
        return ""
    return "grant {\n" + "".join(f"  {line}\n" for line in module.policy) + "};\n"


def _assemble(request: HomeRequest, progress: EngineProgress) -> None:
    artifacts = locks.read_lock(request.distribution.version)
    request.downloads.mkdir(parents=True, exist_ok=True)
    refuse_full_disk({request.downloads, request.homes})
    progress.stage(f"Fetching OpenSearch {request.distribution.version} to {request.downloads}")
    fetch_all(
        artifacts,
        request.downloads,
        options=DownloadOptions(repository_url()),
        progress=progress,
        size=request.distribution.download_bytes,
    )
    progress.stage(f"Assembling {request.home}")
    with tempfile.TemporaryDirectory(dir=request.homes, prefix=".assembling-") as temporary:
        home = Path(temporary) / "home"
        for artifact in artifacts:
            _place(artifact, request.downloads / artifact.path, home)
        _write_descriptors(request.distribution, home)
        # The server insists on this folder, though nothing of it is needed.
        (home / "bin").mkdir()
        _open_to_everyone(home)
        home.replace(request.home)


def _place(artifact: Artifact, source: Path, home: Path) -> None:
    if artifact.place == locks.PLUGIN:
        _unpack_plugin(source, home / "plugins")
    elif artifact.place == locks.NATIVE:
        link_or_copy(source, home / "plugins" / ML_PLUGIN / artifact.file_name)
        _unpack_natives(source, home / "native")
    elif artifact.place == locks.JNI:
        _unpack_member(source, _JNI_FILE, home / "native" / _JNI_NAME)
    else:
        link_or_copy(source, home / artifact.place / artifact.file_name)


def link_or_copy(source: Path, target: Path) -> None:
    """Have `source` at `target` too: a hard link where the file system allows, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _unpack_plugin(source: Path, plugins: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        name = _descriptor_name(archive.read(_DESCRIPTOR).decode(), source)
        for member in archive.namelist():
            _refuse_escape(member, source)
        archive.extractall(plugins / name)


def _descriptor_name(text: str, source: Path) -> str:
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "name" and value.strip():
            return value.strip()
    msg = f"{source.name} has no plugin name in its {_DESCRIPTOR}."
    raise EngineError(msg)


def _refuse_escape(member: str, source: Path) -> None:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts:
        msg = f"{source.name} holds {member!r}, which would be unpacked outside its folder."
        raise EngineError(msg)


def _unpack_natives(source: Path, native: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        members = [
            name
            for name in archive.namelist()
            if name.startswith(_NATIVE_FOLDER) and not name.endswith("/")
        ]
    for member in members:
        _unpack_member(source, member, native / PurePosixPath(member).name)


def _unpack_member(source: Path, member: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(source) as archive,
        archive.open(member) as inside,
        target.open("wb") as out,
    ):
        shutil.copyfileobj(inside, out, 1 << 20)


def _write_descriptors(distribution: Distribution, home: Path) -> None:
    for name, module in distribution.modules.items():
        folder = home / "modules" / name
        if not folder.is_dir():
            msg = f"The lock file of {distribution.version} has no jar for the module {name}."
            raise EngineError(msg)
        (folder / _DESCRIPTOR).write_text(
            module_descriptor(name, module, distribution), encoding="utf-8"
        )
        if policy := module_policy(module):
            (folder / "plugin-security.policy").write_text(policy, encoding="utf-8")


def _open_to_everyone(home: Path) -> None:
    """Let the node's account read the home, whatever the caller's umask is."""
    for folder, _, names in os.walk(home):
        Path(folder).chmod(0o755)
        for name in names:
            (Path(folder) / name).chmod(0o644)
