"""The command ``tandem encode``, and the options every command that loads encoders shares."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.errors import EncoderError
from encoders.options import DEVICES, RUNTIMES, LoadOptions
from encoders.presets import DEFAULT_DENSE, DEFAULT_SPARSE
from opensearch.cli.support import combined, note, reports_errors

if TYPE_CHECKING:
    from encoders.base import DenseEncoder, Encoder, SparseEncoder

BATCH = 256
SHOWN_VALUES = 8
SHOWN_TOKENS = 12
_SHOWN_CHARACTERS = 72


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """What the shared options say.

    Attributes:
        dense: Dense model, where one was named.
        sparse: Sparse model, where one was named.
        options: How models are loaded.
    """

    dense: str | None
    sparse: str | None
    options: LoadOptions

    def load_dense(self) -> "DenseEncoder":
        """The dense encoder that was named, else the default one."""
        from encoders.registry import load_dense

        return load_dense(self.dense or DEFAULT_DENSE, self.options)

    def load_sparse(self) -> "SparseEncoder":
        """The sparse encoder that was named, else the lexical one (which needs statistics)."""
        from encoders.registry import load_sparse

        return load_sparse(self.sparse or DEFAULT_SPARSE, self.options)


_OPTIONS = (
    click.option(
        "--dense",
        metavar="MODEL",
        help=f"Dense model: preset, folder, hub id or service. Default: {DEFAULT_DENSE}.",
    ),
    click.option(
        "--sparse",
        metavar="MODEL",
        help=f"Sparse model: preset, folder, hub id or service. Default: {DEFAULT_SPARSE}.",
    ),
    click.option(
        "--runtime",
        type=click.Choice(RUNTIMES),
        default="auto",
        show_default=True,
        help="What runs a model; auto is ONNX Runtime where it is installed, else PyTorch.",
    ),
    click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="Where it runs; cuda fails rather than fall back to the CPU.",
    ),
    click.option(
        "--trust-remote-code",
        is_flag=True,
        help="Run Python code that ships with a model. Read it first.",
    ),
    click.option("--revision", help="Branch, tag or commit of a model on the hub."),
    click.option("--max-tokens", type=click.IntRange(2), help="Cut texts off at so many tokens."),
    click.option(
        "--dimension",
        type=click.IntRange(1),
        help="Keep so many components of a dense vector (Matryoshka models).",
    ),
    click.option(
        "--top-k", type=click.IntRange(1), help="Keep so many tokens of a sparse document."
    ),
    click.option(
        "--prune-ratio",
        type=click.FloatRange(0, 1, max_open=True),
        help="Drop tokens of a sparse document below this share of its heaviest.",
    ),
    click.option("--threads", type=click.IntRange(1), help="Threads of the runtime."),
)

_LOAD_OPTIONS = (
    "runtime",
    "device",
    "trust_remote_code",
    "revision",
    "max_tokens",
    "dimension",
    "top_k",
    "prune_ratio",
    "threads",
)


def encoder_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose and load encoders; the command takes them as ``encoders``.

    The wrapped command gets one :class:`EncoderChoice` under the name ``encoders``.
    """

    @wraps(command)
    def wrapper(*args: Any, dense: str | None, sparse: str | None, **arguments: Any) -> Any:
        options = LoadOptions(**{name: arguments.pop(name) for name in _LOAD_OPTIONS})
        return command(*args, encoders=EncoderChoice(dense, sparse, options), **arguments)

    return combined(*_OPTIONS)(wrapper)


@click.command()
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--input",
    "source",
    type=click.File(encoding="utf-8"),
    default="-",
    help="File with one text per line; standard input (-) is the default without TEXT.",
)
@click.option(
    "--query/--document", "as_query", help="Encode as queries or as documents (the default)."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per text and line.")
@click.option(
    "--statistics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Statistics of the lexical encoder (JSON); without it they come from the texts given.",
)
@encoder_options
@reports_errors
def encode(
    texts: tuple[str, ...],
    source: Iterable[str],
    as_query: bool,
    as_json: bool,
    statistics: Path | None,
    encoders: EncoderChoice,
) -> None:
    """Encode texts and show their vectors.

    Without --dense and --sparse the default dense model is used.

    \b
    Example:
      tandem encode "hello world"
      tandem encode --query --sparse lexical --statistics lexical.json "annual fee"
      tandem encode --dense intfloat/multilingual-e5-small --input texts.txt --json
    """
    lines: Iterable[str] = texts or _lines(source)
    choice, lines = _with_statistics(encoders, lines, statistics)
    dense = choice.load_dense() if choice.dense or not choice.sparse else None
    sparse = choice.load_sparse() if choice.sparse else None
    for result in _results(lines, dense, sparse, as_query=as_query):
        click.echo(json.dumps(result, ensure_ascii=False) if as_json else _readable(result))


def _lines(source: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in source if line.strip())


def _with_statistics(
    choice: EncoderChoice, lines: Iterable[str], statistics: Path | None
) -> tuple[EncoderChoice, Iterable[str]]:
    """Give the lexical encoder its statistics: from the file, else from the texts themselves."""
    if choice.sparse != DEFAULT_SPARSE:
        return choice, lines
    if statistics is not None:
        state = _read_statistics(statistics)
    else:
        from encoders.lexical import LexicalEncoder

        lines = list(lines)
        note(f"{DEFAULT_SPARSE}: statistics from the {len(lines)} texts given (see --statistics)")
        state = LexicalEncoder.fit(lines).state()
    return replace(choice, options=replace(choice.options, statistics=state)), lines


def _read_statistics(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is not valid JSON: {error}"
        raise EncoderError(msg) from error
    return dict(state)


def _results(
    lines: Iterable[str],
    dense: "DenseEncoder | None",
    sparse: "SparseEncoder | None",
    *,
    as_query: bool,
) -> Iterator[dict[str, Any]]:
    from encoders.base import named_weights
    from encoders.batching import batched

    for batch in batched(lines, BATCH):
        results: list[dict[str, Any]] = [{"text": text} for text in batch]
        if dense is not None:
            rows = dense.encode_queries(batch) if as_query else dense.encode_documents(batch)
            _add(results, "dense", rows.tolist(), dense)
        if sparse is not None:
            found = sparse.encode_queries(batch) if as_query else sparse.encode_documents(batch)
            _add(results, "sparse", [named_weights(sparse, vector) for vector in found], sparse)
        yield from results


def _add(results: list[dict[str, Any]], kind: str, vectors: list[Any], encoder: "Encoder") -> None:
    known = encoder.knows([result["text"] for result in results])
    for result, vector, knows in zip(results, vectors, known, strict=True):
        result[kind] = vector
        result[f"{kind}_model"] = encoder.identity.model
        result[f"{kind}_knows"] = knows


def _readable(result: dict[str, Any]) -> str:
    text = " ".join(result["text"].split())
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    lines = [click.style(shown, bold=True)]
    if "dense" in result:
        values = ", ".join(f"{value:.5f}" for value in result["dense"][:SHOWN_VALUES])
        head = f"dense   {result['dense_model']}, {len(result['dense'])} dimensions"
        lines.append(f"  {head}: {values}, …{_unknown(result['dense_knows'])}")
    if "sparse" in result:
        pairs = list(result["sparse"].items())
        top = ", ".join(f"{token} {weight:.3f}" for token, weight in pairs[:SHOWN_TOKENS])
        more = ", …" if len(pairs) > SHOWN_TOKENS else ""
        head = f"sparse  {result['sparse_model']}, {len(pairs)} tokens"
        lines.append(f"  {head}: {top}{more}{_unknown(result['sparse_knows'])}")
    return "\n".join(lines)


def _unknown(known: bool) -> str:
    return "" if known else "  (the model's vocabulary was not made for this language)"
