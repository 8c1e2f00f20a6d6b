"""``tandem mine``."""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from opensearch.cli.support import echo_json, json_option, reports_errors, url_option

if TYPE_CHECKING:
    from training.data.indexed_corpus import IndexedCorpus
    from training.data.mining.finders import Finder
    from training.data.mining.selection import Candidate, Selection
    from training.data.mining.teachers import Teacher
    from training.data.sources import DataSource

_POOL = 2_000
_JOB = ("name", "leg", "from_rank", "to_rank", "margin", "negatives", "random_share", "seed")
_MORE = ("corpus", "teacher", "teacher_dense", "keep_own")


@click.command()
@click.argument("records", metavar="RECORDS")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File of records with negatives. A file that is there is gone on with.",
)
@click.option("--index", "name", metavar="NAME", help="Find candidates in this index.")
@click.option(
    "--leg",
    type=click.Choice(["bm25", "dense", "sparse", "hybrid"]),
    default="hybrid",
    show_default=True,
    help="Which leg of the index searches.",
)
@click.option(
    "--corpus",
    type=click.Path(exists=True, path_type=Path),
    help="Find candidates in this BEIR folder instead, by the model of --dense, without an index.",
)
@click.option(
    "--from-rank",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="First rank taken: the ranks above are too often relevant though nobody judged them.",
)
@click.option(
    "--to-rank", type=click.IntRange(1, 5000), default=50, show_default=True, help="Last rank."
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="A negative scores at most this share of the relevant text.",
)
@click.option(
    "--negatives", type=click.IntRange(1, 64), default=4, show_default=True, help="Per query."
)
@click.option(
    "--random-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the negatives that is drawn at random; above 0 they also fill up.",
)
@click.option("--teacher", metavar="MODEL", help="Cross-encoder that says what is too relevant.")
@click.option("--teacher-dense", metavar="MODEL", help="A dense model as the teacher instead.")
@click.option("--keep-own", is_flag=True, help="Keep the negatives that records have already.")
@click.option("--seed", type=int, default=42, show_default=True, help="Of what is drawn.")
@click.option("--restart", is_flag=True, help="Begin the output anew.")
@encoder_options
@url_option
@json_option
@reports_errors
def mine(
    records: str,
    output: Path,
    restart: bool,
    url: str | None,
    as_json: bool,
    encoders: EncoderChoice,
    **options: Any,
) -> None:
    """Find hard negatives for RECORDS: texts that look relevant and are not.

    RECORDS is a JSONL file or a BEIR folder (FOLDER:SPLIT). A judged relevant document, or a text
    that says the same, never becomes a negative. With a teacher its scores are kept in pos_scores
    and neg_scores, for distillation. Interrupted, the same command goes on where it stopped.

    \b
    Examples:
      tandem mine data/train.jsonl -o mined.jsonl --index docs --leg bm25
      tandem mine data/train.jsonl -o mined.jsonl --index docs --teacher cross-encoder/
      tandem mine data/train.jsonl -o mined.jsonl --corpus my-set --dense runs/first/model
    """
    from training.data.counting import counting
    from training.data.mining.job import Miner, mine_file
    from training.data.progress_log import ProgressLog
    from training.data.sources import DataSource

    _check(options)
    source = DataSource.parse(records)
    total = sum(1 for _ in source.records())
    selection = _selection(options)
    job = {name: _plain(options[name]) for name in (*_JOB, *_MORE)}
    log = ProgressLog(output, {"records": records, "dense": encoders.dense, **job}, restart=restart)
    with tempfile.TemporaryDirectory(prefix="tandem-mine-") as place:
        corpus = _corpus(options)
        finder = _finder(options, corpus, Path(place), encoders, url)
        miner = Miner(
            finder,
            selection,
            _teacher(options, encoders),
            _pool(source, corpus, selection),
            keep_own=options["keep_own"],
        )
        with counting(sys.stderr, "queries", total) as progress:
            mined = mine_file(source.records(), miner, log, progress=progress)
    if as_json:
        echo_json({"output": str(output), **mined.as_dict()})
    else:
        _print(mined.as_dict(), output)


def _check(options: Mapping[str, Any]) -> None:
    if (options["name"] is None) == (options["corpus"] is None):
        msg = "say where candidates come from: --index NAME or --corpus FOLDER"
        raise click.UsageError(msg)
    if options["teacher"] and options["teacher_dense"]:
        msg = "--teacher and --teacher-dense exclude each other"
        raise click.UsageError(msg)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _selection(options: Mapping[str, Any]) -> "Selection":
    from training.data.mining.selection import Selection

    names = ("from_rank", "to_rank", "margin", "negatives", "random_share", "seed")
    return Selection(**{name: options[name] for name in names})


def _corpus(options: Mapping[str, Any]) -> "IndexedCorpus | None":
    from training.data.mining.finders import open_corpus

    return open_corpus(options["corpus"]) if options["corpus"] else None


def _finder(
    options: Mapping[str, Any],
    corpus: "IndexedCorpus | None",
    place: Path,
    encoders: EncoderChoice,
    url: str | None,
) -> "Finder":
    from training.data.mining.finders import CorpusFinder, IndexFinder
    from training.data.mining.opening import open_leg

    if corpus is not None:
        return CorpusFinder(encoders.load_dense(), corpus, place)
    searcher, fusion = open_leg(
        url,
        options["name"],
        options["leg"],
        encoders.options,
        dense=encoders.dense,
        sparse=encoders.sparse,
    )
    return IndexFinder(searcher, options["leg"], fusion)


def _teacher(options: Mapping[str, Any], encoders: EncoderChoice) -> "Teacher | None":
    from encoders.registry import load_dense, load_reranker
    from training.data.mining.teachers import DenseTeacher

    if options["teacher"]:
        return load_reranker(options["teacher"], encoders.options)
    if options["teacher_dense"]:
        return DenseTeacher(load_dense(options["teacher_dense"], encoders.options))
    return None


def _pool(
    source: "DataSource", corpus: "IndexedCorpus | None", selection: "Selection"
) -> "list[Candidate]":
    """What random negatives are drawn from: the corpus, else relevant texts of other queries."""
    import random

    from training.data.mining.job import sample
    from training.data.mining.selection import Candidate

    if not selection.random_count:
        return []
    rng = random.Random(selection.seed)  # noqa: S311 - a drawing, no secret
    if corpus is not None:
        places = rng.sample(range(len(corpus)), min(_POOL, len(corpus)))
        return [Candidate(corpus.ids[place], corpus.text(place)) for place in places]
    texts = (
        Candidate(doc, text)
        for record in source.records()
        for doc, text in zip(record.pos_ids or ("",) * len(record.pos), record.pos, strict=True)
    )
    return sample(texts, _POOL, rng)


def _print(summary: Mapping[str, Any], output: Path) -> None:
    click.echo(
        f"{summary['records']:,} records mined, {summary['skipped']:,} done before; "
        f"{summary['per_record']:.2f} negatives per record, {summary['without']:,} without any"
    )
    click.echo(f"in {output}")
