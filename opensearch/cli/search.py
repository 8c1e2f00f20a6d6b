"""``tandem search``."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from opensearch.cli.support import (
    combined,
    echo_json,
    json_option,
    note,
    reports_errors,
    url_option,
)

if TYPE_CHECKING:
    from opensearch.hits import SearchResult
    from opensearch.workflows.query_models import ModelChoice
    from opensearch.workflows.retrieval import Refinements

_SNIPPET = 300


# How legs are fused; shared by search and evaluate.
fusion_options = combined(
    click.option(
        "--fusion",
        type=click.Choice(["minmax", "l2", "zscore", "rrf"]),
        help="How the legs of a hybrid query become one ranking.  [default: what "
        "`tandem tune` found for the index, else minmax]",
    ),
    click.option(
        "--combination",
        type=click.Choice(["arithmetic", "geometric", "harmonic"]),
        help="Mean of the scaled scores of the legs.  [default: as for --fusion]",
    ),
    click.option(
        "--weights",
        metavar="LEG=W,…",
        help="Weight per leg, e.g. bm25=0.45,dense=0.45,sparse=0.1 (the default).",
    ),
    click.option(
        "--rank-constant",
        type=click.IntRange(1, 10_000),
        help="The k of reciprocal rank fusion.  [default: 60]",
    ),
    click.option(
        "--depth",
        type=click.IntRange(1, 10_000),
        help="Candidates taken from each leg.  [default: 100]",
    ),
)


def refinement_options(command: Any) -> Any:
    """The options that put something around a search; the command takes ``refinements``."""

    @wraps(command)
    def wrapper(*args: Any, **values: Any) -> Any:
        from opensearch.workflows.retrieval import Refinements

        names = [field.name for field in fields(Refinements)]
        chosen = Refinements(**{name: values.pop(name) for name in names})
        return command(*args, refinements=chosen, **values)

    return combined(*_REFINEMENTS)(wrapper)


_PROMPT = click.Path(exists=True, dir_okay=False, path_type=Path)
_REFINEMENTS = (
    click.option(
        "--rerank",
        "reranker",
        metavar="MODEL",
        help="Cross-encoder (folder or hub id) that orders the first hits anew.",
    ),
    click.option(
        "--rerank-depth",
        "candidates",
        type=click.IntRange(1, 1000),
        default=50,
        show_default=True,
        help="Hits the cross-encoder reads.",
    ),
    click.option(
        "--two-stage",
        is_flag=True,
        help="Find documents by their coarse chunks, then passages inside them "
        "(an index built with --chunking two-level).",
    ),
    click.option(
        "--stage-documents",
        "documents",
        type=click.IntRange(1, 200),
        default=100,
        show_default=True,
        help="Documents the coarse stage hands on.",
    ),
    click.option(
        "--llm",
        metavar="MODEL@URL",
        help="OpenAI-compatible endpoint for --hyde and --instruction auto; its key is read from "
        "TANDEM_LLM_KEY.",
    ),
    click.option(
        "--hyde",
        type=click.IntRange(0, 8),
        default=0,
        help="Let the LLM write so many answers and search with their vectors too.",
    ),
    click.option("--hyde-prompt", type=_PROMPT, help="Your own prompt; {query} stands for it."),
    click.option(
        "--instruction",
        metavar="TEXT",
        help="What the dense model is told to look for; auto: the LLM says it for each query. "
        "Only for models that take instructions.",
    ),
    click.option(
        "--instruction-prompt", type=_PROMPT, help="Your own prompt; {query} stands for it."
    ),
)


def fusion_from(values: Mapping[str, Any], info: Any) -> Any:
    """The ``Fusion`` that the options of ``fusion_options`` describe."""
    from dataclasses import replace

    from opensearch.fusion import parse_weights
    from opensearch.workflows.query_encoders import default_fusion

    fusion = default_fusion(info, values["fusion"])
    chosen = {
        "combination": values["combination"],
        "weights": parse_weights(values["weights"]) if values["weights"] else None,
        "rank_constant": values["rank_constant"],
        "depth": values["depth"],
    }
    return replace(fusion, **{name: value for name, value in chosen.items() if value is not None})


@click.command()
@click.argument("name")
@click.argument("query")
@click.option(
    "-m",
    "--mode",
    type=click.Choice(["bm25", "dense", "sparse", "hybrid"]),
    default="hybrid",
    show_default=True,
    help="Which legs search.",
)
@click.option("-k", "--size", type=click.IntRange(1, 10_000), default=10, show_default=True)
@click.option("--from", "offset", type=click.IntRange(0), default=0, help="Hits to skip.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Metadata every leg must match: lang=ko, fee<=1000, category=cards,loans. Repeatable.",
)
@click.option("--explain", is_flag=True, help="Show each leg's score and the heaviest tokens.")
@click.option("--mask-pii", is_flag=True, help="Mask personal data in the query first.")
@click.option("--ef-search", type=click.IntRange(1, 10_000), help="HNSW candidates to look at.")
@click.option(
    "--by-model",
    is_flag=True,
    help="Let the models of the cluster encode the query: those that the index's pipelines name.",
)
@click.option(
    "--dense-model-id", metavar="NAME", help="With this dense model of the cluster (name or id)."
)
@click.option(
    "--sparse-model-id", metavar="NAME", help="With this sparse model of the cluster (name or id)."
)
@click.option(
    "--sparse-analyzer",
    type=click.Choice(["bert-uncased", "mbert-uncased"]),
    help="With this analyzer of the cluster instead of a sparse model (inference-free models).",
)
@fusion_options
@reports_errors
@refinement_options
@encoder_options
@url_option
@json_option
def search(
    name: str,
    query: str,
    mode: str,
    size: int,
    offset: int,
    filters: tuple[str, ...],
    explain: bool,
    mask_pii: bool,
    ef_search: int | None,
    url: str | None,
    as_json: bool,
    encoders: EncoderChoice,
    refinements: "Refinements",
    **options: Any,
) -> None:
    """Search the index NAME for QUERY by words, meaning, or both.

    \b
    Examples:
      tandem search docs "how do I get my money back"
      tandem search docs "연회비 환급" --mode bm25 --filter lang=ko
      tandem search docs "E-4012" --explain
      tandem search docs "lost card" --by-model
    """
    from opensearch.filters import parse_filters
    from opensearch.index_info import read_index_info
    from opensearch.plan import SearchRequest
    from opensearch.workflows.connection import open_cluster
    from opensearch.workflows.retrieval import open_retrieval

    client = open_cluster(url)
    info = read_index_info(client, name)
    by_model = _model_choice(options)
    if by_model is not None:
        searcher = _by_model(client, info, by_model, encoders, refinements)
    else:
        searcher = open_retrieval(
            client,
            info,
            encoders.options,
            refinements,
            dense=encoders.dense,
            sparse=encoders.sparse,
        )
    result = searcher.search(
        SearchRequest(
            text=_masked(query) if mask_pii else query,
            mode=mode,  # type: ignore[arg-type]  # click.Choice
            size=size,
            offset=offset,
            filters=parse_filters(filters),
            fusion=fusion_from(options, info),
            ef_search=ef_search,
            leg_scores=explain or as_json,
            highlight=True,
            tokens=explain,
        )
    )
    if as_json:
        echo_json([hit.as_dict() for hit in result.hits])
    else:
        show_result(result, explain=explain)


def _model_choice(options: Mapping[str, Any]) -> "ModelChoice | None":
    """The models of the cluster that were asked for, if any were."""
    from opensearch.workflows.query_models import ModelChoice

    names = ("dense_model_id", "sparse_model_id", "sparse_analyzer")
    choice = ModelChoice(*(options[name] for name in names))
    return choice if options["by_model"] or choice != ModelChoice() else None


def _by_model(
    client: Any,
    info: Any,
    choice: "ModelChoice",
    encoders: EncoderChoice,
    refinements: "Refinements",
) -> Any:
    """A searcher that leaves encoding to the cluster."""
    from opensearch.errors import SettingsError
    from opensearch.workflows.query_models import open_model_searcher
    from opensearch.workflows.retrieval import staged

    if refinements.hyde or refinements.instruction is not None:
        msg = "HyDE and instructions change a vector that is made here, not in the cluster"
        raise SettingsError(msg)
    searcher = open_model_searcher(client, info, choice)
    return staged(searcher, info, encoders.options, refinements)


def _masked(query: str) -> str:
    from ingest.masking import mask_text

    return mask_text(query).text


def show_result(result: "SearchResult", *, explain: bool) -> None:
    """Print hits for people."""
    for leg, why in result.left_out.items():
        note(f"The {leg} leg was left out: {why}.")
    if not result.hits:
        click.echo("No hits.")
        return
    if explain and result.query_tokens:
        click.echo(f"query tokens: {_tokens(result.query_tokens)}\n")
    for hit in result.hits:
        click.secho(f"{hit.rank:>3}. {hit.title or hit.id}", bold=True, nl=False)
        moved = "" if hit.first_rank is None else f"  (was {hit.first_rank})"
        click.echo(f"  [{hit.id}]  {hit.score:.4f}{moved}")
        click.echo(f"     {_snippet(hit)}")
        if explain:
            scores = "  ".join(f"{leg} {score:.4f}" for leg, score in hit.legs.items())
            click.echo(f"     legs: {scores or 'none'}")
            if hit.tokens:
                click.echo(f"     document tokens: {_tokens(hit.tokens)}")
    spent = result.encode_ms + result.search_ms + result.rerank_ms
    note(f"{', '.join(result.legs)} in {spent:.0f} ms")


def _snippet(hit: Any) -> str:
    text = " … ".join(hit.highlights) or hit.text[:_SNIPPET]
    flat = " ".join(text.split())
    if not sys.stdout.isatty():
        return flat.replace("<em>", "").replace("</em>", "")
    return flat.replace("<em>", "\x1b[1m").replace("</em>", "\x1b[22m")


def _tokens(weights: Mapping[str, float], most: int = 10) -> str:
    return "  ".join(f"{token} {weight:.2f}" for token, weight in list(weights.items())[:most])
