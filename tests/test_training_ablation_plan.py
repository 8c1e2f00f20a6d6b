"""From an ablation file to cells, and from records to a part of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from training_compare_samples import write_set

from training.ablation.amounts import draw_amount
from training.ablation.config import AblationConfig, load_ablation, read_axes
from training.ablation.plan import Plan, build_plan
from training.config import ConfigError, check_values, save_config
from training.data.readers import read_records

DENSE = """
[data]
train = [{ path = "records.jsonl" }]
dev = [{ path = "bank", split = "dev" }]
[training]
steps = 4
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dense.toml").write_text(DENSE)
    records = [{"query": f"question {i}", "pos": [f"answer {i}"]} for i in range(20)]
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, records)))
    write_set(tmp_path / "bank")
    return tmp_path


def ablation(grid: dict[str, Any], **values: Any) -> AblationConfig:
    given = {"kind": "dense", "base": "dense.toml", "output": "out", "grid": grid, **values}
    return check_values(given, AblationConfig, source="test")


def plan_of(grid: dict[str, Any], **values: Any) -> Plan:
    return build_plan(ablation(grid, **values))


def test_a_file_with_nested_and_quoted_keys(folder: Path) -> None:
    text = 'kind = "dense"\nbase = "dense.toml"\n[grid]\nrank = [4, 8]\n'
    text += 'training.batch_size = [2, 4]\n"loss.scale" = [10.0]\n'
    (folder / "grid.toml").write_text(text)
    axes = read_axes(load_ablation(folder / "grid.toml"))
    assert [(axis.name, axis.key) for axis in axes] == [
        ("rank", "adapter.rank"),
        ("training.batch_size", "training.batch_size"),
        ("loss.scale", "loss.scale"),
    ]


@pytest.mark.parametrize(
    ("grid", "reason"),
    [
        ({"learning_rat": [1]}, "Did you mean 'learning_rate'"),
        ({"batch_size": [1]}, "Did you mean 'training.batch_size'"),
        ({"training.stepps": [1]}, "Did you mean 'training.steps'"),
        ({"rank": 4}, "rank = \\[1, 2\\]"),
        ({"rank": []}, "as a list"),
        ({"rank": [4, 4]}, "twice"),
        ({"rank": [4], "adapter.rank": [8]}, "two axes"),
        ({"training.seed": [1]}, "seeds = "),
        ({"output": ["x"]}, "output of the ablation"),
        ({"records": [1.5]}, "no amount"),
        ({"records": [0]}, "no amount"),
        ({"records": [True]}, "no amount"),
        ({"rank": [0]}, "adapter.rank: input should be greater"),
        ({"learning_rate": ["fast"]}, "training.learning_rate"),
    ],
)
def test_faults_are_found_before_anything_is_trained(
    folder: Path, grid: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        plan_of(grid)


def test_a_static_run_has_no_rank(folder: Path) -> None:
    with pytest.raises(ConfigError, match="a static run has no such setting"):
        read_axes(ablation({"rank": [1]}, kind="static"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"base": None}, "base: name the configuration"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "each seed counts once"),
        ({"grid": {}}, "grid"),
        ({"gird": {}}, "Did you mean 'grid'"),
    ],
)
def test_faults_of_the_file_itself(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        ablation(values.pop("grid", {"rank": [1]}), **values)


def test_a_full_grid_holds_the_base(folder: Path) -> None:
    plan = plan_of({"training.steps": [2, 4], "rank": [8, 32]}, seeds=[0, 7])
    assert len(plan.cells) == 8
    assert plan.points[0].base
    assert dict(plan.base.settings) == {"training.steps": 4, "rank": 32}
    assert sum(point.base for point in plan.points) == 1
    folders = {cell.folder.root for cell in plan.cells}
    assert len(folders) == 8
    config = plan.points[-1].cells[1].config
    assert config.training.seed == 7


def test_a_base_outside_the_grid_is_trained_beside_it(folder: Path) -> None:
    plan = plan_of({"training.steps": [2, 3]})
    assert [dict(p.settings)["training.steps"] for p in plan.points] == [4, 2, 3]


def test_one_axis_at_a_time(folder: Path) -> None:
    plan = plan_of({"training.steps": [2, 4], "rank": [8]}, design="one-at-a-time")
    settings = [tuple(p.settings.values()) for p in plan.points]
    assert settings == [(4, 32), (2, 32), (4, 8)]


def test_the_dev_sets_are_measured_unless_others_are_named(folder: Path) -> None:
    assert [s.split for s in plan_of({"rank": [1]}).sets] == ["dev"]
    named = plan_of({"rank": [1]}, sets=[{"path": "bank", "split": "test"}])
    assert [s.split for s in named.sets] == ["test"]


def test_a_cell_with_other_settings_is_not_taken_for_ours(folder: Path) -> None:
    cell = plan_of({"rank": [8]}).cells[1]
    changed = cell.config.model_copy(update={"model": "another"})
    cell.folder.root.mkdir(parents=True)
    save_config(cell.config, cell.folder.config)
    plan_of({"rank": [8]})
    save_config(changed, cell.folder.config)
    with pytest.raises(ConfigError, match=r"other settings \(model\)"):
        plan_of({"rank": [8]})


def test_values_that_only_a_file_name_confuses_stay_apart(folder: Path) -> None:
    plan = plan_of({"model": ["a/b", "a b", "a-b"]})
    assert len({cell.folder.root for cell in plan.cells}) == 4


def test_a_smaller_part_lies_within_a_larger_one(folder: Path) -> None:
    plan = plan_of({"records": [0.25, 10, 1.0]}, seeds=[0, 1])
    drawn = {}
    for cell in plan.cells:
        draw_amount(cell)
        (source,) = cell.config.data.train
        drawn[cell.amount, cell.seed] = [r.query for r in read_records(source.path)]
    assert [len(drawn[amount, 0]) for amount in (0.25, 10, 1.0)] == [5, 10, 20]
    for seed in (0, 1):
        assert set(drawn[0.25, seed]) < set(drawn[10, seed]) < set(drawn[1.0, seed])
    assert drawn[0.25, 0] != drawn[0.25, 1]
    assert drawn[1.0, 0] == [f"question {i}" for i in range(20)]


def test_a_part_of_a_beir_folder_keeps_its_corpus(folder: Path) -> None:
    text = DENSE.replace('path = "records.jsonl"', 'path = "bank", split = "all"')
    (folder / "dense.toml").write_text(text)
    plan = plan_of({"records": [0.5]})
    cell = plan.cells[1]
    draw_amount(cell)
    (source,) = cell.config.data.train
    assert (source.path / "corpus.jsonl").read_text() == (folder / "bank/corpus.jsonl").read_text()
    found = list(read_records(source.path, split=source.split))
    assert len(found) == 2
    before = source.path.stat().st_mtime_ns
    draw_amount(cell)
    assert source.path.stat().st_mtime_ns == before
