"""``tandem plan``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.presets import DEFAULT_DENSE, DEFAULT_SPARSE
from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option

if TYPE_CHECKING:
    from operations.planning.constants import Constants
    from operations.planning.planner import Gpu, Plan
    from operations.planning.sampling import DocumentSample
    from operations.planning.workload import Models

NONE = "none"


@click.command()
@click.argument("corpus", type=click.Path(exists=True, path_type=Path))
@click.option("--format", "format_", help="Format of the corpus, if its name does not tell.")
@click.option("--documents", type=click.IntRange(1), help="Plan for so many documents like these.")
@click.option(
    "--sample",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="Look at so many documents; all are counted.",
)
@click.option(
    "--dense", default=DEFAULT_DENSE, show_default=True, metavar="MODEL", help="Or: none."
)
@click.option(
    "--sparse", default=DEFAULT_SPARSE, show_default=True, metavar="MODEL", help="Or: none."
)
@click.option(
    "--dimension",
    "dimensions",
    type=click.IntRange(1),
    multiple=True,
    help="Components of a vector. Default: the model's own. May be repeated.",
)
@click.option(
    "--vectors",
    type=click.Choice(["float", "4x", "byte", "32x"]),
    multiple=True,
    default=["float", "4x"],
    show_default=True,
    help="How vectors are kept. May be repeated.",
)
@click.option(
    "--sparse-field",
    "sparse_fields",
    type=click.Choice(["rank_features", "seismic"]),
    multiple=True,
    default=["rank_features", "seismic"],
    show_default=True,
    help="Where token weights are kept. May be repeated.",
)
@click.option(
    "--top-k",
    "top_ks",
    type=click.IntRange(0),
    multiple=True,
    help="Token weights kept of a passage; 0 is all. May be repeated.",
)
@click.option("--shards", type=click.IntRange(1), default=1, show_default=True)
@click.option("--replicas", type=click.IntRange(0), default=0, show_default=True)
@click.option("--chunk-size", type=click.IntRange(16), help="Most tokens of a passage.")
@click.option(
    "--changed",
    type=click.FloatRange(0, 100),
    default=10.0,
    show_default=True,
    help="Per cent of the documents that change between two incremental runs.",
)
@click.option(
    "--gpu-tflops",
    type=click.FloatRange(min=0, min_open=True),
    help="Also estimate a GPU: its effective speed, about a third of what its maker names.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where models run.",
)
@click.option("--measure", is_flag=True, help="First time this machine and its cluster.")
@click.option("--explain", is_flag=True, help="Show every formula with its numbers.")
@url_option
@json_option
@reports_errors
def plan(
    corpus: Path,
    format_: str | None,
    documents: int | None,
    sample: int,
    dense: str,
    sparse: str,
    device: str,
    measure: bool,
    explain: bool,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say what an index of CORPUS would cost before it is built.

    Disk, memory, time to encode and to build, and the work of a query, for every combination of
    the options that may be repeated, and for three ways of changing an index that is in use.
    Sizes need no cluster; times are those of --measure, kept for later plans.

    \b
    Examples:
      tandem plan docs.jsonl
      tandem plan docs.jsonl --documents 1000000 --replicas 1 --vectors float --vectors 32x
      tandem plan docs.jsonl --measure --explain
    """
    from encoders.options import LoadOptions
    from operations.planning.workload import Models

    load = LoadOptions(device=device)  # type: ignore[arg-type]  # click.Choice
    models = Models.load_named(_named(dense), _named(sparse), load)
    looked_at = _sample(corpus, format_, sample, documents)
    note(f"{len(looked_at.documents):,} of {looked_at.total:,} documents looked at")
    constants = _measured(url, looked_at, models) if measure else _stored()
    gpu = _gpu(options.pop("gpu_tflops"), models)
    found = _plan(looked_at, models, constants, gpu, options)
    if as_json:
        echo_json(found.as_dict())
        return
    _show(found, explain=explain)


def _named(model: str) -> str | None:
    return None if model == NONE else model


def _sample(
    corpus: Path, format_: str | None, most: int, documents: int | None
) -> "DocumentSample":
    from ingest.corpus import CorpusOptions, read_corpus
    from ingest.readers.options import ReadOptions
    from operations.planning.sampling import sample_documents

    options = CorpusOptions(source=corpus, read=ReadOptions(format=format_))
    found = sample_documents(read_corpus(options), most)
    return found if documents is None else found.scaled_to(documents)


def _measured(url: str | None, sample: "DocumentSample", models: "Models") -> "Constants":
    from opensearch.workflows.connection import open_cluster
    from operations.planning.constants import merged, read_constants, write_constants
    from operations.planning.measuring import measure

    constants = merged(read_constants(), measure(open_cluster(url), sample, models, note))
    note(f"Measured; kept in {write_constants(constants)}")
    return constants


def _stored() -> "Constants":
    from operations.planning.constants import read_constants

    return read_constants()


def _gpu(tflops: float | None, models: "Models") -> "Gpu | None":
    from operations.planning.parameters import passed_parameters
    from operations.planning.planner import Gpu

    if tflops is None or models.dense_name is None:
        return None
    return Gpu(passed_parameters(models.dense_name, models.load), tflops)


def _plan(
    sample: "DocumentSample",
    models: "Models",
    constants: "Constants",
    gpu: "Gpu | None",
    options: dict[str, Any],
) -> "Plan":
    from operations.planning.candidates import Choices, candidates
    from operations.planning.planner import Terms, make_plan
    from operations.planning.workload import corpora

    own = (models.dense.identity.dimension,) if models.dense is not None else ()
    choices = Choices(
        dense=models.dense_name,
        dimensions=options["dimensions"] or own,
        vectors=options["vectors"],
        sparse=models.sparse_name,
        sparse_fields=options["sparse_fields"],
        top_ks=tuple(k or None for k in options["top_ks"]) or (None,),
        shards=options["shards"],
        replicas=options["replicas"],
    )
    found = corpora(sample, models, candidates(choices), options["chunk_size"])
    terms = Terms(constants, options["changed"] / 100, gpu)
    return make_plan(found, terms, sampled=len(sample.documents))


def _show(plan: "Plan", *, explain: bool) -> None:
    from operations.planning.rendering import explanation, strategy_table, table

    note(f"{plan.documents:,} documents in about {plan.chunks:,.0f} passages")
    _echo_table(*table(plan))
    if any(not cost.candidate.buildable for cost in plan.costs):
        note("* by formula only: `tandem index` does not build it")
    click.echo()
    # The first with encoders, where there is one: what `tandem index` builds unless told otherwise.
    shown = plan.costs[min(1, len(plan.costs) - 1)]
    _echo_table(*strategy_table(shown))
    note(f"Re-index: {shown.candidate.label}. Times of {plan.constants.source}.")
    for line in plan.missing:
        note(f"Note: {line}")
    if explain:
        for cost in plan.costs:
            click.echo()
            for line in explanation(cost):
                click.echo(line)


def _echo_table(heads: list[str], rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
