"""A tiny retraining job: data, a model in production, and starts of it that can be killed."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.sample_corpus import sample_folder

DOCUMENTS, QUERIES = 90, 24
KEYS = ("_id", "title", "text")
LEG = """
[train.settings.model]
legs = ["dense"]
width = {width}
max_tokens = 64
dense = {{tokenizer = "bigram", vocabulary = 400}}
"""
JOB = """
name = "{name}"
output = "{output}"
registry = "registry"
{index}
runtime = "torch"

[collect]
records = [{{path = "records.jsonl"}}]

[prepare]
dev_share = 0.3

{mine}
[train]
recipe = "static"
[train.settings.data]
corpus = ["frozen"]
{leg}
[train.settings.training]
steps = {steps}
batch_size = 4
threads = 1

[evaluate]
frozen = [{{path = "frozen"}}]
latency_queries = 5

[gate]
{gate}

[export]
targets = [{targets}]
texts = 4

[reindex]
check = {{path = "frozen", mode = "dense", max_loss = 1}}
"""
LENIENT = "min_gain = -1\np = 1\nmax_set_loss = 1"
MINE = '[mine]\nleg = "bm25"\nfrom_rank = 2\nto_rank = 10\nnegatives = 2\n'


def write_data(folder: Path) -> None:
    """Korean documents of the sample, and their queries: half to learn from, half to measure with.

    Nothing but Hangul: the same training gives the same bytes, while the library that makes pieces
    of Latin words adds up in an order that changes with each process.
    """
    sample = sample_folder()
    documents = [
        {key: _hangul(record[key]) if key != "_id" else record[key] for key in KEYS}
        for record in _lines(sample / "corpus.jsonl")
        if record["_id"].startswith("ko-")
    ][:DOCUMENTS]
    texts = {d["_id"]: f"{d['title']}\n{d['text']}" for d in documents}
    relevant: dict[str, list[str]] = {}
    for line in (sample / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if document in texts and int(grade) > 0:
            relevant.setdefault(query, []).append(document)
    queries = [
        {"_id": query["_id"], "text": _hangul(query["text"])}
        for query in _lines(sample / "queries.jsonl")
        if query["_id"] in relevant and _hangul(query["text"])
    ][: 2 * QUERIES]
    judged = folder / "frozen"
    (judged / "qrels").mkdir(parents=True)
    _write(judged / "corpus.jsonl", documents)
    _write(judged / "queries.jsonl", queries[::2])
    rows = [f"{q['_id']}\t{d}\t1" for q in queries[::2] for d in relevant[q["_id"]]]
    qrels = "\n".join(["query-id\tcorpus-id\tscore", *rows])
    (judged / "qrels" / "test.tsv").write_text(qrels, encoding="utf-8")
    records = [
        {"query": q["text"], "pos": [texts[d] for d in relevant[q["_id"]]]} for q in queries[1::2]
    ]
    _write(folder / "records.jsonl", records)


def write_job(folder: Path, file: str = "job.toml", **values: Any) -> Path:
    """A job file; ``index``, ``gate``, ``steps``, ``width``, ``mine``, ``output``, ``targets``."""
    known = {"name": "bank", "output": "runs", "index": None, "gate": LENIENT, "steps": 8}
    known |= {"width": 16, "mine": "", "targets": ""} | values
    index = f'index = "{known["index"]}"' if known["index"] else ""
    leg = LEG.format(width=known["width"])
    path = folder / file
    path.write_text(JOB.format(**{**known, "index": index, "leg": leg}), encoding="utf-8")
    return path


def first_version(folder: Path) -> None:
    """Train, publish and promote version 1."""
    assert start(write_job(folder, "first.toml", output="first", width=8, steps=0), None) == 0


# Each start is a process of its own, forked from one that has read the libraries already.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "retraining_samples",
        "operations.retraining.run",
        "training.static.run",
        "matplotlib.figure",
        "sentence_transformers",
        "torch._dynamo",
        "torch.onnx",
    ]
)


def start(job: Path, url: str | None, kill: Mapping[str, Any] | None = None) -> int:
    """Start a job in a process of its own; its exit code (-9: killed, 0: done, 1: refused)."""
    process = _CONTEXT.Process(target=_run, args=(job, url, dict(kill or {})))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "the job hangs"
    return process.exitcode


def _run(job: Path, url: str | None, kill: dict[str, Any]) -> None:
    from operations.retraining.job import load_job
    from operations.retraining.run import Options, retrain

    if kill:
        _kill_at(**kill)
    done = retrain(load_job(job), Options(url=url))
    raise SystemExit(1 if done.refused else 0)


def _kill_at(step: str, after: float | None = None) -> None:
    """Kill this process in a step: so many seconds after it began, else when it has done its
    work and nothing says so yet."""
    from operations.retraining import machine

    write = machine.write_state

    def watched(folder: Path, state: Any) -> None:
        if after is None and step in state.steps and state.running is None:
            os.kill(os.getpid(), signal.SIGKILL)
        write(folder, state)
        if after is not None and state.running == step:
            threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()

    machine.write_state = watched


def copy_of(folder: Path, target: Path) -> Path:
    """The same data and registry in another folder."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("runs"))
    return target


def _hangul(text: str) -> str:
    return " ".join(re.sub("[^가-힣]", " ", text).split())


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _write(path: Path, records: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")
