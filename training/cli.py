"""``tandem evaluate``, ``tandem quickstart`` and the group ``tandem train``."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from opensearch.cli.lazy import LazyCommand, LazyGroup
from opensearch.cli.progress import build_progress
from opensearch.cli.search import (
    fusion_from,
    fusion_options,
    refinement_options,
    show_result,
)
from opensearch.cli.support import (
    combined,
    echo_json,
    json_option,
    note,
    reports_errors,
    url_option,
)

if TYPE_CHECKING:
    from opensearch.index_info import IndexInfo
    from opensearch.reranking import Searches
    from opensearch.search import Searcher
    from opensearch.workflows.retrieval import Refinements
    from training.evaluation.datasets import JudgedQueries
    from training.evaluation.report import Report


_MODES = ("bm25", "dense", "sparse", "hybrid")
TRAINERS: Mapping[str, LazyCommand] = MappingProxyType(
    {
        "dense": LazyCommand(
            "training.dense.cli:dense", "Tune a dense encoder on your own queries and documents."
        ),
        "sparse": LazyCommand(
            "training.sparse.cli:sparse", "Train a sparse encoder (SPLADE) on your own records."
        ),
        "static": LazyCommand(
            "training.static.cli:static",
            "Train static encoders from your corpus alone, in minutes, on a CPU.",
        ),
    }
)


# Queries and their judgements.
judged_options = combined(
    click.option(
        "--queries",
        type=click.Path(exists=True, path_type=Path),
        required=True,
        help="BEIR folder, or a file of queries (JSONL or TSV).",
    ),
    click.option(
        "--qrels",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Judgements (BEIR TSV or TREC). In a BEIR folder: qrels/<split>.tsv.",
    ),
)

# What every trainer takes.
trainer_options = combined(
    click.argument(
        "config", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False
    ),
    click.option("--preset", help="Packaged recipe to start from, e.g. dense-minilm."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change one setting, e.g. training.steps=200. Repeatable.",
    ),
    click.option("--resume", is_flag=True, help="Go on with the run in the output folder."),
)

# What stands for a configuration file.
data_options = combined(
    click.option(
        "--train",
        "train_sets",
        multiple=True,
        metavar="PATH",
        help="Records to train on: JSONL file or BEIR folder. Repeatable.",
    ),
    click.option(
        "--dev",
        "dev_sets",
        multiple=True,
        metavar="FOLDER[:SPLIT]",
        help="BEIR folder that chooses the best checkpoint. Repeatable.",
    ),
    click.option("-o", "--output", help="Folder of the run."),
)


def step_numbers(values: Mapping[str, float | None]) -> str:
    """Loss, learning rate and dev metric of a step, as far as there are any."""
    parts = (("loss", "loss", ".4f"), ("learning_rate", "lr", ".2e"), ("dev", "dev NDCG@10", ".4f"))
    found = [(name, values.get(key), form) for key, name, form in parts]
    return "".join(f"  {name} {value:{form}}" for name, value, form in found if value is not None)


@click.group(cls=LazyGroup, lazy=TRAINERS)
def train() -> None:
    """Train encoders on your own data.

    \b
    Example:
      tandem train dense run.toml
    """


@click.command()
@click.argument("name")
@judged_options
@click.option("--split", help="Which judgements of a BEIR folder: test, dev, …")
@click.option(
    "-m",
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice(_MODES),
    help="Mode to run; repeatable. Default: all four.",
)
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="As in search."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for report.html, report.json, runs and per-query results.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Queries under way at a time.",
)
@click.option(
    "--store",
    is_flag=True,
    help="Also keep the figures in the cluster (index tandem-quality), for Dashboards.",
)
@fusion_options
@reports_errors
@refinement_options
@encoder_options
@url_option
@json_option
def evaluate(
    name: str,
    url: str | None,
    as_json: bool,
    encoders: EncoderChoice,
    refinements: "Refinements",
    **options: Any,
) -> None:
    """Measure every search mode of the index NAME against relevance judgements.

    Prints NDCG@10, MRR@10, recall, MAP and latency per mode, with a paired significance test
    against BM25. With --rerank, --two-stage, --hyde or --instruction the refined search is measured
    beside the plain one.

    \b
    Examples:
      tandem evaluate docs --queries my-set/ --split dev
      tandem evaluate docs --queries my-set/ --rerank cross-encoder/ --rerank-depth 30
      tandem evaluate docs --queries queries.jsonl --qrels qrels.tsv --output report
      tandem evaluate docs --queries my-set/ --json
    """
    from opensearch.index_info import read_index_info
    from opensearch.workflows.connection import open_cluster
    from opensearch.workflows.query_encoders import open_searcher
    from training.evaluation.datasets import open_judged

    judged = open_judged(options["queries"], options["qrels"], options["split"])
    client = open_cluster(url)
    info = read_index_info(client, name)
    searcher = open_searcher(
        client, info, encoders.options, dense=encoders.dense, sparse=encoders.sparse
    )
    refined = _refined(client, info, encoders, refinements)
    report = _evaluate(client, info, searcher, judged, {**options, "refined": refined})
    if options["output"]:
        _save(client, info, report, options["output"])
    if options["store"]:
        _store(client, report)
    if as_json:
        echo_json(report.as_dict())
    else:
        _print(report)


def _refined(
    client: Any, info: "IndexInfo", encoders: EncoderChoice, refinements: "Refinements"
) -> "dict[str, Searches]":
    """The refined search, if any was asked for, under a name that says what it does."""
    from opensearch.workflows.retrieval import open_retrieval

    parts = refinements.names()
    if not parts:
        return {}
    search = open_retrieval(
        client,
        info,
        encoders.options,
        refinements,
        dense=encoders.dense,
        sparse=encoders.sparse,
    )
    return {"+".join(("hybrid", *parts)): search}


def _evaluate(
    client: Any,
    info: "IndexInfo",
    searcher: "Searcher",
    judged: "JudgedQueries",
    options: Mapping[str, Any],
) -> "Report":
    from opensearch.filters import parse_filters
    from training.evaluation.index_modes import EvaluationOptions, evaluate_index
    from training.evaluation.results import Load

    chosen = options["modes"] or _MODES
    evaluation = EvaluationOptions(
        modes=[mode for mode in _MODES if mode in chosen],  # type: ignore[misc]
        fusion=fusion_from(options, info),
        filters=parse_filters(options["filters"]),
        load=Load(threads=options["concurrency"]),
        refined=options.get("refined", {}),
    )
    return evaluate_index(client, info, searcher, judged, evaluation)


def _save(client: Any, info: "IndexInfo", report: "Report", folder: Path) -> None:
    from training.evaluation.index_modes import example_texts
    from training.evaluation.storage import save_report

    save_report(report, folder, texts=example_texts(client, info, report))
    note(f"Report: {folder / 'report.html'}")


def _store(client: Any, report: "Report") -> None:
    from opensearch.measurements import QUALITY_INDEX, store_measurements
    from training.evaluation.measurements import measurements

    count = store_measurements(client, QUALITY_INDEX, measurements(report))
    note(f"Kept {count} measurements in the index {QUALITY_INDEX}")


def _print(report: "Report") -> None:
    from training.evaluation.table import print_table

    print_table(report, sys.stdout)
    click.echo(f"\n{report.headline()}")
    for warning in report.warnings:
        note(f"Note: {warning}")


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path), required=False)
@click.option("--index", "name", help="Index to build. Default: quickstart-<name of the source>.")
@click.option("--split", help="Which judgements of the BEIR folder: test, dev, …")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tandem-report"),
    show_default=True,
    help="Folder for the HTML report and the runs.",
)
@fusion_options
@encoder_options
@url_option
@json_option
@reports_errors
def quickstart(
    source: Path | None,
    name: str | None,
    url: str | None,
    as_json: bool,
    encoders: EncoderChoice,
    **options: Any,
) -> None:
    """Start a node, index a corpus, compare all modes, explain three queries.

    SOURCE is any BEIR folder (corpus.jsonl, queries.jsonl, qrels/). Without one, a sample is taken
    that was written for this project: the help desk of an invented bank, in English and Korean.

    \b
    Examples:
      tandem quickstart
      tandem quickstart my-beir-folder --split dev
    """
    from opensearch.workflows.query_encoders import open_searcher
    from training.evaluation.datasets import find_split, load_split
    from training.sample_corpus import sample_folder

    started = time.monotonic()
    folder = source or sample_folder()
    judged = load_split(find_split(folder, options["split"]))
    name = name or f"quickstart-{_slug(folder.resolve().name)}"
    client = _cluster(url)
    info = _index(client, folder, name, options["output"] / "rejects.jsonl", encoders)
    note("comparing the modes")
    searcher = open_searcher(client, info, encoders.options)
    report = _evaluate(client, info, searcher, judged, {**options, **_ALL_MODES})
    _save(client, info, report, options["output"])
    if as_json:
        echo_json(report.as_dict())
        return
    click.echo()
    _print(report)
    _examples(searcher, info, report, options)
    _what_next(name, folder, time.monotonic() - started)


_ALL_MODES: Mapping[str, Any] = {"modes": (), "filters": (), "concurrency": 1}


def _slug(name: str) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return plain.strip("-") or "corpus"


def _cluster(url: str | None) -> Any:
    """The given or configured cluster; else the local engine, started if need be."""
    from opensearch.cli.engine_progress import Rendered
    from opensearch.errors import NoAddressError
    from opensearch.local.engine import EngineOptions, start_engine
    from opensearch.workflows.connection import open_cluster

    try:
        return open_cluster(url)
    except NoAddressError:
        with Rendered() as progress:
            return open_cluster(start_engine(EngineOptions(), progress).url)


def _index(
    client: Any, folder: Path, name: str, rejects_file: Path, encoders: EncoderChoice
) -> "IndexInfo":
    from ingest.corpus import CorpusOptions
    from ingest.rejects import RejectWriter
    from opensearch.workflows.build import BuildEvents, BuildJob, build_index

    with RejectWriter(rejects_file) as rejects, build_progress() as progress:
        events = BuildEvents(stage=note, progress=progress.update, reject=rejects.write)
        job = BuildJob(
            index=name,
            corpus=CorpusOptions(source=folder),
            dense=encoders.dense,
            sparse=encoders.sparse,
            load=encoders.options,
        )
        report = build_index(client, job, events)
    done = report.progress
    note(f"{done.documents:,} documents, {done.written:,} passages written")
    if rejects.total:
        note(f"{rejects.total} inputs were set aside; see {rejects_file}")
    for warning in report.warnings:
        note(f"Note: {warning}")
    return report.info


def _examples(
    searcher: "Searcher", info: "IndexInfo", report: "Report", options: Mapping[str, Any]
) -> None:
    from opensearch.plan import SearchRequest
    from training.quickstart import EXAMPLE_HITS, choose_examples, explain

    click.secho("\nQueries that gain over words alone, explained", bold=True)
    for query in choose_examples(report):
        request = SearchRequest(
            text=query.text,
            size=EXAMPLE_HITS,
            fusion=fusion_from(options, info),
            leg_scores=True,
            highlight=True,
            tokens=True,
        )
        example = explain(searcher, report, request, query)
        click.secho(f"\n“{query.text}”", fg="cyan")
        click.echo(
            f"relevant: {', '.join(sorted(example.relevant))} - rank {_rank(example.bm25_rank)} "
            f"by BM25, {_rank(example.hybrid_rank)} by hybrid"
        )
        show_result(example.result, explain=True)


def _rank(rank: int | None) -> str:
    return "none" if rank is None else str(rank)


def _what_next(name: str, folder: Path, seconds: float) -> None:
    click.echo(
        f"\nDone in {seconds:.0f} s. The node keeps running. What to do next:\n"
        f'  tandem search {name} "your question" --explain\n'
        "  tandem index YOUR.jsonl --index docs      your own corpus\n"
        f"  tandem evaluate {name} --queries {folder} --fusion rrf\n"
        "  tandem engine stop"
    )
