"""``tandem prepare``."""

from pathlib import Path
from typing import Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors


@click.command()
@click.argument("records", nargs=-1, required=True, metavar="RECORDS…")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for train.jsonl, dev/ and the report; written anew.",
)
@click.option(
    "--dev-share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of the records that becomes the dev set; 0: none.",
)
@click.option(
    "--against",
    multiple=True,
    metavar="FOLDER[:SPLIT]",
    help="Evaluation set (BEIR) whose queries must not be trained on. Repeatable.",
)
@click.option(
    "--split",
    metavar="SPLIT",
    help="Which judgements of the sets in --against that name none: test, dev, …",
)
@click.option(
    "--mix",
    "mixed",
    multiple=True,
    metavar="RECORDS=SHARE",
    help="Other data, and the share of the training data it becomes. Repeatable.",
)
@click.option(
    "--near",
    type=click.FloatRange(0.3, 1),
    default=0.8,
    show_default=True,
    help="Least share of common trigrams of two queries that are nearly the same.",
)
@click.option("--seed", type=int, default=42, show_default=True, help="Of the split and the mix.")
@json_option
@reports_errors
def prepare(records: tuple[str, ...], output: Path, as_json: bool, **options: Any) -> None:
    """Turn RECORDS into training and dev data that share nothing.

    RECORDS are JSONL files ({query, pos, neg} or triplets) or BEIR folders (FOLDER:SPLIT, by
    default the split train). Equal queries are merged, queries of evaluation sets taken out, the
    rest split by the documents that answer. What is not trained on stands in set-aside.jsonl,
    with the reason.

    \b
    Examples:
      tandem prepare pairs.jsonl -o data
      tandem prepare my-set:train -o data --against my-set --split test
      tandem prepare pairs.jsonl -o data --mix general.jsonl=0.3
    """
    from dataclasses import replace

    from training.data.preparation import Preparation
    from training.data.preparation import prepare as run
    from training.data.sources import DataSource

    against = [DataSource.parse(text) for text in options["against"]]
    todo = Preparation(
        dev_share=options["dev_share"],
        seed=options["seed"],
        near=options["near"],
        against=[replace(s, split=s.split or options["split"]) for s in against],
        mixed=dict(_mixed(text) for text in options["mixed"]),
    )
    report = run([DataSource.parse(text) for text in records], output, todo)
    if as_json:
        echo_json(report.as_dict())
    else:
        _print(report, output)


def _mixed(text: str) -> tuple[Any, float]:
    from training.data.sources import DataSource

    name, _, share = text.rpartition("=")
    try:
        return DataSource.parse(name), float(share)
    except ValueError as error:
        msg = f"--mix takes RECORDS=SHARE, such as general.jsonl=0.3, not {text!r}"
        raise click.UsageError(msg) from error


def _print(report: Any, output: Path) -> None:
    click.echo(f"read        {report.read:>8,} records")
    for reason, count in report.set_aside.items():
        click.echo(f"set aside   {count:>8,} {reason}")
    for name, count in report.mixed.items():
        click.echo(f"mixed in    {count:>8,} from {name}")
    click.echo(f"train       {report.train:>8,} records, {report.train_pairs:,} pairs")
    click.echo(
        f"dev         {report.dev_queries:>8,} queries among {report.dev_documents:,} documents"
    )
    click.echo(f"near pairs  {report.near_pairs:>8,} of queries, kept on one side")
    if report.shared_positives:
        click.echo(
            f"shared      {report.shared_positives:>8,} training records are answered by a "
            "document that also answers an evaluation query"
        )
    click.echo(f"in          {output}")
    for sentence in report.notes:
        note(f"Note: {sentence}")
