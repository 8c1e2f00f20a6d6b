from pathlib import Path

import pytest

from training.config import (
    ConfigError,
    DataSettings,
    Section,
    check_values,
    load_config,
    merged,
    parse_override,
    preset_path,
    save_config,
)
from training.errors import TrainingError


class Training(Section):
    steps: int = 10
    learning_rate: float = 1e-4


class Run(Section):
    output: Path = Path("runs/x")
    note: str | None = None
    data: DataSettings
    training: Training = Training()


MINIMAL = '[data]\ntrain = [{path = "a.jsonl"}]\n'


def write(tmp_path: Path, text: str, name: str = "run.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_and_yaml_say_the_same(tmp_path):
    toml = write(tmp_path, MINIMAL + "[training]\nsteps = 5\n")
    yaml = write(tmp_path, "data: {train: [{path: a.jsonl}]}\ntraining: {steps: 5}\n", "run.yaml")
    assert load_config(toml, Run) == load_config(yaml, Run)
    assert load_config(toml, Run).training.steps == 5


def test_an_unknown_key_comes_with_the_nearest_valid_one(tmp_path):
    path = write(tmp_path, MINIMAL + "[training]\nlearning_rat = 1.0\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, Run)
    assert "training.learning_rat: no such key. Did you mean 'learning_rate'?" in str(caught.value)
    assert str(path) in str(caught.value)


def test_keys_inside_a_list_are_checked_too(tmp_path):
    path = write(tmp_path, '[data]\ntrain = [{path = "a"}, {pat = "b"}]\n')
    with pytest.raises(ConfigError) as caught:
        load_config(path, Run)
    assert "data.train[1].pat: no such key. Did you mean 'path'?" in str(caught.value)


def test_all_faults_are_reported_at_once(tmp_path):
    path = write(tmp_path, '[data]\ntrain = []\n[training]\nsteps = "many"\nfoo = 1\n')
    with pytest.raises(ConfigError) as caught:
        load_config(path, Run)
    text = str(caught.value)
    assert "3 faults" in text
    assert all(where in text for where in ("data.train", "training.steps", "training.foo"))


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("a.toml", "x = = 1", "not TOML"),
        ("a.yaml", "x: [1", "not YAML"),
        ("b.yaml", "- 1", "list instead of keys"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, text, part):
    with pytest.raises(ConfigError, match=part):
        load_config(write(tmp_path, text, name), Run)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"none\.toml cannot be read"):
        load_config(tmp_path / "none.toml", Run)


def test_overrides_come_last(tmp_path):
    path = write(tmp_path, MINIMAL + "[training]\nsteps = 5\n")
    config = load_config(path, Run, overrides=["training.steps=7", "note=a word", "output=runs/y"])
    assert (config.training.steps, config.note, config.output) == (7, "a word", Path("runs/y"))


@pytest.mark.parametrize("text", ["training.steps", "=5", "training.=5"])
def test_an_override_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match=r"key\.sub=value"):
        parse_override(text)


def test_values_are_merged_by_key_and_lists_are_replaced():
    assert merged({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}, "d": 3}) == {
        "a": {"b": 1, "c": [2]},
        "d": 3,
    }


def test_what_is_saved_is_read_back(tmp_path):
    config = load_config(write(tmp_path, MINIMAL), Run, overrides=["training.learning_rate=3e-5"])
    save_config(config, tmp_path / "saved" / "config.toml")
    assert load_config(tmp_path / "saved" / "config.toml", Run) == config


def test_an_unknown_preset_lists_the_others():
    with pytest.raises(ConfigError, match=r"Did you mean 'dense-minilm'.*dense-bge"):
        preset_path("dense-minilmm")
    with pytest.raises(ConfigError, match="no preset"):
        preset_path("../config")


def test_a_preset_is_overridden_by_the_file(tmp_path):
    class Open(Section, extra="ignore"):
        model: str

    path = write(tmp_path, 'model = "mine"\n')
    assert load_config(None, Open, preset="dense-minilm").model == "all-MiniLM-L6-v2"
    assert load_config(path, Open, preset="dense-minilm").model == "mine"


def test_checking_plain_values_names_their_source():
    with pytest.raises(ConfigError, match="the options: 1 fault"):
        check_values({}, Run, source="the options")
