"""Job files: what they say, and what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest

from operations.retraining.job import RetrainingJob, load_job
from operations.retraining.recipes import TrainingData, trained_legs, training_config
from training.config import ConfigError, EvaluationSet
from training.dense.config import DenseConfig

PAGE = Path(__file__).parent.parent / "docs" / "retraining.md"
TINY = """
name = "bank"
[collect]
records = [{path = "records.jsonl"}]
[train]
recipe = "static"
[evaluate]
frozen = [{path = "frozen"}]
"""


def job(folder: Path, text: str) -> RetrainingJob:
    path = folder / "job.toml"
    path.write_text(text, encoding="utf-8")
    return load_job(path)


def test_paths_are_taken_from_the_files_folder(tmp_path: Path) -> None:
    more = '[train.settings.data]\ncorpus = ["texts"]\n[mine]\ncorpus = "/elsewhere"\n'
    found = job(tmp_path, f'registry = "models"\n{TINY}{more}')
    assert found.output == tmp_path / "retraining"
    assert found.registry == str(tmp_path / "models")
    assert found.collect.records[0].path == tmp_path / "records.jsonl"
    assert found.evaluate.frozen[0].path == tmp_path / "frozen"
    assert found.train.settings["data"]["corpus"] == [str(tmp_path / "texts")]
    assert found.mine is not None
    assert found.mine.corpus == Path("/elsewhere")
    assert job(tmp_path, f'registry = "s3://models"\n{TINY}').registry == "s3://models"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TINY + "[gate]\nmin_gian = 1\n", r"gate\.min_gian: no such key. Did you mean 'min_gain'"),
        (TINY + "[train.settings.training]\nstep = 1\n", r"training\.step: .*mean 'steps'"),
        (TINY + "[gate]\np = 0\n", r"gate\.p: input should be greater than 0"),
        (TINY + '[train.settings]\noutput = "x"\n', "output come from the job itself"),
        (TINY + "[train.settings.data]\ntrain = []\n", r"data\.train come from the job itself"),
        (TINY.replace('"static"', '"static"\nstart = "production"'), "start: static encoders"),
        (TINY.replace('"static"', '"static"\npreset = "static-japanese"'), "no preset"),
        (TINY.replace("records = ", "minimum = 3 # "), "collect: name records"),
        (TINY + "[mine]\nnegatives = 2\n", "mine: without an index, name a corpus"),
        (TINY + "[collect.feedback]\n", "without an index, name the texts"),
        (TINY.replace('"bank"', '"Bank Korea"'), "name: string should match"),
        ("name = 1", "collect: field required"),
        ("name = ", "is not TOML"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        job(tmp_path, text)


def test_the_settings_of_the_trainer_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(
        'output = "elsewhere"\n[training]\nsteps = 7\nbatch_size = 9\n'
        '[data]\ntrain = [{path = "other.jsonl"}]\n',
        encoding="utf-8",
    )
    lines = 'recipe = "static"\npreset = "static-korean"\nconfig = "recipe.toml"\n'
    text = TINY.replace('recipe = "static"', lines)
    text += '[train.settings]\ntraining = {steps = 5}\nmodel = {legs = ["sparse"]}\n'
    train = job(tmp_path, text).train
    assert (train.settings["training"]["steps"], train.settings["training"]["batch_size"]) == (5, 9)
    assert (train.preset, train.config) == (None, None)
    assert trained_legs(train) == ("sparse",)
    assert "output" not in train.settings
    config = training_config(train, data(tmp_path))
    assert config.model_dump()["output"] == tmp_path / "run"
    assert config.model_dump()["data"]["train"][0]["path"] == tmp_path / "train.jsonl"


def data(folder: Path, **more: Any) -> TrainingData:
    dev = [EvaluationSet(path=folder / "dev")]
    return TrainingData(folder / "train.jsonl", more.pop("dev", dev), folder / "run", **more)


def test_a_dense_run_may_start_from_another_model_and_needs_a_dev_set(tmp_path: Path) -> None:
    train = job(tmp_path, TINY.replace('"static"', '"dense"\npreset = "dense-minilm"')).train
    config = training_config(train, data(tmp_path, model="registry/bank/1.0.0/dense"))
    assert isinstance(config, DenseConfig)
    assert config.model == "registry/bank/1.0.0/dense"
    with pytest.raises(ConfigError, match=r"data\.dev: name at least one set"):
        training_config(train, data(tmp_path, dev=[]))


def test_a_models_folder_beside_the_job_is_found(tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    text = TINY.replace('"static"', '"sparse"') + '[train.settings]\nmodel = "start"\n'
    assert job(tmp_path, text).train.settings["model"] == str(tmp_path / "start")


def test_the_documented_jobs_are_jobs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert [job(tmp_path, block).name for block in blocks] == ["sample", "bank"]
