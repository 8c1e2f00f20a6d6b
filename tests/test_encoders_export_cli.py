"""The command ``tandem export``."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from encoder_models import ENGLISH, model_folder

from opensearch.cli.root import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module", autouse=True)
def cache(root: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANDEM_CACHE", str(root / "encoder-cache"))
        yield


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A set in BEIR form: each query is a document."""
    folder = tmp_path / "bank"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(ENGLISH)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    queries = [{"_id": f"q{n}", "text": text} for n, text in enumerate(ENGLISH)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    lines = [f"q{n}\td{n}\t1" for n in range(len(ENGLISH))]
    table = "\n".join(["query-id\tcorpus-id\tscore", *lines])
    (folder / "qrels" / "dev.tsv").write_text(table + "\n")
    return folder


def tandem(*words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words)])


@pytest.mark.parametrize(
    ("model", "kind"), [("bert-mean", "dense"), ("bert-inference-free", "sparse")]
)
def test_export_with_own_texts_and_judgements(
    model: str, kind: str, root: Path, tmp_path: Path, judged: Path
) -> None:
    (tmp_path / "texts.txt").write_text("annual fee\n\na loan\n")
    words = [model_folder(model, root), "--kind", kind, "-o", tmp_path / "out", "--json"]
    own = ["--texts", tmp_path / "texts.txt", "--queries", judged, "--split", "dev"]
    done = tandem(*words, *own)
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["parity"]["own_texts"] == 2
    quality = report["quality"]
    assert quality["name"] == "bank/dev"
    assert 0 < quality["before"] == pytest.approx(quality["after"])
    if kind == "dense":
        assert quality["after"] == 1.0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["bytes"] == report["bytes"]


def test_the_result_is_said_for_people(root: Path, tmp_path: Path) -> None:
    done = tandem(model_folder("bert-mean", root), "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "parity     cosine at least 1.0000000" in done.stdout or "0.99999" in done.stdout
    assert "go with the original's" in done.stdout
    assert done.stdout.endswith(f"written    {tmp_path / 'out'}\n")


def test_a_refused_export_says_so_and_leaves_nothing(root: Path, tmp_path: Path) -> None:
    words = ["-o", tmp_path / "out", "--tolerance", "1e-12"]
    done = tandem(model_folder("bert-mean", root), *words)
    assert done.exit_code == 1
    assert "Nothing was written" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--split", "dev"], 2, "go with --queries"),
        (["--target", "onnx"], 2, "ml-commons"),
        (["--target", "torchscript", "--precision", "int8"], 1, "fp32 only"),
        (["--kind", "sparse"], 1, "A sparse model is loaded as sparse"),
    ],
)
def test_misuse(words: list[str], code: int, said: str, root: Path, tmp_path: Path) -> None:
    done = tandem(model_folder("bert-mean", root), "-o", tmp_path / "out", *words)
    assert done.exit_code == code
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_broken_set_is_noticed_before_the_export(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = ["-o", tmp_path / "out", "--queries", tmp_path / "empty"]
    done = tandem(model_folder("bert-mean", root), *words)
    assert done.exit_code == 1
    assert not (tmp_path / "out").exists()
