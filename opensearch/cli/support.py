"""What every command shares: error translation, output, options."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

from opensearch.errors import SettingsError
from operations.known_errors import OUR_ERRORS

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def reports_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Turn the library's exceptions into a message on stderr and exit code 1 (misuse: 2)."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            raise click.UsageError(str(error)) from error
        except OUR_ERRORS as error:
            raise click.ClickException(str(error)) from error

    return wrapper


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON value on stdout instead of a table."
)

url_option = click.option(
    "--url",
    envvar="TANDEM_OPENSEARCH_URL",
    show_envvar=True,
    help="OpenSearch to talk to. Default: the local engine, if one runs.",
)


def combined(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """One decorator for several options; ``--help`` lists them in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def echo_json(value: Any) -> None:
    """Print one JSON value, readable by people and programs alike."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def note(message: str) -> None:
    """A line for people: on stderr, so that stdout stays readable by programs."""
    click.echo(message, err=True)


def stderr_is_terminal() -> bool:
    """Whether progress bars and colours make sense."""
    return sys.stderr.isatty()
