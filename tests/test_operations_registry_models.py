"""Folders of real models in the registry."""

from pathlib import Path

import pytest
from encoder_models import model_folder

from encoders.errors import EncoderError
from encoders.registry import load_dense, load_sparse
from operations.registry.draft import Draft
from operations.registry.errors import RegistryError
from operations.registry.pushing import PushOptions, push_version
from operations.registry.registry import Registry


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("models")
    return model_folder("bert-mean", root), model_folder("bert-inference-free", root)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def test_what_is_fetched_is_the_encoder_that_was_published(folders, tmp_path):
    dense, sparse = folders
    registry = Registry.open(tmp_path / "registry")
    manifest = registry.publish("bank", Draft(dense=dense, sparse=str(sparse)))
    fetched = registry.fetch("bank", "latest")
    assert manifest.dense is not None and manifest.sparse is not None
    assert fetched.dense is not None and fetched.sparse is not None
    loaded = load_dense(fetched.dense).identity, load_sparse(fetched.sparse).identity
    for entry, identity in zip((manifest.dense, manifest.sparse), loaded, strict=True):
        assert entry.identity["fingerprint"] == identity.fingerprint
        assert entry.identity["dimension"] == identity.dimension
    assert registry.verify("bank", "latest") == []


def test_where_a_model_lay_does_not_make_it_another(folders, tmp_path):
    import shutil

    registry = Registry.open(tmp_path / "registry")
    first = registry.publish("bank", Draft(dense=folders[0]))
    moved = shutil.copytree(folders[0], tmp_path / "moved")
    assert registry.publish("bank", Draft(dense=moved)).version == first.version


def test_a_folder_of_the_wrong_kind_is_refused(folders, tmp_path):
    with pytest.raises(EncoderError, match=r"SpladePooling|Router"):
        Registry.open(tmp_path / "registry").publish("bank", Draft(dense=folders[1]))


def test_a_version_without_a_model_for_nodes_is_not_pushed(tmp_path):
    registry = Registry.open(tmp_path / "registry")
    registry.publish("bank", Draft(dense="openai:small", sparse="lexical"))
    with pytest.raises(RegistryError, match="--statistics-of"):
        push_version(None, registry, "bank", "latest", PushOptions())


def test_a_pushed_version_has_its_number_in_its_name(folders, tmp_path, monkeypatch):
    from operations.registry import pushing

    asked = []
    monkeypatch.setattr(pushing, "push", lambda _c, request, _p: asked.append(request) or [])
    registry = Registry.open(tmp_path / "registry")
    registry.publish("bank", Draft(dense=folders[0], sparse="lexical"))
    push_version(None, registry, "bank", "1.0.0", PushOptions(statistics_of="docs"))
    assert [(r.kind, r.naming.name, r.naming.group) for r in asked] == [
        ("dense", "bank-dense-1.0.0", "bank-dense"),
        (None, "bank-sparse-1.0.0", "bank-sparse"),
    ]
    assert [r.statistics_of for r in asked] == [None, "docs"]
