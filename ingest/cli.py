"""``tandem index``."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from ingest.chunking.options import STRATEGIES
from opensearch.cli.progress import build_progress
from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option

if TYPE_CHECKING:
    from ingest.records import Reject
    from ingest.rejects import RejectWriter
    from opensearch.workflows.build import BuildJob, BuildReport

_SHOWN_REJECTS = 10


@click.command()
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--index", "name", required=True, help="Index to build or to add to.")
@click.option("--format", "format_", help="Format of the source, if its name does not tell.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="ROLE=FIELD",
    help="Field of the records that is the id, title or text, e.g. text=body. Repeatable.",
)
@click.option(
    "--template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file that turns structured records into text.",
)
@click.option(
    "--generate-ids", is_flag=True, help="Give records without an id one by file and line."
)
@click.option("--encoding", default="utf-8", show_default=True, help="Encoding of text files.")
@click.option(
    "--max-doc-bytes",
    type=click.IntRange(1),
    default=1_048_576,
    show_default=True,
    help="Larger documents are rejected.",
)
@click.option(
    "--mask-pii", is_flag=True, help="Replace personal data in documents by placeholders."
)
@click.option(
    "--drop-boilerplate",
    is_flag=True,
    help="Remove lines that hold only a page number or a copyright notice.",
)
@click.option(
    "--drop-duplicates", is_flag=True, help="Reject documents that repeat another's title and text."
)
@click.option(
    "--chunking",
    type=click.Choice(STRATEGIES),
    help="How documents are split. Default: recursive, or as the index was built.",
)
@click.option(
    "--chunk-size",
    type=click.IntRange(16),
    help="Most tokens of a passage. Default: 450, or what the encoder reads if that is less.",
)
@click.option(
    "--chunk-overlap",
    type=click.IntRange(0),
    help="Tokens a passage repeats from the one before. Default: 50.",
)
@click.option(
    "--sparse-field",
    type=click.Choice(["rank_features", "seismic"]),
    default="rank_features",
    show_default=True,
    help="Field type of the token weights.",
)
@click.option(
    "--dense-engine",
    type=click.Choice(["lucene", "faiss"]),
    default="lucene",
    show_default=True,
    help="k-NN engine.",
)
@click.option(
    "--compression",
    type=click.Choice(["1x", "4x"]),
    default="1x",
    show_default=True,
    help="4x: search by 7 bits per component; a quarter of the memory, a quarter more disk.",
)
@click.option("--shards", type=click.IntRange(1), default=1, show_default=True)
@click.option("--replicas", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where inputs that were set aside are written. Default: NAME.rejects.jsonl.",
)
@encoder_options
@url_option
@json_option
@reports_errors
def index(
    source: Path,
    name: str,
    url: str | None,
    as_json: bool,
    encoders: EncoderChoice,
    **options: Any,
) -> None:
    """Index SOURCE: text, dense vectors and sparse token weights.

    SOURCE is a JSONL, CSV, TSV or Parquet file, a BEIR folder, a folder of text, Markdown, HTML or
    PDF files, or - for JSON Lines on stdin. Stopped and started again, it continues where it was;
    changed documents are replaced. Inputs that cannot be indexed are reported and set aside.

    \b
    Examples:
      tandem index docs.jsonl --index docs
      tandem index export.csv --index docs --field id=key --field text=body
      tandem index handbook/ --index handbook --chunk-size 200 --mask-pii
    """
    from ingest.rejects import RejectWriter
    from ingest.spool import spooled
    from opensearch.workflows.build import BuildEvents, build_index
    from opensearch.workflows.connection import open_cluster

    rejects_file = options.pop("rejects") or Path(f"{name}.rejects.jsonl")
    with (
        spooled(source) as readable,
        RejectWriter(rejects_file) as rejects,
        build_progress() as progress,
    ):
        job = _job(readable, name, encoders, options)
        shown: list[str] = []
        events = BuildEvents(
            stage=note, progress=progress.update, reject=partial(_set_aside, rejects, shown)
        )
        report = build_index(open_cluster(url), job, events)
    if as_json:
        echo_json(_as_dict(report, rejects))
    _tell(report, rejects, shown)


def _set_aside(rejects: "RejectWriter", shown: list[str], reject: "Reject") -> None:
    rejects.write(reject)
    if len(shown) < _SHOWN_REJECTS:
        shown.append(f"{reject.origin}: {reject.reason}")


def _job(
    source: Path, name: str, encoders: EncoderChoice, options: Mapping[str, Any]
) -> "BuildJob":
    from ingest.corpus import CorpusOptions
    from opensearch.workflows.build import BuildJob

    corpus = CorpusOptions(
        source=source,
        read=_read_options(options),
        mask=options["mask_pii"],
        drop_boilerplate=options["drop_boilerplate"],
        drop_same_content=options["drop_duplicates"],
    )
    return BuildJob(
        index=name,
        corpus=corpus,
        chunking=options["chunking"],
        chunk_size=options["chunk_size"],
        chunk_overlap=options["chunk_overlap"],
        dense=encoders.dense,
        sparse=encoders.sparse,
        load=encoders.options,
        sparse_field=options["sparse_field"],
        dense_engine=options["dense_engine"],
        compression=options["compression"],
        shards=options["shards"],
        replicas=options["replicas"],
    )


def _read_options(options: Mapping[str, Any]) -> Any:
    from ingest.readers.options import ReadOptions
    from ingest.templates import RecordTemplate

    template = options["template"]
    return ReadOptions(
        format=options["format_"],
        fields=_fields(options["fields"]),
        template=RecordTemplate.from_toml(template) if template else None,
        generate_ids=options["generate_ids"],
        max_document_bytes=options["max_doc_bytes"],
        encoding=options["encoding"],
    )


def _fields(pairs: tuple[str, ...]) -> dict[str, str]:
    fields = {}
    for pair in pairs:
        role, sign, name = pair.partition("=")
        if not sign or not name:
            msg = f"--field {pair!r}: write ROLE=FIELD, e.g. text=body"
            raise click.UsageError(msg)
        fields[role] = name
    return fields


def _tell(report: "BuildReport", rejects: "RejectWriter", shown: Sequence[str]) -> None:
    done = report.progress
    note(
        f"{report.info.name}: {done.documents:,} documents in {done.chunks:,} passages; "
        f"{done.written:,} written, {done.unchanged:,} unchanged."
    )
    if rejects.total:
        note(f"{rejects.total} inputs were set aside; all are in {rejects.path}:")
        for line in shown:
            note(f"  {line}")
    for warning in report.warnings:
        note(f"Note: {warning}")


def _as_dict(report: "BuildReport", rejects: "RejectWriter") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "index": report.info.name,
        "physical": report.info.physical,
        "created": report.created,
        **asdict(report.progress),
        "rejects_file": str(rejects.path) if rejects.total else None,
        "warnings": list(report.warnings),
    }
