"""``tandem search``."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option

if TYPE_CHECKING:
    from opensearch.hits import SearchResult

_SNIPPET = 300


def fusion_options(command: Any) -> Any:
    """The options that say how legs are fused; shared by search and evaluate."""
    for option in reversed(
        (
            click.option(
                "--fusion",
                type=click.Choice(["minmax", "rrf"]),
                default="minmax",
                show_default=True,
                help="How the legs of a hybrid query become one ranking.",
            ),
            click.option(
                "--weights",
                metavar="LEG=W,…",
                help="Weight per leg, e.g. bm25=0.45,dense=0.45,sparse=0.1 (the default).",
            ),
            click.option(
                "--rank-constant",
                type=click.IntRange(1, 10_000),
                default=60,
                show_default=True,
                help="The k of reciprocal rank fusion.",
            ),
            click.option(
                "--depth",
                type=click.IntRange(1, 10_000),
                default=100,
                show_default=True,
                help="Candidates taken from each leg.",
            ),
        )
    ):
        command = option(command)
    return command


def fusion_from(values: Mapping[str, Any], info: Any) -> Any:
    """The ``Fusion`` that the options of ``fusion_options`` describe."""
    from dataclasses import replace

    from opensearch.fusion import parse_weights
    from opensearch.workflows.query_encoders import default_fusion

    fusion = default_fusion(info)
    weights = parse_weights(values["weights"]) if values["weights"] else fusion.weights
    return replace(
        fusion,
        method=values["fusion"],
        weights=weights,
        rank_constant=values["rank_constant"],
        depth=values["depth"],
    )


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
@fusion_options
@encoder_options
@url_option
@json_option
@reports_errors
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
    **options: Any,
) -> None:
    """Search the index NAME for QUERY by words, meaning, or both.

    \b
    Examples:
      tandem search docs "how do I get my money back"
      tandem search docs "연회비 환급" --mode bm25 --filter lang=ko
      tandem search docs "E-4012" --explain
    """
    from opensearch.filters import parse_filters
    from opensearch.index_info import read_index_info
    from opensearch.plan import SearchRequest
    from opensearch.workflows.connection import open_cluster
    from opensearch.workflows.query_encoders import open_searcher

    client = open_cluster(url)
    info = read_index_info(client, name)
    searcher = open_searcher(
        client, info, encoders.options, dense=encoders.dense, sparse=encoders.sparse
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
        click.echo(f"  [{hit.id}]  {hit.score:.4f}")
        click.echo(f"     {_snippet(hit)}")
        if explain:
            scores = "  ".join(f"{leg} {score:.4f}" for leg, score in hit.legs.items())
            click.echo(f"     legs: {scores or 'none'}")
            if hit.tokens:
                click.echo(f"     document tokens: {_tokens(hit.tokens)}")
    note(f"{', '.join(result.legs)} in {result.encode_ms + result.search_ms:.0f} ms")


def _snippet(hit: Any) -> str:
    text = " … ".join(hit.highlights) or hit.text[:_SNIPPET]
    flat = " ".join(text.split())
    if not sys.stdout.isatty():
        return flat.replace("<em>", "").replace("</em>", "")
    return flat.replace("<em>", "\x1b[1m").replace("</em>", "\x1b[22m")


def _tokens(weights: Mapping[str, float], most: int = 10) -> str:
    return "  ".join(f"{token} {weight:.2f}" for token, weight in list(weights.items())[:most])
