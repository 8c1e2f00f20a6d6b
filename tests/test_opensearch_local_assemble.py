import hashlib
import shutil
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from opensearch.errors import EngineError
from opensearch.local import assemble, locks
from opensearch.local.assemble import (
    HomeRequest,
    ensure_home,
    has_knn_natives,
    link_or_copy,
    module_descriptor,
    module_policy,
    native_libraries,
    refuse_full_disk,
    refuse_other_platforms,
)
from opensearch.local.distribution import Distribution, Module, distribution
from opensearch.local.locks import JNI, LIB, NATIVE, PLUGIN, Artifact
from opensearch.local.progress import Silent

SMALL = Distribution(
    version="0.1.0",
    java=(21, None),
    modules={"lang-x": Module("org.X", ("lang-y",), ("permission a;",)), "geo": Module("org.Geo")},
)


def published(name: str, place: str, extension: str = "jar") -> Artifact:
    return Artifact("g", name, "1", extension, "", hashlib.sha256(b"").hexdigest(), place)


def zipped(path: Path, members: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


PARTS = (
    published("server", LIB),
    published("x", "modules/lang-x"),
    published("geo", "modules/geo"),
    published("knn", PLUGIN, "zip"),
    published("native", NATIVE),
    published("jni", JNI),
)


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HomeRequest:
    downloads = tmp_path / "downloads"
    for part in PARTS[:3]:
        (downloads / part.path).parent.mkdir(parents=True)
        (downloads / part.path).write_text(part.name)
    descriptor = "# of it\nname=opensearch-knn\nversion=1\n"
    zipped(downloads / PARTS[3].path, {"plugin-descriptor.properties": descriptor, "k.jar": "k"})
    native = {"pytorch/cpu/linux-x86_64/libtorch.so": "t", "pytorch/cpu/linux-x86_64/": "", "o": ""}
    zipped(downloads / PARTS[4].path, native)
    zipped(downloads / PARTS[5].path, {"jnilib/linux-x86_64/cpu/libdjl_torch.so": "j"})
    monkeypatch.setattr(locks, "read_lock", lambda version: PARTS)
    monkeypatch.setattr(assemble, "fetch_all", lambda *_, **__: None)
    monkeypatch.setattr(assemble, "refuse_full_disk", lambda folders: None)
    monkeypatch.setattr(assemble, "refuse_other_platforms", lambda *_: None)
    (tmp_path / "engine").mkdir()
    return HomeRequest(SMALL, downloads, tmp_path / "engine")


def test_a_home_has_everything_in_its_place(request_: HomeRequest) -> None:
    home = ensure_home(request_, Silent())
    assert home == request_.homes / "0.1.0"
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert files == {
        "lib/server-1.jar",
        "modules/lang-x/x-1.jar",
        "modules/lang-x/plugin-descriptor.properties",
        "modules/lang-x/plugin-security.policy",
        "modules/geo/geo-1.jar",
        "modules/geo/plugin-descriptor.properties",
        "plugins/opensearch-knn/plugin-descriptor.properties",
        "plugins/opensearch-knn/k.jar",
        "plugins/opensearch-ml/native-1.jar",
        "native/libtorch.so",
        "native/0.31.1-libdjl_torch.so",
    }
    assert (home / "bin").is_dir()
    assert [path.name for path in native_libraries(home)] == [
        "0.31.1-libdjl_torch.so",
        "libtorch.so",
    ]
    modes = {path.stat().st_mode & 0o777 for path in (home, *home.rglob("*"))}
    assert modes == {0o755, 0o644}


def test_a_failure_leaves_no_home_behind(
    request_: HomeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "read_lock", lambda version: PARTS[:2])
    with pytest.raises(EngineError, match="no jar for the module geo"):
        ensure_home(request_, Silent())
    assert [path.name for path in request_.homes.iterdir()] == [".lock"]


def test_two_at_once_assemble_once(request_: HomeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, fetched = threading.Barrier(2, timeout=10), []

    def fetch(artifacts: Sequence[Artifact], *_: Any, **__: Any) -> None:
        fetched.append(len(artifacts))
        inside.wait()

    class Waiting(Silent):
        def stage(self, message: str) -> None:
            if "waiting" in message:
                inside.wait()

    monkeypatch.setattr(assemble, "fetch_all", fetch)
    threads = [threading.Thread(target=ensure_home, args=(request_, Waiting())) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [len(PARTS)]
    assert request_.home.is_dir()


def test_an_assembled_home_is_taken_as_it_is(request_: HomeRequest) -> None:
    request_.home.mkdir()
    assert ensure_home(request_, Silent()) == request_.home
    assert list(request_.home.iterdir()) == []


@pytest.mark.parametrize("member", ["../evil", "/evil", "a/../../evil"])
def test_a_plugin_may_not_be_unpacked_elsewhere(request_: HomeRequest, member: str) -> None:
    members = {"plugin-descriptor.properties": "name=x\n", member: "x"}
    zipped(request_.downloads / PARTS[3].path, members)
    with pytest.raises(EngineError, match="outside its folder"):
        ensure_home(request_, Silent())


def test_a_plugin_without_a_name_is_refused(request_: HomeRequest) -> None:
    zipped(request_.downloads / PARTS[3].path, {"plugin-descriptor.properties": "version=1"})
    with pytest.raises(EngineError, match="no plugin name"):
        ensure_home(request_, Silent())


def test_faiss_is_found_where_its_library_is(tmp_path: Path) -> None:
    assert not has_knn_natives(tmp_path)
    library = tmp_path / "plugins/opensearch-knn/lib/libopensearchknn_faiss_avx2.so"
    library.parent.mkdir(parents=True)
    library.touch()
    assert has_knn_natives(tmp_path)


def test_the_disk_is_looked_at_with_numbers(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    refuse_full_disk([tmp_path], free // 2)
    with pytest.raises(EngineError, match=rf"needs {free * 3 / 1e9:.1f} GB.*TANDEM_CACHE"):
        refuse_full_disk([tmp_path], free * 3)


def test_other_platforms_are_pointed_to_containers() -> None:
    refuse_other_platforms("Linux", "x86_64")
    for system, machine in (("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")):
        with pytest.raises(EngineError, match=rf"{system}.*docker compose"):
            refuse_other_platforms(system, machine)


def test_files_are_linked_where_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a"
    source.write_text("a")
    link_or_copy(source, tmp_path / "x" / "b")
    assert (tmp_path / "x" / "b").samefile(source)

    def refused(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr("os.link", refused)
    link_or_copy(source, tmp_path / "c")
    assert (tmp_path / "c").read_text() == "a"
    assert not (tmp_path / "c").samefile(source)


def test_module_descriptors() -> None:
    text = module_descriptor("lang-x", SMALL.modules["lang-x"], SMALL)
    values = dict(line.split("=", 1) for line in text.splitlines())
    assert values["classname"] == "org.X"
    assert values["extended.plugins"] == "lang-y"
    assert (values["version"], values["java.version"]) == ("0.1.0", "21")


def test_module_policies() -> None:
    assert module_policy(SMALL.modules["lang-x"]) == "grant {\n  permission a;\n};\n"
    assert module_policy(SMALL.modules["geo"]) == ""
    assert not any(module.policy for module in distribution("3.6.0").modules.values())
