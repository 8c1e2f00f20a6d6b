"""``tandem models recommend``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, reports_errors
from training.recommending.choosing import USES

if TYPE_CHECKING:
    from training.recommending.choosing import Recommendation, Suggestion


@click.command()
@click.option(
    "--language",
    "languages",
    multiple=True,
    metavar="CODE",
    help="Language of your texts: en, ko, zh, … Repeatable.",
)
@click.option(
    "--latency-ms", type=click.FloatRange(0), help="Time to encode one query, in milliseconds."
)
@click.option(
    "--gpu-memory", type=click.FloatRange(0), help="Memory of your GPU in GB; 0 for no GPU."
)
@click.option(
    "--licence",
    "licences",
    multiple=True,
    help="Allowed licence, e.g. MIT; `permissive` is Apache-2.0 or MIT. Repeatable.",
)
@click.option(
    "--use-case",
    "use",
    type=click.Choice(USES),
    default="general",
    show_default=True,
    help="For what.",
)
@click.option(
    "--pairs", type=click.IntRange(0), help="Labelled pairs of question and text you have."
)
@click.option(
    "--recall-at-10",
    type=click.FloatRange(0, 100),
    help="Recall@10 of an untuned model on your questions: 0.72 or 72.",
)
@click.option(
    "--report",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Report of `tandem compare` (JSON): its figures count, and its Recall@10.",
)
@click.option("--self-hosted", is_flag=True, help="No services: texts stay in the house.")
@click.option(
    "--limit", type=click.IntRange(1), default=3, show_default=True, help="Models of one kind."
)
@json_option
@reports_errors
def recommend(as_json: bool, **options: Any) -> None:
    """Name models that fit, with reasons, and say whether to tune at all.

    A decision table: language, time, memory, licence and use lead to a short list; measured figures
    stand beside it where there are any. Without a model that fits the exit code is 1.

    \b
    Examples:
      tandem models recommend --language ko --gpu-memory 8
      tandem models recommend --language en --latency-ms 30 --licence permissive
      tandem models recommend --use-case finance --pairs 3000 --recall-at-10 72
    """
    from training.recommending.candidates import candidates
    from training.recommending.choosing import Wishes
    from training.recommending.choosing import recommend as choose
    from training.recommending.figures import read_figures

    wishes = Wishes(
        languages=tuple(code.lower().partition("-")[0] for code in options["languages"]),
        latency_ms=options["latency_ms"],
        gpu_memory_gb=options["gpu_memory"],
        licences=options["licences"],
        use=options["use"],
        pairs=options["pairs"],
        recall_at_10=_share(options["recall_at_10"]),
        hosting="self" if options["self_hosted"] else "any",
        limit=options["limit"],
    )
    found = choose(wishes, candidates(), read_figures(options["report"]))
    if as_json:
        echo_json(found.as_dict())
    else:
        _print(found)
    if not found.suggestions:
        listed = "\n".join(f"  {name}: {reason}" for name, reason in found.excluded.items())
        msg = f"no model fits; loosen a wish\n{listed}"
        raise click.ClickException(msg)


def _share(recall: float | None) -> float | None:
    """72 and 0.72 are the same; 1 is all."""
    return recall / 100 if recall is not None and recall > 1 else recall


def _print(found: "Recommendation") -> None:
    for suggestion in found.suggestions:
        _print_suggestion(suggestion)
    for note in found.notes:
        click.echo(f"{note}\n")
    click.secho(f"Tune? {found.tuning.verdict.capitalize()}.", bold=True)
    for sentence in found.tuning.sentences:
        click.echo(f"  {sentence}")


def _print_suggestion(suggestion: "Suggestion") -> None:
    model = suggestion.candidate
    facts = [model.kind, ", ".join(model.languages), model.licence]
    if model.parameters is not None:
        facts.append(f"{model.parameters:g} M weights")
    if model.dimension is not None:
        facts.append(f"dimension {model.dimension}")
    if model.max_tokens is not None:
        facts.append(f"{model.max_tokens} tokens")
    click.secho(model.name, bold=True, nl=False)
    click.echo(f"   {' · '.join(facts)}")
    for reason in suggestion.reasons:
        click.echo(f"  + {reason}")
    for caution in suggestion.cautions:
        click.echo(f"  - {caution}")
    click.echo(f"  train: {model.training()}; export: {model.exporting()}\n")
