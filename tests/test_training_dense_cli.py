import json

import pytest
from click.testing import CliRunner
from training_dense_samples import write_set

from opensearch.cli.root import main
from training.dense.cli import PlainProgress, numbers
from training.dense.fitting import StepReport


def tandem(*arguments):
    return CliRunner().invoke(main, ["train", "dense", *map(str, arguments)])


def test_help_has_an_example_and_explains_every_option():
    text = tandem("--help").output
    assert "tandem train dense run.toml" in text
    for option in ("--preset", "--set", "--resume", "--allow-leak", "--dev", "--floor", "--json"):
        assert option in text


def test_without_a_configuration_it_says_what_to_give():
    found = tandem()
    assert found.exit_code == 2
    assert "--preset with --train and --dev" in found.output


def test_every_fault_of_a_file_is_shown(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[training]\nstep = 5\n[data]\ntrain = []\n")
    found = tandem(path)
    assert found.exit_code == 1
    assert "Did you mean 'steps'?" in found.output
    assert "data.train" in found.output


def test_options_stand_for_a_file(tmp_path, monkeypatch):
    seen = {}

    def train(config, options):
        seen.update(config=config, options=options)

    monkeypatch.setattr("training.dense.run.train_dense", train)
    found = tandem(
        *("--preset", "dense-moai-v2", "--model", "my/model", "-o", tmp_path / "out"),
        *("--train", "a.jsonl", "--train", 'b "c".jsonl', "--dev", "sets/bank:dev"),
        *("--floor", "sets/old", "--floor", "C:/sets/x", "--set", "training.steps=3", "--resume"),
    )
    assert found.exit_code == 0, found.output
    config = seen["config"]
    assert (config.model, config.adapter.rank, config.training.steps) == ("my/model", 64, 3)
    assert [str(s.path) for s in config.data.train] == ["a.jsonl", 'b "c".jsonl']
    assert [(str(s.path), s.split) for s in config.data.dev] == [("sets/bank", "dev")]
    assert [(str(s.path), s.split) for s in config.data.floor] == [
        ("sets/old", None),
        ("C:/sets/x", None),
    ]
    assert (seen["options"].resume, seen["options"].allow_leak) == (True, False)


def test_a_fault_of_the_data_is_a_message_and_not_a_trace(tmp_path):
    data = write_set(tmp_path / "data")
    (data / "qrels" / "empty.tsv").write_text("query-id\tcorpus-id\tscore\n")
    found = tandem(
        *("--preset", "dense-minilm", "--train", data, "--dev", f"{data}:empty"),
        *("-o", tmp_path / "run"),
    )
    assert found.exit_code == 1
    assert "no judgements" in found.output
    assert "Traceback" not in found.output


def test_lines_where_there_is_no_terminal(capsys):
    progress = PlainProgress()
    progress.stage("training")
    progress.step(StepReport(1, 9))
    progress.step(StepReport(2, 9, 0.5, 1e-4))  # too soon for another line
    progress.step(StepReport(9, 9, 0.25, 0.0, 0.62))  # a measurement
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training",
        "step 1 of 9",
        "step 9 of 9  loss 0.2500  lr 0.00e+00  dev NDCG@10 0.6200",
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_numbers_that_are_not_there_are_left_out(count):
    report = StepReport(1, 2, loss=1.0 if count else None)
    assert numbers(report) == ("  loss 1.0000" if count else "")


def test_the_result_as_json(tmp_path, monkeypatch):
    from training.dense.run import DenseResult

    result = DenseResult(tmp_path, {"kind": "dense"})
    monkeypatch.setattr("training.dense.run.train_dense", lambda *_: result)
    found = tandem("--preset", "dense-minilm", "--train", "a", "--dev", "b", "--json")
    assert json.loads(found.stdout) == {"kind": "dense"}
