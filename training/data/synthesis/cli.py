"""``tandem synthesize``."""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from opensearch.cli.support import (
    echo_json,
    json_option,
    note,
    reports_errors,
    stderr_is_terminal,
    url_option,
)

if TYPE_CHECKING:
    from training.data.synthesis.chunks import Passage
    from training.data.synthesis.job import Logs
    from training.data.synthesis.writers import LlmWriter, Writer

_JOB = ("llm", "offline", "styles", "count", "language", "prompt", "least")
_CHECKS = ("check_index", "check_leg", "check_dense", "check_depth")
_SET_ASIDE = ".set-aside.jsonl"


@click.command()
@click.argument("corpus", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File of training records. A file that is there is gone on with.",
)
@click.option(
    "--llm",
    metavar="MODEL@URL",
    help="OpenAI-compatible endpoint; its key is read from TANDEM_LLM_KEY.",
)
@click.option("--offline", is_flag=True, help="No LLM: titles, headings and key phrases instead.")
@click.option(
    "-n",
    "--per-passage",
    "count",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="Queries per passage.",
)
@click.option(
    "--styles",
    default="question,keywords,colloquial",
    show_default=True,
    help="Ways of asking, in turn: question, keywords, colloquial, situation, paraphrase.",
)
@click.option(
    "--language",
    type=click.Choice(["auto", "en", "ko"]),
    default="auto",
    show_default=True,
    help="Language of the prompt and of the queries; auto: that of each passage.",
)
@click.option(
    "--prompt",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own prompt, with {count}, {styles}, {title} and {text}.",
)
@click.option(
    "--temperature", type=click.FloatRange(0, 2), default=0.7, show_default=True, help="Of the LLM."
)
@click.option("--limit", type=click.IntRange(1), help="Take only the first passages.")
@click.option(
    "--least",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="Leave out passages of fewer characters.",
)
@click.option("--price-in", type=click.FloatRange(0), help="Price of a million tokens read.")
@click.option("--price-out", type=click.FloatRange(0), help="Price of a million tokens written.")
@click.option("-y", "--yes", is_flag=True, help="Start without asking whether the cost is fine.")
@click.option("--check-index", metavar="NAME", help="Keep queries that find their passage here.")
@click.option(
    "--check-leg",
    type=click.Choice(["bm25", "dense", "sparse", "hybrid"]),
    default="hybrid",
    show_default=True,
    help="Which leg of that index must find it.",
)
@click.option(
    "--check-dense", is_flag=True, help="The same by the model of --dense, without an index (BEIR)."
)
@click.option(
    "--check-depth",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="The passage must be among so many.",
)
@click.option("--restart", is_flag=True, help="Begin the output anew.")
@encoder_options
@url_option
@json_option
@reports_errors
def synthesize(
    corpus: Path,
    output: Path,
    restart: bool,
    url: str | None,
    as_json: bool,
    encoders: EncoderChoice,
    **options: Any,
) -> None:
    """Write queries for the documents of CORPUS, which have none.

    CORPUS is anything `tandem index` reads. An LLM writes the queries (--llm), or they are taken
    from the text itself (--offline). Each record says which it was, in its key source. What came to
    nothing stands beside the output, with the reason. Interrupted, the same command goes on.

    \b
    Examples:
      tandem synthesize docs.jsonl -o synthetic.jsonl --llm qwen3:8b@http://127.0.0.1:11434 --yes
      tandem synthesize my-set -o synthetic.jsonl --offline
      tandem synthesize my-set -o synthetic.jsonl --offline --check-index docs --check-leg bm25
    """
    from training.data.counting import counting
    from training.data.synthesis.chunks import read_passages
    from training.data.synthesis.job import count_left, synthesise

    _check_options(options)

    def passages() -> "Any":
        return read_passages(corpus, least=options["least"], limit=options["limit"])

    logs = _logs(corpus, output, {**options, "dense": encoders.dense}, restart=restart)
    done = logs.done()
    total = count_left(passages(), ()) if options["offline"] else 0
    writer = _writer(options, passages)
    if not options["offline"]:
        total = _agree(writer, passages, done, options)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(prefix="tandem-synthesize-") as place:
        check = _check(corpus, options, Path(place), encoders, url)
        with counting(sys.stderr, "passages", total) as progress:
            result = synthesise(passages(), writer, logs, check=check, progress=progress)
    summary = {"output": str(output), **result.as_dict(), "tokens": _spent(writer)}
    if as_json:
        echo_json(summary)
    else:
        _print(summary)


def _check_options(options: Mapping[str, Any]) -> None:
    from training.data.synthesis.styles import parse_styles

    if bool(options["llm"]) == options["offline"]:
        msg = "say who writes: --llm MODEL@URL or --offline"
        raise click.UsageError(msg)
    if options["check_index"] and options["check_dense"]:
        msg = "--check-index and --check-dense exclude each other"
        raise click.UsageError(msg)
    parse_styles(options["styles"])


def _logs(corpus: Path, output: Path, options: Mapping[str, Any], *, restart: bool) -> "Logs":
    from training.data.progress_log import ProgressLog
    from training.data.synthesis.job import Logs

    values = {name: options[name] for name in (*_JOB, *_CHECKS, "dense")}
    job = {"corpus": str(corpus), **values, "prompt": str(options["prompt"] or "")}
    aside = output.with_name(output.name + _SET_ASIDE)
    return Logs(ProgressLog(output, job, restart=restart), ProgressLog(aside, job, restart=restart))


def _writer(options: Mapping[str, Any], passages: Any) -> "Writer":
    from encoders.llm.chat import ChatClient
    from training.data.synthesis.offline import OfflineWriter, WordCounts
    from training.data.synthesis.styles import parse_styles
    from training.data.synthesis.writers import LlmWriter

    if options["offline"]:
        return OfflineWriter(WordCounts.of(passages()), options["count"])
    return LlmWriter(
        ChatClient.at(options["llm"], temperature=options["temperature"], max_tokens=1024),
        parse_styles(options["styles"]),
        options["count"],
        options["language"],
        options["prompt"],
    )


def _agree(writer: "LlmWriter", passages: Any, done: set[str], options: Mapping[str, Any]) -> int:
    """Say what it will cost, and go on only where that was agreed to; gives all passages."""
    from training.data.synthesis.cost import estimate

    total = 0

    def left() -> "Any":
        nonlocal total
        passage: Passage
        for passage in passages():
            total += 1
            if passage.id not in done:
                yield writer.prompt_for(passage)

    cost = estimate(left(), options["count"], options["price_in"], options["price_out"])
    note(cost.sentence())
    if options["yes"] or not cost.passages:
        return total
    if not (stderr_is_terminal() and sys.stdin.isatty()):
        msg = "nobody is here to agree to the cost; say --yes"
        raise click.UsageError(msg)
    click.confirm("Start?", abort=True, err=True)
    return total


def _check(
    corpus: Path,
    options: Mapping[str, Any],
    place: Path,
    encoders: EncoderChoice,
    url: str | None,
) -> Any:
    from training.data.mining.finders import CorpusFinder, IndexFinder, open_corpus
    from training.data.mining.opening import open_leg
    from training.data.synthesis.round_trip import RoundTrip

    if options["check_dense"]:
        finder = CorpusFinder(encoders.load_dense(), open_corpus(corpus), place)
        return RoundTrip(finder, options["check_depth"])
    if not options["check_index"]:
        return None
    searcher, fusion = open_leg(
        url,
        options["check_index"],
        options["check_leg"],
        encoders.options,
        dense=encoders.dense,
        sparse=encoders.sparse,
    )
    return RoundTrip(IndexFinder(searcher, options["check_leg"], fusion), options["check_depth"])


def _spent(writer: "Writer") -> dict[str, int]:
    names = ("prompt_tokens", "completion_tokens")
    return {name: getattr(writer, name, 0) for name in names}


def _print(summary: Mapping[str, Any]) -> None:
    click.echo(f"{summary['passages']:,} passages, {summary['skipped']:,} done before")
    for source, count in summary["sources"].items():
        click.echo(f"  {count:>8,} queries  {source}")
    for reason, count in summary["set_aside"].items():
        click.echo(f"  {count:>8,} set aside: {reason}")
    click.echo(f"in {summary['output']}")
