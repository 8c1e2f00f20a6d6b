"""The command ``tandem serve``."""

import importlib.util
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from encoders.errors import MissingExtraError
from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option
from serving.config import TOKEN_VARIABLE, Batching, Limits, ServeConfig, is_loopback
from serving.errors import ServingError

if TYPE_CHECKING:
    from serving.models import ServedModels
    from serving.recording import Recording

_DEFAULTS = ServeConfig()


@click.command()
@encoder_options
@click.option("--rerank", metavar="MODEL", help="Cross-encoder for /rerank: folder or hub id.")
@click.option(
    "--statistics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Statistics for --sparse lexical, from a JSON file.",
)
@click.option(
    "--statistics-of", metavar="INDEX", help="Statistics for --sparse lexical, from an index."
)
@url_option
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=_DEFAULTS.port,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--max-batch-tokens",
    type=click.IntRange(1),
    help="Tokens of one batch.  [default: what is best for the device]",
)
@click.option("--max-batch-texts", type=click.IntRange(1), help="Texts of one batch.")
@click.option(
    "--batch-wait-ms",
    type=click.FloatRange(0, 1000),
    default=_DEFAULTS.batching.wait_ms,
    show_default=True,
    help="How long an idle encoder waits for more texts.",
)
@click.option(
    "--queue",
    type=click.IntRange(1),
    default=_DEFAULTS.batching.queue,
    show_default=True,
    help="Texts that may wait per encoder and side; beyond it, 503.",
)
@click.option(
    "--max-request-bytes",
    type=click.IntRange(1),
    default=_DEFAULTS.limits.request_bytes,
    show_default=True,
    help="Longest request; beyond it, 413.",
)
@click.option(
    "--max-texts",
    type=click.IntRange(1),
    default=_DEFAULTS.limits.texts,
    show_default=True,
    help="Texts in one request; beyond it, 422.",
)
@click.option(
    "--max-text-characters",
    type=click.IntRange(1),
    default=_DEFAULTS.limits.text_characters,
    show_default=True,
    help="Longest text; beyond it, 422. Shorter ones are cut where the encoder stops reading.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(1),
    default=_DEFAULTS.in_flight,
    show_default=True,
    help="Requests in work at once; beyond it, 503.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, min_open=True),
    default=_DEFAULTS.timeout_s,
    show_default=True,
    help="Seconds until a request is given up with 503.",
)
@click.option(
    "--stop-timeout",
    "stop_s",
    type=click.FloatRange(0),
    default=_DEFAULTS.stop_s,
    show_default=True,
    help="Seconds a stop waits for requests in work.",
)
@click.option("--open-metrics", is_flag=True, help="/metrics needs no token.")
@click.option(
    "--matryoshka", is_flag=True, help="Requests may ask for shorter dense vectors of any model."
)
@click.option(
    "--store",
    is_flag=True,
    help="Keep counts and latencies in the cluster (index tandem-serving), for Dashboards.",
)
@click.option(
    "--search",
    "searched",
    metavar="INDEX",
    help="Answer users' queries at /search too: follows the alias INDEX and its experiment.",
)
@click.option("--check", is_flag=True, help="Load and try the models, say what is served, and end.")
@json_option
@reports_errors
def serve(
    encoders: EncoderChoice,
    rerank: str | None,
    statistics: Path | None,
    statistics_of: str | None,
    url: str | None,
    max_batch_tokens: int | None,
    store: bool,
    searched: str | None,
    check: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Serve encoders over HTTP, texts of all clients batched together.

    Without --dense, --sparse and --rerank the default dense model is served. Other machines are
    let in by --host, and only with a token in TANDEM_SERVE_TOKEN. Logs are JSON lines on stderr,
    without texts.

    \b
    Example:
      tandem serve
      tandem serve --dense all-MiniLM-L6-v2 --sparse lexical --statistics-of docs
      TANDEM_SERVE_TOKEN=... tandem serve --host 0.0.0.0 --rerank models/my-cross-encoder
      TANDEM_FEEDBACK_SALT=... tandem serve --search docs
      tandem serve --check
    """
    _need_extra()
    config = _config(settings)
    choice = replace(encoders, options=replace(encoders.options, batch_tokens=max_batch_tokens))
    models = _models(_with_statistics(choice, statistics, statistics_of, url), rerank)
    models.warm_up()
    if check:
        with ExitStack() as stack:
            if searched:
                _search_router(stack, searched, config, url)
            _show(models, config, as_json=as_json)
        return
    from serving.app import build_server
    from serving.process import serve as run

    with ExitStack() as stack:
        recording = stack.enter_context(_recording(models, config, url)) if store else None
        routers = [_search_router(stack, searched, config, url)] if searched else []
        run(build_server(models, config, routers, recording), config)


def _search_router(stack: ExitStack, index: str, config: ServeConfig, url: str | None) -> Any:
    """Routes for users' queries; what they stand on is closed with the stack."""
    from opensearch.workflows.connection import open_cluster
    from operations.experiments.logged import open_logged_search
    from operations.experiments.router import RouterConfig, search_router

    search = stack.enter_context(open_logged_search(open_cluster(url), index))
    return search_router(search, RouterConfig(config.limits, config.timeout_s))


def _recording(models: "ServedModels", config: ServeConfig, url: str | None) -> "Recording":
    import socket
    from functools import partial

    from opensearch.measurements import SERVING_INDEX, store_measurements
    from opensearch.workflows.connection import open_cluster
    from serving.recording import Recording

    client = open_cluster(url)
    served = {
        entry["kind"]: entry["model"]
        for entry in models.describe()
        if entry["kind"] in ("dense", "sparse")
    }
    write = partial(store_measurements, client, SERVING_INDEX)
    return Recording(write, f"{socket.gethostname()}:{config.port}", served)


def _need_extra() -> None:
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "serve")


def _config(settings: dict[str, Any]) -> ServeConfig:
    limits = Limits(
        settings.pop("max_request_bytes"),
        settings.pop("max_texts"),
        settings.pop("max_text_characters"),
    )
    batching = Batching(
        settings.pop("batch_wait_ms"), settings.pop("max_batch_texts"), settings.pop("queue")
    )
    return ServeConfig(
        token=os.environ.get(TOKEN_VARIABLE),
        limits=limits,
        batching=batching,
        in_flight=settings.pop("max_in_flight"),
        **settings,
    )


def _models(choice: EncoderChoice, rerank: str | None) -> "ServedModels":
    from serving.models import ServedModels

    wants_dense = choice.dense is not None or (choice.sparse is None and rerank is None)
    return ServedModels(
        dense=choice.load_dense() if wants_dense else None,
        sparse=choice.load_sparse() if choice.sparse is not None else None,
        reranker=_reranker(rerank, choice) if rerank is not None else None,
    )


def _reranker(model: str, choice: EncoderChoice) -> Any:
    from encoders.registry import load_reranker

    # --max-tokens is about single texts: a pair is as long as its model says.
    return load_reranker(model, replace(choice.options, max_tokens=None))


def _with_statistics(
    choice: EncoderChoice, path: Path | None, index: str | None, url: str | None
) -> EncoderChoice:
    from encoders.presets import DEFAULT_SPARSE
    from serving.statistics import read_statistics, statistics_of_index

    if path is None and index is None:
        if choice.sparse == DEFAULT_SPARSE:
            msg = (
                f"The {DEFAULT_SPARSE} encoder needs the statistics of a corpus: name the index it "
                "was built for (--statistics-of INDEX), or a file (--statistics FILE)"
            )
            raise ServingError(msg)
        return choice
    if choice.sparse != DEFAULT_SPARSE or (path is not None and index is not None):
        msg = f"Give one of --statistics and --statistics-of, and with it --sparse {DEFAULT_SPARSE}"
        raise click.UsageError(msg)
    state = read_statistics(path) if path is not None else statistics_of_index(str(index), url)
    return replace(choice, options=replace(choice.options, statistics=state))


def _show(models: "ServedModels", config: ServeConfig, *, as_json: bool) -> None:
    described = models.describe()
    if as_json:
        echo_json({"host": config.host, "port": config.port, "models": described})
        return
    for entry in described:
        width = f", {entry['dimension']} dimensions" if entry["dimension"] else ""
        line = f"{entry['kind']:7} {entry['model']}{width}, {entry['max_tokens']} tokens"
        click.echo(f"{line}, {entry['runtime']}")
    place = "this machine" if is_loopback(config.host) else "other machines"
    token = "with" if config.token is not None else "without"
    note(f"ready to listen on {config.host}:{config.port} for {place}, {token} a token")
