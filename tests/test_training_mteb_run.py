"""MTEB with our encoders, on a task made of local data."""

import json
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from encoder_models import model_folder
from training_compare_samples import CORPUS, write_run, write_set

from encoders.errors import MissingExtraError
from encoders.options import LoadOptions
from opensearch.cli.root import main
from training.compare.encoding import SystemEncoder
from training.compare.measuring import measure_system
from training.compare.systems import System
from training.config import EvaluationSet
from training.dev_sets import DevSet
from training.errors import EvaluationError
from training.mteb.adapters import DenseAdapter, SparseAdapter, adapt
from training.mteb.run import MtebJob, run_mteb
from training.mteb.tasks import benchmark_tasks, for_kind, local_task, named_tasks

OPTIONS = LoadOptions(runtime="torch")
# MTEB rounds its scores to five digits.
ROUNDED = 5.1e-6


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mteb")
    write_larger(folder / "bank")
    return folder


def write_larger(folder: Path) -> Path:
    """Some documents more, graded, so that figures differ from 0 and 1."""
    write_set(folder)
    rng = np.random.default_rng(5)
    words = " ".join(CORPUS.values()).split()
    with (folder / "corpus.jsonl").open("a") as file:
        for number in range(60):
            text = " ".join(rng.choice(words, size=9))
            file.write(json.dumps({"_id": f"d{number}", "title": "A title", "text": text}) + "\n")
    with (folder / "qrels" / "all.tsv").open("a") as file:
        file.writelines(f"q{1 + n % 4}\td{n}\t{1 + n % 3}\n" for n in range(0, 40, 3))
    return folder


def system(name: str, kind: Any, root: Path) -> System:
    return System(name, kind, str(model_folder(name, root)))


@pytest.mark.parametrize(
    ("kind", "name"), [("dense", "bert-mean"), ("sparse", "bert-inference-free")]
)
def test_mteb_scores_what_our_own_metrics_say(root: Path, kind: str, name: str) -> None:
    judged = EvaluationSet(path=root / "bank", split="all")
    job = MtebJob(system(name, kind, root).model, sets=[judged], load=OPTIONS)
    (found,) = run_mteb(job).scores
    own = measure_system(
        system(name, kind, root), [DevSet.load(root / "bank", "all")], OPTIONS, cache=None
    )["bank/all"].evaluated.aggregate
    assert 0 < own["ndcg@10"] < 1
    assert found.scores["ndcg_at_10"] == pytest.approx(own["ndcg@10"], abs=ROUNDED)
    for ours, theirs in (
        ("ndcg@100", "ndcg_at_100"),
        ("recall@10", "recall_at_10"),
        ("recall@100", "recall_at_100"),
        ("mrr@10", "mrr_at_10"),
        ("map@10", "map_at_10"),
    ):
        assert found.scores[theirs] == pytest.approx(own[ours], abs=ROUNDED)
    assert found.main == "ndcg_at_10"


def test_other_data_is_another_task(root: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "bank")
    before = local_task(DevSet.load(folder, "all")).metadata.name
    assert local_task(DevSet.load(folder, "all")).metadata.name == before
    text = (folder / "corpus.jsonl").read_text().replace("lost", "found")
    (folder / "corpus.jsonl").write_text(text)
    assert local_task(DevSet.load(folder, "all")).metadata.name != before


def test_queries_get_the_query_prompt_and_other_texts_none(root: Path) -> None:
    encoder = SystemEncoder(system("qwen3-lasttoken", "dense", root), OPTIONS, None)
    adapter = adapt(encoder)
    assert isinstance(adapter, DenseAdapter)
    batches = [{"text": ["a fee", "a loan"]}, {"text": ["a card"]}]
    texts = ["a fee", "a loan", "a card"]
    queries = adapter.encode(batches, prompt_type="query")
    documents = adapter.encode(batches, prompt_type="document")
    assert np.allclose(queries, encoder.encoder.encode_queries(texts))
    assert np.allclose(documents, encoder.encoder.encode_documents(texts))
    assert np.allclose(adapter.encode(batches), documents)
    assert not np.allclose(queries, documents)
    assert adapter.similarity(queries, documents).shape == (3, 3)
    pairwise = adapter.similarity_pairwise(queries, documents)
    assert np.allclose(pairwise, np.diag(adapter.similarity(queries, documents)))
    assert adapter.encode([]).shape == (0, 32)


def test_adapters_are_what_mteb_takes(root: Path) -> None:
    from mteb.models import EncoderProtocol, SearchProtocol

    for name, kind, protocol in (
        ("bert-mean", "dense", EncoderProtocol),
        ("bert-inference-free", "sparse", SearchProtocol),
    ):
        adapter = adapt(SystemEncoder(system(name, kind, root), OPTIONS, None))
        assert isinstance(adapter, protocol)
        assert adapter.mteb_model_meta.name == f"tandem/{name}"
        assert adapter.mteb_model_meta.revision


def test_a_sparse_encoder_reranks_what_it_is_given(root: Path) -> None:
    adapter = adapt(SystemEncoder(system("bert-inference-free", "sparse", root), OPTIONS, None))
    assert isinstance(adapter, SparseAdapter)
    rows = [{"id": i, "text": text} for i, text in CORPUS.items()]
    adapter.index(rows)
    queries = [{"id": "q", "text": "daily limit of a card"}]
    whole = adapter.search(queries, top_k=2)
    assert len(whole["q"]) == 2
    chosen = adapter.search(queries, top_k=10, top_ranked={"q": ["loan", "fee", "card"]})
    assert set(chosen["q"]) == {"loan", "fee", "card"}
    assert list(chosen["q"].values()) == sorted(chosen["q"].values(), reverse=True)


def test_the_korean_benchmark_is_known_without_a_hub() -> None:
    tasks = benchmark_tasks("MTEB(kor, v2)")
    assert "Ko-StrategyQA" in {task.metadata.name for task in tasks}
    fitting, others = for_kind(tasks, sparse=True)
    assert {task.metadata.type for task in fitting} == {"Retrieval", "Reranking"}
    assert "KorSTS" in others
    assert for_kind(tasks, sparse=False) == (tasks, [])


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(EvaluationError, match=r"Did you mean: MTEB\(kor, v2\)"):
        benchmark_tasks("MTEB(kor, v3)")
    with pytest.raises(EvaluationError, match="no such task: 'Nonsense'"):
        named_tasks(["Nonsense"])


def test_nothing_to_run_and_no_model_are_refused(root: Path) -> None:
    with pytest.raises(EvaluationError, match="nothing to run"):
        run_mteb(MtebJob(system("bert-mean", "dense", root).model, load=OPTIONS))
    with pytest.raises(EvaluationError, match="no model to hand"):
        run_mteb(MtebJob("bm25", tasks=("STS17",)))


def test_a_run_of_two_legs_runs_both_and_skips_what_the_sparse_one_cannot(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.mteb import run

    folder = write_run(root / "legs", {"legs": [{"leg": "dense"}, {"leg": "sparse"}]})
    for leg, name in (("dense", "bert-mean"), ("sparse", "bert-inference-free")):
        (folder / leg).symlink_to(model_folder(name, root), target_is_directory=True)
    ran: list[tuple[str, list[str]]] = []

    def fake(job: Any, system: Any, tasks: Any) -> Any:
        ran.append((system.label, [task.metadata.name for task in tasks]))
        return [], {"Broken": "out of order"}

    monkeypatch.setattr(run, "_run", fake)
    found = run_mteb(MtebJob(str(folder), tasks=("KorSTS", "Ko-StrategyQA"), load=OPTIONS))
    assert ran == [("legs/dense", ["KorSTS", "Ko-StrategyQA"]), ("legs/sparse", ["Ko-StrategyQA"])]
    assert found.skipped == ("legs/sparse: KorSTS",)
    assert found.failed["legs/dense, Broken"] == "out of order"


def test_the_command_keeps_results_and_reports_a_task_that_fails(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.mteb import run

    model = system("bert-mean", "dense", root).model
    sets = ["--set", f"{root / 'bank'}:all", "--runtime", "torch", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(main, ["mteb", model, *sets, "--json"])
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout[done.stdout.index("{") :])
    assert values["scores"][0]["type"] == "Retrieval"
    assert list((tmp_path / "out").rglob("Local-bank-all-*.json"))

    def broken(*_: Any) -> Any:
        return [], {"Broken": run._readable("Couldn't reach 'x' on the Hub (ConnectionError)")}

    monkeypatch.setattr(run, "_run", broken)
    done = CliRunner().invoke(main, ["mteb", model, *sets])
    assert done.exit_code == 1
    assert "model hub that cannot be reached" in done.output


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from training.mteb import run

    def find(name: str) -> Any:
        return None if name == "mteb" else util.find_spec(name)

    monkeypatch.setattr(run, "find_spec", find)
    with pytest.raises(MissingExtraError, match=r"pip install 'tandem-search\[mteb\]'"):
        run_mteb(MtebJob("all-MiniLM-L6-v2", tasks=("STS17",)))
