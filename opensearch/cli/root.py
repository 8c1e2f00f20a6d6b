"""The ``tandem`` command: a group that imports a command's module only when it is called."""

import importlib
import logging
from collections.abc import Mapping
from types import MappingProxyType

import click

# Command name -> module:object. Nothing here imports a model library, so `--help` is instant.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "quickstart": "training.cli:quickstart",
        "engine": "opensearch.cli.engine:engine",
        "index": "ingest.cli:index",
        "search": "opensearch.cli.search:search",
        "evaluate": "training.cli:evaluate",
        "encode": "encoders.cli:encode",
        "doctor": "opensearch.cli.doctor:doctor",
    }
)
# One line each, so that the overview needs no import at all; a test holds them to the docstrings.
SUMMARIES: Mapping[str, str] = MappingProxyType(
    {
        "quickstart": "Start a node, index a corpus, compare all modes, explain three queries.",
        "engine": "Run a local OpenSearch node.",
        "index": "Index a corpus: text, dense vectors and sparse token weights.",
        "search": "Search an index by words, meaning, or both.",
        "evaluate": "Measure every search mode against relevance judgements.",
        "encode": "Show what the encoders make of a text.",
        "doctor": "Check what is installed and which cluster answers.",
    }
)


class LazyGroup(click.Group):
    """Lists commands from a table and loads one when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tandem-search", prog_name="tandem")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, on stderr.")
def main(verbose: bool) -> None:
    """Tandem: dense and neural-sparse retrieval for OpenSearch.

    \b
    First steps:
      tandem quickstart                    a node, a sample corpus, a comparison
      tandem index my.jsonl --index docs   your own corpus
      tandem search docs "my question"
    """
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    # The client library logs every answer but 200 as a warning; ours says what matters.
    logging.getLogger("opensearch").addFilter(lambda _: verbose)
    for library in ("httpx", "transformers"):
        logging.getLogger(library).setLevel(logging.WARNING)
