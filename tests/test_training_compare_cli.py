"""``tandem compare`` from names to table, and vectors that are encoded once."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from encoder_models import model_folder
from training_compare_samples import write_set

from encoders.base import SparseVector
from encoders.options import LoadOptions
from opensearch.cli.root import main
from training.compare import encoding
from training.compare.encoding import SystemEncoder
from training.compare.measuring import measure_system
from training.compare.systems import System
from training.dev_sets import DevSet

OPTIONS = LoadOptions(runtime="torch")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    write_set(folder / "bank")
    return folder


def no_model(*_: object) -> None:
    raise AssertionError("a model was loaded")


@pytest.mark.parametrize(
    ("kind", "name"), [("dense", "bert-mean"), ("sparse", "bert-inference-free")]
)
def test_a_second_comparison_loads_no_model(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    system = System(name, kind, str(model_folder(name, root)))
    dev_set = DevSet.load(root / "bank", "all")
    first = measure_system(system, [dev_set], OPTIONS, cache=tmp_path)["bank/all"]
    monkeypatch.setattr(encoding, f"load_{kind}", no_model)
    second = measure_system(system, [dev_set], OPTIONS, cache=tmp_path)["bank/all"]
    assert second.run == first.run
    assert second.sparsity == first.sparsity
    assert (first.sparsity is not None) == (kind == "sparse")


def test_other_texts_or_another_model_are_encoded_anew(root: Path, tmp_path: Path) -> None:
    system = System("bert", "dense", str(model_folder("bert-mean", root)))
    encoder = SystemEncoder(system, OPTIONS, tmp_path / "cache")
    folder = write_set(tmp_path / "bank")
    before = encoder.dense(DevSet.load(folder, "all"), "documents")
    text = (folder / "corpus.jsonl").read_text().replace("lost card", "found card")
    (folder / "corpus.jsonl").write_text(text)
    after = encoder.dense(DevSet.load(folder, "all"), "documents")
    changed = np.abs(before - after).max(axis=1) > 1e-6
    assert changed.tolist() == [False, True, False, False]
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 2


def test_a_broken_file_is_made_anew(root: Path, tmp_path: Path) -> None:
    system = System("bert", "dense", str(model_folder("bert-mean", root)))
    dev_set = DevSet.load(root / "bank", "all")
    first = SystemEncoder(system, OPTIONS, tmp_path).dense(dev_set, "queries")
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(b"cut off")
    again = SystemEncoder(system, OPTIONS, tmp_path).dense(dev_set, "queries")
    assert np.array_equal(first, again)


def test_empty_vectors_survive_being_kept() -> None:
    empty = SparseVector(np.zeros(0, np.int32), np.zeros(0, np.float32))
    full = SparseVector(np.asarray([2, 5], np.int32), np.asarray([0.5, 1.0], np.float32))
    for vectors in ([], [empty], [empty, full, empty]):
        found = encoding._unpacked(encoding._packed(vectors))
        assert [v.ids.tolist() for v in found] == [v.ids.tolist() for v in vectors]


def test_queries_tuned_alone_are_paired_with_the_base(root: Path) -> None:
    model, base = (str(model_folder(n, root)) for n in ("bert-mean", "modernbert-cls"))
    dev_set = DevSet.load(root / "bank", "all")
    pair = SystemEncoder(System("pair", "dense", model, documents=base), OPTIONS, None)
    alone = SystemEncoder(System("base", "dense", base), OPTIONS, None)
    assert np.array_equal(pair.dense(dev_set, "documents"), alone.dense(dev_set, "documents"))


def test_the_command(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    dense, sparse = (str(model_folder(n, root)) for n in ("bert-mean", "bert-inference-free"))
    names = ["bm25", "lexical", dense, sparse, "--runtime", "torch"]
    sets = ["--set", f"{root / 'bank'}:all"]
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["compare", *names, *sets, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "bank/all (4 queries, 4 documents)" in done.stdout
    assert "entries/doc" in done.stdout and "vs bm25" in done.stdout
    assert (out / "report.html").is_file()
    done = CliRunner().invoke(main, ["compare", *names, *sets, "--baseline", "lexical", "--json"])
    values = json.loads(done.stdout)
    assert values["baseline"] == "lexical"
    found = values["sets"][0]["systems"]
    assert set(found) == {"bm25", "lexical", "bert-mean", "bert-inference-free"}
    assert found["bert-inference-free"]["flops"] > 0
    assert "flops" not in found["bert-mean"]
    # Three of the four questions share words with their document alone.
    assert found["bm25"]["ndcg@10"] == found["lexical"]["ndcg@10"] == 0.75


def test_an_unknown_baseline_is_misuse_with_its_reason(root: Path) -> None:
    arguments = ["compare", "bm25", "--set", f"{root / 'bank'}:all", "--baseline", "x"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "no system is called 'x'" in done.output
