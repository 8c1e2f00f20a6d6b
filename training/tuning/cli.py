"""``tandem tune``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from opensearch.cli.progress import counting
from opensearch.cli.support import (
    echo_json,
    json_option,
    note,
    reports_errors,
    url_option,
)
from training.cli import judged_options

if TYPE_CHECKING:
    from opensearch.index_info import IndexInfo
    from training.tuning.pools import Pool
    from training.tuning.search import Choice, Tuned

_SHOWN_FAMILIES = 8


@click.command()
@click.argument("name")
@judged_options
@click.option("--split", default="dev", show_default=True, help="Judgements of a BEIR folder.")
@click.option(
    "--write",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Store what was found; auto: only a gain that is more than noise.",
)
@click.option("--reset", is_flag=True, help="Forget what an earlier run stored, then tune.")
@encoder_options
@url_option
@json_option
@reports_errors
def tune(
    name: str, write: str, reset: bool, url: str | None, as_json: bool, **options: Any
) -> None:
    """Fit the fusion of the index NAME to judged dev queries.

    Tries ways to scale and combine the legs, weights, rank constants and depths. The gain it
    reports is cross-validated: each query is scored by a choice made without it.

    What is found becomes the default of `tandem search` and `tandem evaluate` on this index; the
    best form that a search pipeline can hold is written as the pipeline tandem-NAME-hybrid, for
    hybrid queries sent by others.

    \b
    Examples:
      tandem tune docs --queries my-set/ --split dev
      tandem tune docs --queries my-set/ --write never --json
    """
    from opensearch.capabilities import detect
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    info = _opened(client, name, reset=reset)
    tuned = _tuned(client, info, options, z_score=detect(client).certainly("z_score"))
    written = write != "never" and (write == "always" or _worth_it(tuned.best))
    pipeline = _store(client, info, tuned) if written else None
    if as_json:
        echo_json(_as_dict(tuned, pipeline))
    else:
        _print(tuned, name, pipeline)


def _opened(client: Any, name: str, *, reset: bool) -> "IndexInfo":
    from opensearch.index_info import read_index_info
    from opensearch.indices import write_note
    from opensearch.workflows.query_encoders import FUSION_NOTE

    info = read_index_info(client, name)
    if not reset:
        return info
    write_note(client, info, FUSION_NOTE, None)
    return read_index_info(client, name)


def _tuned(client: Any, info: "IndexInfo", options: Mapping[str, Any], *, z_score: bool) -> "Tuned":
    from opensearch.workflows.query_encoders import default_fusion
    from training.tuning.pools import legs_of
    from training.tuning.search import tune as search_fusions
    from training.tuning.space import Space, families, weight_grid

    pools = _pools(client, info, options)
    legs = tuple(legs_of(pools))
    space = Space(legs, tuple(families(z_score=z_score)), tuple(weight_grid(len(legs))))
    count = len(space.families) * len(space.weights)
    with counting(f"trying {count} fusions", len(pools)) as advance:
        return search_fusions(pools, space, default_fusion(info), progress=advance)


def _pools(client: Any, info: "IndexInfo", options: Mapping[str, Any]) -> "list[Pool]":
    from dataclasses import replace

    from opensearch.workflows.query_encoders import default_fusion, open_searcher
    from training.evaluation.datasets import open_judged
    from training.tuning.pools import collect
    from training.tuning.space import DEPTHS

    encoders: EncoderChoice = options["encoders"]
    judged = open_judged(options["queries"], options["qrels"], options["split"])
    searcher = open_searcher(
        client, info, encoders.options, dense=encoders.dense, sparse=encoders.sparse
    )
    # The index's own bounds, whatever an earlier run stored.
    fusion = replace(default_fusion(info, "minmax"), depth=max(DEPTHS))
    with counting("searching every leg", len(judged)) as advance:
        return list(collect(searcher, judged, fusion, progress=advance))


def _worth_it(choice: "Choice") -> bool:
    return choice.gain.verdict() == "better"


def _store(client: Any, info: "IndexInfo", tuned: "Tuned") -> str:
    from opensearch.indices import write_note
    from opensearch.pipelines import fusion_pipeline
    from opensearch.translation import translated
    from opensearch.workflows.query_encoders import FUSION_NOTE

    write_note(client, info, FUSION_NOTE, tuned.best.fusion.as_dict())
    pipeline = f"tandem-{info.name}-hybrid"
    legs = ", ".join(tuned.legs)
    body = {
        "description": f"Fitted by `tandem tune {info.name}`; sub-queries in this order: {legs}",
        **fusion_pipeline(tuned.static.fusion, tuned.legs),
    }
    with translated(f"writing the search pipeline {pipeline}"):
        client.http.put(f"/_search/pipeline/{pipeline}", body=body)
    return pipeline


def _as_dict(tuned: "Tuned", pipeline: str | None) -> dict[str, Any]:
    return {
        "queries": tuned.queries,
        "variants": tuned.variants,
        "legs": {leg: round(score, 6) for leg, score in tuned.leg_scores.items()},
        "present": round(tuned.present, 6),
        "best": _choice(tuned.best),
        "static": _choice(tuned.static),
        "stored": pipeline is not None,
        "pipeline": pipeline,
    }


def _choice(choice: "Choice") -> dict[str, Any]:
    return {
        "fusion": choice.fusion.as_dict(),
        "fitted": round(choice.fitted, 6),
        "held_out": round(choice.held_out, 6),
        "gain": choice.gain.as_dict(),
    }


def _print(tuned: "Tuned", name: str, pipeline: str | None) -> None:
    click.echo(f"NDCG@10 on {tuned.queries} queries, {tuned.variants} fusions tried\n")
    for leg, score in tuned.leg_scores.items():
        click.echo(f"  {leg:<34} {score:.3f}")
    click.echo(f"  {'hybrid as it is':<34} {tuned.present:.3f}")
    click.echo("\nbest of each kind (on the queries it was fitted to)")
    for family, weights, score in tuned.table[:_SHOWN_FAMILIES]:
        shares = ", ".join(f"{leg} {w:g}" for leg, w in zip(tuned.legs, weights, strict=True))
        click.echo(f"  {family.label():<34} {score:.3f}  {shares}")
    click.secho("\nchosen", bold=True)
    _print_choice("for tandem search", tuned.best)
    _print_choice("for a search pipeline", tuned.static)
    if pipeline is None:
        note("\nNothing was stored: the gain is not more than noise, or --write never.")
    else:
        click.echo(f"\nStored: `tandem search {name}` uses it from now on.")
        click.echo(f"Search pipeline for hybrid queries of others: {pipeline}")


def _print_choice(label: str, choice: "Choice") -> None:
    weights = ", ".join(f"{leg} {weight:g}" for leg, weight in choice.fusion.weights.items())
    click.echo(f"  {label}: {choice.family.label()}; {weights}")
    click.echo(
        f"    held out {choice.held_out:.3f} against {choice.gain.baseline_mean:.3f}: "
        f"{choice.gain.verdict()} ({choice.gain.evidence()})"
    )
