"""What names stand for, and which sets belong to them."""

import json
from pathlib import Path

import pytest
from encoder_models import model_folder
from training_compare_samples import write_run, write_set

from encoders.errors import EncoderError
from encoders.model import QUERY_SIDE
from encoders.options import LoadOptions
from training.compare.job import CompareJob, run_comparison
from training.compare.systems import read_systems, run_sets
from training.errors import TrainingError

OPTIONS = LoadOptions(runtime="torch")
DENSE = {
    "kind": "dense",
    "base": {"model": "all-MiniLM-L6-v2"},
    "query_only": False,
    "best_step": 4,
}


def test_names_of_all_kinds(tmp_path: Path) -> None:
    write_run(tmp_path / "tuned", DENSE)
    write_run(tmp_path / "wide", {"recipe": "splade", "best_step": 7})
    legs = [{"leg": "dense", "best_step": 1}, {"leg": "sparse", "best_step": 2}]
    write_run(tmp_path / "table", {"legs": legs})
    model = model_folder("bert-mean", tmp_path)
    names = ["bm25", "lexical", "all-MiniLM-L6-v2", "openai:some-model", str(model)]
    names += [str(tmp_path / name) for name in ("tuned", "wide", "table")]
    found = read_systems(names, OPTIONS)
    assert [(system.label, system.kind) for system in found] == [
        ("bm25", "bm25"),
        ("lexical", "lexical"),
        ("all-MiniLM-L6-v2", "dense"),
        ("openai:some-model", "dense"),
        ("bert-mean", "dense"),
        ("tuned", "dense"),
        ("wide", "sparse"),
        ("table/dense", "dense"),
        ("table/sparse", "sparse"),
    ]
    assert found[5].model == str(tmp_path / "tuned" / "model")
    assert found[7].model == str(tmp_path / "table" / "dense")
    assert [system.best_step for system in found[5:]] == [4, 7, 1, 2]


def test_a_sparse_model_folder_is_known_by_its_files(tmp_path: Path) -> None:
    folder = model_folder("bert-inference-free", tmp_path)
    assert read_systems([str(folder)], OPTIONS)[0].kind == "sparse"


def test_the_same_name_twice_gives_two_labels(tmp_path: Path) -> None:
    for place in ("a", "b"):
        write_run(tmp_path / place / "first", DENSE)
    names = [str(tmp_path / place / "first") for place in ("a", "b", "b")]
    labels = [system.label for system in read_systems(names, OPTIONS)]
    assert labels == ["a/first", "b/first", "b/first (2)"]


def test_bases_come_first_and_once(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_run(tmp_path / name, DENSE)
    names = [str(tmp_path / name) for name in ("first", "second")]
    found = read_systems(names, OPTIONS, with_base=True)
    assert [system.label for system in found] == ["all-MiniLM-L6-v2", "first", "second"]


def test_queries_tuned_alone_search_the_documents_of_their_base(tmp_path: Path) -> None:
    write_run(tmp_path / "tuned", {**DENSE, "query_only": True})
    folder = model_folder("bert-mean", tmp_path)
    identity = {"kind": "dense", "model": "the-base", "fingerprint": "f", "dimension": 32}
    (folder / QUERY_SIDE).write_text(json.dumps({"documents": identity}))
    run, model = read_systems([str(tmp_path / "tuned"), str(folder)], OPTIONS)
    assert (run.documents, model.documents) == ("all-MiniLM-L6-v2", "the-base")
    (folder / QUERY_SIDE).write_text("{}")
    with pytest.raises(TrainingError, match="whose documents"):
        read_systems([str(folder)], OPTIONS)


def test_what_is_no_system_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "begun", None)
    write_run(tmp_path / "other", {"something": "else"})
    (tmp_path / "empty").mkdir()
    for name, reason in (
        ("begun", "not complete"),
        ("other", "training run"),
        ("empty", "neither"),
    ):
        with pytest.raises(TrainingError, match=reason):
            read_systems([str(tmp_path / name)], OPTIONS)
    with pytest.raises(EncoderError, match="Unknown model 'nonsense'"):
        read_systems(["nonsense"], OPTIONS)


def test_the_sets_are_those_of_the_first_run(tmp_path: Path) -> None:
    write_run(tmp_path / "run", DENSE, dev=[("a", "dev")], floor=[("b", "test")])
    found = run_sets(read_systems(["bm25", str(tmp_path / "run")], OPTIONS))
    assert found is not None
    assert [str(entry.path) for entry in (*found.dev, *found.floor)] == ["a", "b"]
    assert found.seed == 3
    assert run_sets(read_systems(["bm25"], OPTIONS)) is None


def test_without_a_set_there_is_nothing_to_compare() -> None:
    with pytest.raises(TrainingError, match="--set FOLDER:SPLIT"):
        run_comparison(CompareJob(["bm25"], cache=None))


def test_a_set_that_chose_the_checkpoint_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "bank")
    result = {"recipe": "splade", "best_step": 1}
    run = write_run(tmp_path / "run", result, dev=[(folder, "dev")])
    model_folder("bert-inference-free", tmp_path).rename(run / "model")
    outcome = run_comparison(CompareJob([str(run)], load=OPTIONS, cache=None))
    assert any("bank/dev chose the checkpoint of run" in note for note in outcome.warnings)
