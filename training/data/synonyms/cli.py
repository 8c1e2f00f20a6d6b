"""``tandem synonyms``."""

from pathlib import Path
from typing import Any

import click

from opensearch.cli.support import echo_json, json_option, reports_errors


@click.command()
@click.argument("glossary", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for train.jsonl, dev.jsonl and report.json; written anew.",
)
@click.option("--term", default="term", show_default=True, help="Column of the term.")
@click.option(
    "--synonyms",
    "synonyms_column",
    default="synonyms",
    show_default=True,
    help="Column of its synonyms.",
)
@click.option(
    "--domain", default="domain", show_default=True, help="Column of the domain, if there is one."
)
@click.option("--separator", default="|", show_default=True, help="Between synonyms in one cell.")
@click.option(
    "--dev-share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of the anchors kept for measuring.",
)
@click.option(
    "--negatives",
    type=click.IntRange(1, 20),
    default=1,
    show_default=True,
    help="Hard negatives for each pair.",
)
@click.option("--both-ways", is_flag=True, help="Make the synonyms anchors as well.")
@click.option("--seed", type=int, default=42, show_default=True, help="Of split and drawing.")
@json_option
@reports_errors
def synonyms(glossary: Path, output: Path, as_json: bool, **options: Any) -> None:
    """Turn GLOSSARY into triplets (anchor, synonym, hard negative) for the sparse encoder.

    GLOSSARY is a CSV or TSV file with a header line, or JSON lines, with the columns term, synonyms
    and, if there are several, domain. A hard negative is another term of the domain that shares
    characters with the anchor and is no synonym. All triplets of an anchor are on one side.

    \b
    Examples:
      tandem synonyms glossary.csv -o synonyms
      tandem synonyms thesaurus.jsonl -o synonyms --both-ways --negatives 3
    """
    from training.data.synonyms.glossary import Columns, read_glossary
    from training.data.synonyms.job import SynonymOptions, write_triplets

    columns = Columns(
        options["term"], options["synonyms_column"], options["domain"], options["separator"]
    )
    todo = SynonymOptions(
        options["dev_share"], options["negatives"], options["both_ways"], options["seed"]
    )
    report = write_triplets(read_glossary(glossary, columns), output, todo)
    if as_json:
        echo_json(report.as_dict())
        return
    click.echo(
        f"{report.anchors:,} anchors, {report.train:,} triplets to train, {report.dev:,} dev"
    )
    for domain, count in report.domains.items():
        click.echo(f"  {count:>8,}  {domain or '(no domain)'}")
    click.echo(f"{report.drawn:,} with a negative drawn at random: no term looks like the anchor")
    if report.without:
        click.echo(
            f"{report.without:,} anchors left out: their domain holds only synonyms of theirs"
        )
    click.echo(f"in {output}")
