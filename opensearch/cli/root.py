"""The ``tandem`` command."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

import click

from opensearch.cli.lazy import LazyCommand, LazyGroup

# Nothing here imports a model library, so `--help` is instant.
COMMANDS: Mapping[str, LazyCommand] = MappingProxyType(
    {
        "quickstart": LazyCommand(
            "training.cli:quickstart",
            "Start a node, index a corpus, compare all modes, explain three queries.",
        ),
        "engine": LazyCommand("opensearch.cli.engine:engine", "Run a local OpenSearch node."),
        "index": LazyCommand(
            "ingest.cli:index", "Index a corpus: text, dense vectors and sparse token weights."
        ),
        "search": LazyCommand(
            "opensearch.cli.search:search", "Search an index by words, meaning, or both."
        ),
        "reindex": LazyCommand(
            "operations.reindexing.cli:reindex",
            "Build a new version of an index from its stored texts and swap it in.",
        ),
        "rollback": LazyCommand(
            "operations.reindexing.cli:rollback",
            "Swap the version before the current one back in.",
        ),
        "versions": LazyCommand(
            "operations.reindexing.cli:versions",
            "List the versions of an index: current, being built, old.",
        ),
        "evaluate": LazyCommand(
            "training.cli:evaluate", "Measure every search mode against relevance judgements."
        ),
        "tune": LazyCommand(
            "training.tuning.cli:tune", "Fit the fusion of an index to judged dev queries."
        ),
        "prepare": LazyCommand(
            "training.data.cli:prepare",
            "Turn records into training and dev data that share nothing.",
        ),
        "mine": LazyCommand(
            "training.data.mining.cli:mine",
            "Find hard negatives for training records.",
        ),
        "synthesize": LazyCommand(
            "training.data.synthesis.cli:synthesize",
            "Write queries for documents that have none.",
        ),
        "synonyms": LazyCommand(
            "training.data.synonyms.cli:synonyms",
            "Turn a glossary into triplets for the sparse encoder.",
        ),
        "train": LazyCommand("training.cli:train", "Train encoders on your own data."),
        "compare": LazyCommand(
            "training.compare.cli:compare",
            "Show runs and models side by side: metrics, significance, wins and losses.",
        ),
        "ablate": LazyCommand(
            "training.ablation.cli:ablate",
            "Train a grid of runs from one file and say which setting matters.",
        ),
        "mteb": LazyCommand(
            "training.mteb.cli:mteb",
            "Run MTEB tasks with an encoder: public benchmarks, or your own judged set.",
        ),
        "models": LazyCommand(
            "opensearch.cli.models:models",
            "Run encoders in the cluster: push, list, deploy, delete.",
        ),
        "registry": LazyCommand(
            "operations.registry.cli:registry",
            "Keep models as versions that never change, and say which one is in production.",
        ),
        "retrain": LazyCommand(
            "operations.retraining.cli:retrain",
            "Retrain a model as the file JOB says, and put it into production if it is better.",
        ),
        "plan": LazyCommand(
            "operations.planning.cli:plan",
            "Say what an index of CORPUS would cost before it is built.",
        ),
        "pipelines": LazyCommand(
            "opensearch.cli.pipelines:pipelines",
            "Keep ingest and search pipelines as one file declares them.",
        ),
        "dashboards": LazyCommand(
            "opensearch.cli.dashboards:dashboards",
            "Bring search quality and ready queries into OpenSearch Dashboards.",
        ),
        "feedback": LazyCommand(
            "operations.feedback.cli:feedback",
            "Bring queries and clicks in and out, and turn them into training data.",
        ),
        "drift": LazyCommand(
            "operations.drift.cli:drift",
            "Compare the queries of a time with those the model was evaluated on.",
        ),
        "shadow": LazyCommand(
            "operations.shadow.cli:shadow",
            "Ask a candidate the queries of an index, unseen, and compare the answers.",
        ),
        "ab": LazyCommand(
            "operations.experiments.cli:ab",
            "Compare two versions of an index on live users, and promote the better one.",
        ),
        "encode": LazyCommand("encoders.cli:encode", "Show what the encoders make of a text."),
        "export": LazyCommand(
            "encoders.export.cli:export", "Export a model as one graph, checked against PyTorch."
        ),
        "serve": LazyCommand(
            "serving.cli:serve", "Serve encoders over HTTP, texts of all clients batched together."
        ),
        "doctor": LazyCommand(
            "opensearch.cli.doctor:doctor", "Check what is installed and which cluster answers."
        ),
    }
)


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
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
