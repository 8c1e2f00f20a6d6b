"""A static run from files to models, on a corpus that fits in a few seconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.lexical import PieceVocabulary
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse
from encoders.tokenization import TextTokenizer
from training.config import load_config
from training.data.normalising import normalised
from training.errors import TrainingError
from training.static import fitting
from training.static.batches import draw_batch
from training.static.config import StaticConfig
from training.static.examples import read_examples
from training.static.measuring import document_vectors, pooled, query_vectors
from training.static.preparation import prepare
from training.static.run import train_static
from training.static.saving import prior_settings, save_dense, save_sparse
from training.static.sources import train_sources
from training.static.starting import start_dense, start_sparse
from training.static.token_rows import TokenRows, tokenized

TOPICS = {
    "연회비": ("카드", "청구", "면제", "회원", "annual fee"),
    "대출": ("금리", "상환", "이자", "원금", "loan"),
    "예금": ("보호", "만기", "이율", "적금", "deposit"),
    "환율": ("외화", "달러", "송금", "환전", "exchange"),
    "보험": ("계약", "청약", "보장", "해지", "insurance"),
}
ENDINGS = ("은", "는", "을", "의", "에서", "으로")


class Quiet:
    def __init__(self) -> None:
        self.entries: list[Any] = []

    def stage(self, text: str) -> None:
        pass

    def step(self, leg: str, entry: Any, total: int) -> None:
        self.entries.append((leg, dict(entry)))


def write_corpus(folder: Path, documents: int = 60) -> Path:
    """Documents speak of a topic in its own words; queries ask for it by its name alone."""
    random = np.random.default_rng(3)
    names = list(TOPICS)
    (folder / "qrels").mkdir(parents=True)
    corpus, queries, train, dev = [], [], [], []
    for number in range(documents):
        name = names[number % len(names)]
        words = [f"{random.choice(TOPICS[name])}{random.choice(ENDINGS)}" for _ in range(12)]
        text = " ".join([*words, f"{number}호 문서"])
        corpus.append({"_id": f"d{number}", "title": "", "text": text})
        queries.append({"_id": f"q{number}", "text": f"{name} {number}호"})
        (dev if number % 4 == 0 else train).append(f"q{number}\td{number}\t1")
    for file, rows in (("corpus", corpus), ("queries", queries)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{file}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split, rows in (("train", train), ("dev", dev)):
        body = "\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(body, encoding="utf-8")
    return folder


def config_of(folder: Path, output: Path, **training: Any) -> StaticConfig:
    values = {
        "output": str(output),
        "data": {
            "train": [{"path": str(folder)}],
            "dev": [{"path": str(folder), "split": "dev"}],
        },
        "model": {
            "width": 16,
            "dense": {"vocabulary": 200},
            "sparse": {"vocabulary": 300, "top_k": 20, "expansion_rank": 5},
        },
        "training": {"steps": 12, "batch_size": 8, "evaluate_every": 4, "threads": 1, **training},
    }
    return StaticConfig.model_validate(values)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("static") / "bank")


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Quiet]:
    progress = Quiet()
    output = tmp_path_factory.mktemp("static-run") / "runs" / "bank"
    return train_static(config_of(corpus, output), progress), progress


def test_a_run_gives_two_models_and_says_what_they_reach(finished: tuple[Any, Quiet]) -> None:
    result, progress = finished
    dense, sparse = result.values["legs"]
    assert (dense["leg"], sparse["leg"]) == ("dense", "sparse")
    for leg in (dense, sparse):
        (entry,) = leg["sets"]
        assert entry["set"] == "bank/dev"
        assert 0 <= entry["untrained"] <= 1
    assert 0 < sparse["sets"][0]["entries"] <= 20
    logged = [entry["dev"] for leg, entry in progress.entries if "dev" in entry]
    assert len(logged) == 2 * (1 + 3)
    best = max(entry["dev"] for leg, entry in progress.entries if leg == "dense" and "dev" in entry)
    assert dense["sets"][0]["tuned"]["ndcg@10"] == pytest.approx(best, abs=1e-5)
    card = (result.folder / "README.md").read_text(encoding="utf-8")
    assert "| bank/dev | dev |" in card
    assert (result.folder / "training" / "sparse" / "curves.png").stat().st_size > 1000


def test_the_models_load_like_any_other(
    finished: tuple[Any, Quiet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))
    folder = finished[0].folder
    texts = ["카드 연회비는 얼마입니까", "대출 금리", ""]
    dense = load_dense(str(folder / "dense"))
    np.testing.assert_allclose(np.linalg.norm(dense.encode_documents(texts), axis=1), 1, atol=1e-5)
    sparse = load_sparse(str(folder / "sparse"))
    query = sparse.encode_queries(["연회비"])[0]
    assert set(sparse.tokens(query.ids.tolist())) <= {"연회", "회비", "연", "회", "비"}
    assert max(map(len, sparse.encode_documents(texts))) <= 20
    torch_sparse = load_sparse(str(folder / "sparse"), LoadOptions(runtime="torch"))
    for here, there in zip(
        sparse.encode_documents(texts), torch_sparse.encode_documents(texts), strict=True
    ):
        assert here.ids.tolist() == there.ids.tolist()
        np.testing.assert_allclose(here.weights, there.weights, atol=1e-5)


def test_what_is_trained_is_what_is_saved(corpus: Path, tmp_path: Path) -> None:
    import torch

    config = config_of(corpus, tmp_path / "run")
    texts = ["카드 연회비는 1호", "대출 금리와 이자", "annual fee of a loan"]
    leg = config.model.sparse
    sources = train_sources(config.data)
    prepared = prepare(config, leg, sources, tmp_path / "sparse.json")
    network = start_sparse(prepared, leg, 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    rows = TokenRows.of(tokenized(prepared.tokenizer, texts, 1024))
    save_sparse(network, prepared, prior_settings(prepared, 1024, leg.top_k), tmp_path / "sparse")
    loaded = load_sparse(str(tmp_path / "sparse"), LoadOptions(runtime="torch"))
    ours = list(document_vectors(network, rows, prepared.statistics, leg.top_k))
    for here, there in zip(ours, loaded.encode_documents(texts), strict=True):
        assert here.ids.tolist() == there.ids.tolist()
        np.testing.assert_allclose(here.weights, there.weights, atol=1e-5)
    for here, there in zip(
        query_vectors(network, rows, prepared.statistics), loaded.encode_queries(texts), strict=True
    ):
        assert here.ids.tolist() == there.ids.tolist()
        np.testing.assert_allclose(here.weights, there.weights, rtol=1e-5)
    made = prepare(config, config.model.dense, sources, tmp_path / "dense.json")
    table = start_dense(made)
    (tmp_path / "dense").mkdir()
    save_dense(table, made, 1024, tmp_path / "dense")
    encoded = load_dense(str(tmp_path / "dense"), LoadOptions(runtime="torch"))
    rows = TokenRows.of(tokenized(made.tokenizer, texts, 1024))
    np.testing.assert_allclose(pooled(table, rows), encoded.encode_documents(texts), atol=1e-6)


def test_training_learns_what_words_alone_do_not_say(corpus: Path, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "run", steps=60, evaluate_every=60)
    values = train_static(config, Quiet()).values
    for leg in values["legs"]:
        (entry,) = leg["sets"]
        assert entry["tuned"]["ndcg@10"] >= entry["untrained"]


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_with_the_same_result(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_static(config_of(corpus, tmp_path / "whole"), Quiet())
    real = fitting._step

    def step(job: Any, optimizer: Any, number: int) -> None:
        if job.leg == "dense" and number == 7:
            raise Killed
        real(job, optimizer, number)

    monkeypatch.setattr(fitting, "_step", step)
    config = config_of(corpus, tmp_path / "killed")
    # Trainers of Unigram models break ties by chance: the same tokenizer for both.
    for leg in ("dense", "sparse"):
        kept = tmp_path / "killed" / "training" / leg / "tokenizer.json"
        kept.parent.mkdir(parents=True)
        kept.write_bytes((tmp_path / "whole" / "training" / leg / "tokenizer.json").read_bytes())
    with pytest.raises(Killed):
        train_static(config, Quiet())
    monkeypatch.setattr(fitting, "_step", real)
    with pytest.raises(TrainingError, match="--resume"):
        train_static(config, Quiet())
    resumed = train_static(config, Quiet(), resume=True)
    for here, there in zip(resumed.values["legs"], whole.values["legs"], strict=True):
        assert here["sets"] == there["sets"]
        assert here["best_step"] == there["best_step"]
    other = config_of(corpus, tmp_path / "killed", steps=13)
    (tmp_path / "killed" / "result.json").unlink()
    with pytest.raises(TrainingError, match="training changed"):
        train_static(other, Quiet(), resume=True)


def test_a_loss_that_is_no_number_stops_the_run(corpus: Path, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "run", weight_learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"Lower training\.learning_rate"):
        train_static(config, Quiet())


def test_batches_leave_out_what_is_also_relevant(corpus: Path, tmp_path: Path) -> None:
    config = config_of(corpus, tmp_path / "run")
    prepared = prepare(config, config.model.dense, train_sources(config.data), tmp_path / "t.json")
    (examples,) = prepared.sets
    batch = draw_batch([examples], 8, np.random.default_rng(0))
    assert len(batch.queries) == 8
    assert len(batch.rows) == len(batch.documents) == 16
    assert not batch.also_relevant.diagonal().any()
    again = draw_batch([examples], 8, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.rows, again.rows)
    for positive, negative in zip(examples.positives, examples.negatives, strict=True):
        assert not set(positive) & set(negative)


def test_records_of_a_file_bring_their_own_negatives(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = [
        {"query": "카드", "pos": ["카드 연회비"], "neg": ["대출 금리"]},
        {"query": "대출", "pos": ["대출 금리"], "neg": ["카드 연회비"]},
    ]
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text(body, encoding="utf-8")
    values = {"output": "x", "data": {"train": [{"path": str(path)}]}}
    config = StaticConfig.model_validate(values)
    from training.static.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(lambda: ["카드 연회비", "대출 금리"], "bigram", 100)
    (source,) = train_sources(config.data)
    vocabulary = PieceVocabulary("", TextTokenizer(tokenizer.to_str(), 64, special_tokens=False))
    examples = read_examples(source, vocabulary, 64, 5)
    assert len(examples.documents) == 2
    assert (examples.positives, examples.negatives) == (((0,), (1,)), ((1,), (0,)))


@pytest.mark.parametrize("name", ["static-korean", "static-english"])
def test_presets_are_valid(name: str, corpus: Path) -> None:
    overrides = [f'data.train=[{{path = "{corpus}"}}]']
    config = load_config(None, StaticConfig, preset=name, overrides=overrides)
    assert config.output == Path("runs/static")


def test_queries_that_are_measured_are_not_trained_on(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = [{"query": " 연회비  0호", "pos": ["카드"]}, {"query": "연회비", "pos": ["카드"]}]
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text(body, encoding="utf-8")
    config = StaticConfig.model_validate(
        {"output": str(tmp_path / "run"), "data": {"train": [{"path": str(path)}]}}
    )
    (source,) = train_sources(config.data, frozenset({normalised("연회비 0호")}))
    assert [record.query for record in source.records()] == ["연회비"]
    assert source.left_out() == 1
