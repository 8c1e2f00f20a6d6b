"""Every query of the Dev Tools file, sent to a real node as it stands there."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from encoder_models import ENGLISH, model_folder

from opensearch.cli.root import main
from opensearch.index_info import read_index_info
from opensearch.indices import delete_index
from opensearch.ml.catalogue import list_models
from opensearch.ml.deployment import delete
from opensearch.workflows.connection import open_cluster

pytestmark = pytest.mark.node

QUERY = "annual fee of a credit card"
# In this order they stand in the file.
MODES = ("BM25", "Dense", "Sparse", "Hybrid", "Hybrid", "Hybrid", "Hybrid")


def run(*words: str) -> str:
    result = CliRunner().invoke(main, [*words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def client(node_url: str) -> Iterator[Any]:
    made = open_cluster(node_url)
    before = {model.id for model in list_models(made)}
    yield made
    for model in list_models(made):
        if model.id not in before:
            delete(made, model)


@pytest.fixture(scope="module")
def file(
    client: Any, node_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """An index of the ordinary kind, its models in the cluster, and the file for it."""
    folder = tmp_path_factory.mktemp("devtools")
    model = str(model_folder("bert-mean", folder))
    corpus = folder / "corpus.jsonl"
    lines = ({"_id": f"d{n}", "text": text} for n, text in enumerate(ENGLISH))
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    name = f"test-devtools-{uuid.uuid4().hex[:8]}"
    run("index", str(corpus), "--index", name, "--dense", model, "--url", node_url)
    given = ("--url", node_url, "--json")
    run("models", "push", model, "--name", f"{name}-dense", *given)
    run("models", "push", "--statistics-of", name, "--name", f"{name}-words", *given)
    output = folder / "queries.txt"
    chosen = ("--dense-model-id", f"{name}-dense", "--sparse-model-id", f"{name}-words")
    run("dashboards", "queries", name, "--query", QUERY, *chosen, "-o", str(output), *given[:2])
    yield name, output.read_text(encoding="utf-8")
    delete_index(client, read_index_info(client, name))


def requests_of(text: str) -> Iterator[tuple[str, str, str, Any]]:
    """Title, method, path and body of every request of a file."""
    for block in text.strip().split("\n\n"):
        title, line, *body = block.splitlines()
        method, path = line.split()
        yield title.removeprefix("# "), method, path, json.loads("\n".join(body) or "null")


def test_every_query_answers(client: Any, file: tuple[str, str]) -> None:
    name, text = file
    asked = list(requests_of(text))
    assert [title.split()[0].rstrip(":,") for title, *_ in asked[1:]] == list(MODES)
    for title, method, path, body in asked:
        answer = client.transport.perform_request(method, path, body=body)
        if body is None:
            assert list(answer) == [read_index_info(client, name).physical]
            continue
        assert answer["hits"]["hits"], title
        assert answer["_shards"]["failed"] == 0, title
        scores = [hit["_score"] for hit in answer["hits"]["hits"]]
        assert scores == sorted(scores, reverse=True)
        if title.startswith("Hybrid"):
            assert all(0 < score <= 1 for score in scores), title


def test_ids_in_the_file_are_those_of_the_cluster(client: Any, file: tuple[str, str]) -> None:
    name, text = file
    ours = {model.id for model in list_models(client) if model.name.startswith(name)}
    assert len(ours) == 2
    assert all(f'"model_id": "{found}"' in text for found in ours)


def test_without_models_only_words_are_asked_for(
    client: Any, file: tuple[str, str], node_url: str, tmp_path: Path
) -> None:
    output = tmp_path / "queries.txt"
    result = CliRunner().invoke(
        main, ["dashboards", "queries", file[0], "-o", str(output), "--url", node_url]
    )
    assert result.exit_code == 0, result.output
    assert "Only BM25" in result.stderr
    assert [title for title, *_ in requests_of(output.read_text(encoding="utf-8"))][1:] == ["BM25"]
