import json
import multiprocessing
import os
import signal
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from registry_samples import draft

from operations.registry import store as store_module
from operations.registry.errors import RegistryError, TamperedError, VersionNotFoundError
from operations.registry.registry import Registry
from operations.registry.versions import Version


@pytest.fixture(params=["folder", "memory"])
def registry(request, tmp_path) -> Registry:
    if request.param == "folder":
        return Registry.open(tmp_path / "registry")
    return Registry.open(f"memory://{uuid.uuid4().hex}")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def texts(found):
    return [str(version) for version in found]


def test_versions_follow_each_other(registry, tmp_path):
    first = registry.publish("bank", draft(tmp_path / "a", "a"))
    second = registry.publish("bank", draft(tmp_path / "b", "b"))
    third = registry.publish("bank", draft(tmp_path / "c", "c"), bump="major")
    assert texts([first.version, second.version, third.version]) == ["1.0.0", "1.1.0", "2.0.0"]
    assert texts(registry.versions("bank")) == ["1.0.0", "1.1.0", "2.0.0"]
    assert registry.names() == ["bank"]
    assert registry.manifest("bank", "latest") == third
    assert registry.manifest("bank", "1.0.0") == first


def test_the_same_content_is_one_version(registry, tmp_path):
    first = registry.publish("bank", draft(tmp_path / "a", "a"))
    again = registry.publish("bank", draft(tmp_path / "elsewhere", "a"))
    assert again == first
    assert len(registry.history("bank")) == 2


def test_a_published_version_never_changes(registry, tmp_path):
    registry.publish("bank", draft(tmp_path / "a", "a"), version=Version(3, 0, 0))
    with pytest.raises(RegistryError, match="never change"):
        registry.publish("bank", draft(tmp_path / "b", "b"), version=Version(3, 0, 0))
    with pytest.raises(RegistryError, match=r"is version 3\.0\.0 already"):
        registry.publish("bank", draft(tmp_path / "a", "a"), version=Version(4, 0, 0))
    assert texts(registry.versions("bank")) == ["3.0.0"]


def test_a_fetched_version_is_what_was_published(registry, tmp_path):
    registry.publish("bank", draft(tmp_path / "a", "content"))
    fetched = registry.fetch("bank", "latest")
    assert (fetched.folder / "exports/extra/extra.json").read_text() == "content"
    assert (fetched.dense, fetched.sparse) == (None, "lexical")
    assert registry.fetch("bank", "1.0.0").folder == fetched.folder


def test_a_damaged_copy_is_fetched_again(tmp_path):
    registry = Registry.open(f"memory://{uuid.uuid4().hex}")
    registry.publish("bank", draft(tmp_path / "a", "content"))
    copy = registry.fetch("bank", "latest").folder / "exports/extra/extra.json"
    copy.write_text("changed")
    assert (registry.fetch("bank", "latest").folder / "exports/extra/extra.json").read_text() == (
        "content"
    )


def test_a_download_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    registry = Registry.open(f"memory://{uuid.uuid4().hex}")
    registry.publish("bank", draft(tmp_path / "a", "content"))

    def broken(self, path, target):
        target.write_bytes(b"half")
        msg = "the network went away"
        raise RegistryError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(store_module.Store, "download", broken)
        with pytest.raises(RegistryError, match="went away"):
            registry.fetch("bank", "latest")
    cached = tmp_path / "cache" / "registry" / "bank"
    assert [path.name for path in cached.iterdir() if path.is_dir()] == []
    assert registry.fetch("bank", "latest").folder.is_dir()


def test_tags_move(registry, tmp_path):
    for content in "abc":
        registry.publish("bank", draft(tmp_path / content, content))
    registry.tag("bank", "candidate", "1.0.0")
    registry.tag("bank", "candidate", Version(1, 1, 0))
    registry.promote("bank", "1.0.0")
    registry.promote("bank", Version(1, 1, 0))
    registry.promote("bank", Version(1, 1, 0))
    tags = {tag: str(version) for tag, version in registry.tags("bank").items()}
    assert tags == {"candidate": "1.1.0", "production": "1.1.0", "previous": "1.0.0"}
    assert str(registry.resolve("bank", "previous")) == "1.0.0"
    registry.promote("bank", registry.resolve("bank", "previous"))
    assert str(registry.manifest("bank", "production").version) == "1.0.0"
    assert str(registry.tags("bank")["previous"]) == "1.1.0"
    assert registry.untag("bank", "candidate") is True
    assert registry.untag("bank", "candidate") is False


def test_what_cannot_be_tagged(registry, tmp_path):
    registry.publish("bank", draft(tmp_path / "a"))
    for tag in ("latest", "1.0.0", "Candidate", "", "a b", "../x"):
        with pytest.raises(RegistryError, match="is no tag"):
            registry.tag("bank", tag, "1.0.0")
    with pytest.raises(VersionNotFoundError, match="published: 1"):
        registry.tag("bank", "candidate", "9.0.0")
    with pytest.raises(VersionNotFoundError, match="published: 1"):
        registry.promote("bank", "9.0.0")
    with pytest.raises(RegistryError, match="promote another"):
        registry.untag("bank", "production")


def test_what_is_not_there(registry, tmp_path):
    with pytest.raises(VersionNotFoundError, match="it has: none"):
        registry.versions("bank")
    registry.publish("bank", draft(tmp_path / "a"))
    with pytest.raises(VersionNotFoundError, match="its tags: none"):
        registry.manifest("bank", "production")
    with pytest.raises(VersionNotFoundError, match="published: 1"):
        registry.manifest("bank", "1.2.3")
    for name in ("", "Bank", "a/b", "..", "a" * 200):
        with pytest.raises(RegistryError, match="is no model name"):
            registry.publish(name, draft(tmp_path / "a"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sparse": None}, "needs a model"),
        ({"dense": Path("nowhere")}, "is no folder"),
        ({"exports": {"x": Path("nowhere")}}, "does not exist"),
        ({"exports": {"../x": Path("nowhere")}}, "no name for an export"),
        ({"data": {"train": Path("nowhere")}}, "does not exist"),
        ({"metrics": {"ndcg": float("nan")}}, "only hold what JSON can"),
    ],
)
def test_an_incomplete_draft_is_refused_before_anything_is_written(tmp_path, change, message):
    registry = Registry.open(tmp_path / "registry")
    with pytest.raises(RegistryError, match=message):
        registry.publish("bank", replace(draft(tmp_path / "a"), **change))
    assert not (tmp_path / "registry").exists()


def test_data_is_fingerprinted_and_not_copied(registry, tmp_path):
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text("q")
    (folder / "qrels" / "dev.tsv").write_text("r")
    train = tmp_path / "train.jsonl"
    train.write_text("t")
    data = {"dev": folder, "train": train}
    manifest = registry.publish("bank", draft(tmp_path / "a", data=data))
    assert manifest.data["dev"].files == 2
    assert manifest.data["train"].size == 1
    assert list(manifest.files) == ["exports/extra/extra.json"]
    (folder / "qrels" / "dev.tsv").write_text("s")
    other = registry.publish("bank", draft(tmp_path / "a", data=data))
    assert other.version != manifest.version
    assert other.data["train"] == manifest.data["train"]


def test_an_untouched_version_has_no_faults(registry, tmp_path):
    registry.publish("bank", draft(tmp_path / "a"))
    assert registry.verify("bank", "latest") == []


@pytest.fixture
def stored(tmp_path) -> tuple[Registry, Path]:
    registry = Registry.open(tmp_path / "registry")
    registry.publish("bank", draft(tmp_path / "a", "content"))
    registry.publish("bank", draft(tmp_path / "b", "other"))
    return registry, tmp_path / "registry" / "bank"


def overwrite(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def test_a_changed_file_is_found_and_not_handed_out(stored):
    registry, folder = stored
    overwrite(folder / "1.0.0/exports/extra/extra.json", "CONTENT")
    (fault,) = registry.verify("bank", "1.0.0")
    assert fault.startswith("exports/extra/extra.json: changed")
    with pytest.raises(TamperedError, match="not what was published"):
        registry.fetch("bank", "1.0.0")
    assert registry.verify("bank", "1.1.0") == []


def test_a_missing_and_an_added_file_are_found(stored):
    registry, folder = stored
    (folder / "1.0.0/exports/extra/extra.json").rename(folder / "1.0.0/new.json")
    assert registry.verify("bank", "1.0.0") == [
        "exports/extra/extra.json: missing",
        "new.json: added",
    ]


def test_a_changed_manifest_is_found(stored):
    registry, folder = stored
    path = folder / "1.0.0/manifest.json"
    value = json.loads(path.read_text())
    overwrite(path, json.dumps({**value, "author": "Eve"}))
    with pytest.raises(TamperedError, match="changed after it was published"):
        registry.manifest("bank", "1.0.0")
    assert "changed after it was published" in registry.verify("bank", "1.0.0")[0]
    path.unlink()
    assert "missing although it was published" in registry.verify("bank", "1.0.0")[0]


def test_a_changed_or_missing_ledger_entry_is_found(stored):
    registry, folder = stored
    entry = folder / "ledger/00000002.json"
    original = entry.read_text()
    overwrite(entry, original.replace("Ada", "Eve"))
    assert "entry 2 is not what it was" in registry.verify("bank", "1.1.0")[0]
    entry.unlink()
    assert "entries [2] are missing" in registry.verify("bank", "1.1.0")[0]
    entry.write_text("{")
    with pytest.raises(TamperedError, match="entry 2 cannot be read"):
        registry.versions("bank")


def publish_one(place: str, folder: str, number: int) -> str:
    registry = Registry.open(place)
    manifest = registry.publish("bank", draft(Path(folder) / str(number), str(number)))
    registry.tag("bank", f"by-{number}", manifest.version)
    return str(manifest.version)


def test_many_processes_publish_at_once(tmp_path):
    place = str(tmp_path / "registry")
    jobs = [(place, str(tmp_path), number) for number in range(16)]
    with multiprocessing.get_context("fork").Pool(8) as pool:
        made = pool.starmap(publish_one, jobs)
    assert sorted(made, key=Version.parse) == [f"1.{n}.0" for n in range(16)]
    registry = Registry.open(place)
    assert len(registry.versions("bank")) == 16
    for number, version in enumerate(made):
        assert str(registry.tags("bank")[f"by-{number}"]) == version
        file = registry.fetch("bank", version).folder / "exports/extra/extra.json"
        assert file.read_text() == str(number)
        assert registry.verify("bank", version) == []


def test_many_processes_publish_the_same_once(tmp_path):
    jobs = [(str(tmp_path / "registry"), str(tmp_path / str(n)), 0) for n in range(8)]
    with multiprocessing.get_context("fork").Pool(8) as pool:
        assert set(pool.starmap(publish_one, jobs)) == {"1.0.0"}


def test_many_threads_tag_in_memory(tmp_path):
    registry = Registry.open(f"memory://{uuid.uuid4().hex}")
    registry.publish("bank", draft(tmp_path / "a"))
    tags = [f"tag-{number}" for number in range(12)]
    threads = [threading.Thread(target=registry.tag, args=("bank", tag, "1.0.0")) for tag in tags]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(registry.tags("bank")) == sorted(tags)


def publish_and_die(place: str, folder: str, step: int) -> None:
    """Publish, and be killed before or after the nth change of the store."""
    steps = iter(range(1, step + 1))

    def die_at_last() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(method):
        def wrapper(*arguments):
            die_at_last()
            done = method(*arguments)
            die_at_last()
            return done

        return wrapper

    for name in ("create", "upload"):
        setattr(store_module.Store, name, dying(getattr(store_module.Store, name)))
    Registry.open(place).publish("bank", draft(Path(folder), "new"))


@pytest.mark.parametrize("step", range(1, 9))
def test_killed_at_any_step_nothing_half_done_is_seen(tmp_path, step):
    place = tmp_path / "registry"
    registry = Registry.open(place)
    registry.publish("bank", draft(tmp_path / "old", "old"))
    context = multiprocessing.get_context("fork")
    child = context.Process(target=publish_and_die, args=(str(place), str(tmp_path / "new"), step))
    child.start()
    child.join()
    # Two calls around each of: reservation, upload, manifest, publication.
    assert child.exitcode == -signal.SIGKILL
    seen = texts(registry.versions("bank"))
    assert seen == (["1.0.0", "1.1.0"] if step == 8 else ["1.0.0"])
    assert all(registry.verify("bank", version) == [] for version in seen)
    other = registry.publish("bank", draft(tmp_path / "other", "other"))
    again = registry.publish("bank", draft(tmp_path / "new", "new"))
    assert texts(sorted([other.version, again.version])) == (["1.1.0", "1.2.0"])
    assert [registry.verify("bank", str(v)) for v in registry.versions("bank")] == [[], [], []]


def test_an_unfinished_version_says_so(tmp_path, monkeypatch):
    registry = Registry.open(tmp_path / "registry")
    registry.publish("bank", draft(tmp_path / "a", "a"))

    def full(self, source, path):
        msg = "no space left"
        raise RegistryError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(store_module.Store, "upload", full)
        with pytest.raises(RegistryError, match="no space"):
            registry.publish("bank", draft(tmp_path / "b", "b"))
    with pytest.raises(VersionNotFoundError, match="has not finished"):
        registry.manifest("bank", "1.1.0")
    with pytest.raises(RegistryError, match="was begun with other content"):
        registry.publish("bank", draft(tmp_path / "c", "c"), version=Version(1, 1, 0))


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "registry").write_text("a file")
    with pytest.raises(RegistryError, match="Check the place"):
        Registry.open(tmp_path / "registry").publish("bank", draft(tmp_path / "a"))


def test_a_missing_package_is_named(monkeypatch):
    import fsspec

    def missing(url):
        msg = "Install s3fs to access S3"
        raise ImportError(msg)

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(RegistryError, match="pip install s3fs"):
        Registry.open("s3://bucket/models")


def test_an_unknown_protocol_is_refused():
    with pytest.raises(RegistryError, match="no place for a registry"):
        Registry.open("nonsense://x")


def test_the_place_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Registry.open().store.folder == tmp_path / "registry"
    monkeypatch.setenv("TANDEM_REGISTRY", str(tmp_path / "models"))
    assert Registry.open().store.folder == tmp_path / "models"


def test_disks_without_hard_links(tmp_path, monkeypatch):
    import errno

    def refused(self, target):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    registry = Registry.open(tmp_path / "registry")
    registry.publish("bank", draft(tmp_path / "a"))
    assert registry.verify("bank", "latest") == []
    assert registry.store.create("bank/ledger/00000001.json", b"other") is False
