"""Peak memory of ``tandem index`` for a small and a ten times larger corpus.

    python benchmarks/ingest_memory.py                          # writes docs/memory.md
    python benchmarks/ingest_memory.py --small 2000 --large 20000 --dense none

Made-up documents of about twelve words, one passage each, are indexed by a process of their own
per corpus; the operating system says how large that process ever was. The two peaks must not be
further apart than 10 %. The indices are deleted afterwards.
"""

import argparse
import itertools
import json
import os
import platform
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opensearch.index_info import read_index_info
from opensearch.indices import count_chunks, delete_index, index_exists
from opensearch.workflows.connection import open_cluster

PAGE_FILE = Path(__file__).parent.parent / "docs" / "memory.md"
TANDEM = (sys.executable, "-c", "from opensearch.cli.root import main; main()")
SEED = 7
ALLOWED_GROWTH = 0.10
SHOWN_OF_ERROR = 2000
# ru_maxrss counts kibibytes on Linux and bytes on macOS.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of ``tandem index``.

    Attributes:
        documents: Size of the corpus; as many passages were stored.
        peak_bytes: Largest resident set of the process.
        seconds: From its start to its end, loading models included.
    """

    documents: int
    peak_bytes: int
    seconds: float


def main() -> None:
    """Index both corpora, print the peaks and write the page."""
    arguments = _arguments()
    flags = [
        part
        for name in ("dense", "sparse")
        if (value := getattr(arguments, name))
        for part in (f"--{name}", value)
    ]
    small, large = (measure(n, arguments.url, flags) for n in (arguments.small, arguments.large))
    growth = large.peak_bytes / small.peak_bytes - 1
    print(f"peak of {large.documents} against {small.documents} documents: {growth:+.1%}")
    PAGE_FILE.write_text(render(small, large, sys.argv[1:], flags), encoding="utf-8")
    if growth > ALLOWED_GROWTH:
        sys.exit(f"Memory grows with the corpus: {growth:+.1%}, {ALLOWED_GROWTH:.0%} is allowed.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--small", type=int, default=10_000, help="documents of the first corpus")
    parser.add_argument("--large", type=int, default=100_000, help="documents of the second one")
    parser.add_argument("--url", help="OpenSearch to use; default: as `tandem` finds it")
    parser.add_argument("--dense", help="passed on to `tandem index`")
    parser.add_argument("--sparse", help="passed on to `tandem index`")
    return parser.parse_args()


def measure(count: int, url: str | None, flags: list[str]) -> Measured:
    """Index a corpus of ``count`` documents in a process of its own."""
    name = f"memory-{count}"
    with tempfile.TemporaryDirectory(prefix="tandem-memory-") as folder, _scratch_index(name, url):
        corpus = Path(folder) / "corpus.jsonl"
        write_corpus(corpus, count)
        command = [*TANDEM, "index", str(corpus), "--index", name, *flags]
        command += ["--rejects", str(Path(folder) / "rejects.jsonl")]
        peak, seconds = _run([*command, *(["--url", url] if url else [])], Path(folder) / "log")
        client = open_cluster(url)
        stored = count_chunks(client, read_index_info(client, name))
    if stored != count:
        sys.exit(f"{stored} of {count} passages were stored: this is no fair comparison.")
    rate = count / seconds
    print(f"{count} documents: {peak / 2**20:.0f} MiB at most, {rate:.0f} docs/s", flush=True)
    return Measured(count, peak, seconds)


@contextmanager
def _scratch_index(name: str, url: str | None) -> Iterator[None]:
    """No index of that name before, none after, whatever happens in between."""
    _delete(name, url)
    try:
        yield
    finally:
        _delete(name, url)


def _delete(name: str, url: str | None) -> None:
    client = open_cluster(url)
    if index_exists(client, name):
        delete_index(client, read_index_info(client, name))


def write_corpus(path: Path, count: int) -> None:
    """Write ``count`` short documents, one at a time; the same ones each time."""
    draw = random.Random(SEED)
    words = ["".join(parts) for parts in itertools.product("bdfgklmnprstvz", "aeiou", "bdgklmnprt")]
    shares = [1 / rank for rank in range(1, len(words) + 1)]  # as uneven as a language's words
    cumulated = list(itertools.accumulate(shares))
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = " ".join(draw.choices(words, cum_weights=cumulated, k=draw.randint(8, 16)))
            file.write(json.dumps({"_id": f"d{number}", "text": text}) + "\n")


def _run(command: list[str], log: Path) -> tuple[int, float]:
    """Peak resident set in bytes and seconds of a command that must succeed."""
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(encoding="utf-8", errors="replace")[-SHOWN_OF_ERROR:]
        sys.exit(f"`tandem index` ended with {process.returncode}:\n{said}")
    return usage.ru_maxrss * RSS_UNIT, time.monotonic() - started


def render(small: Measured, large: Measured, given: list[str], flags: list[str]) -> str:
    """The page, from the figures."""
    rows = "\n".join(
        f"| {m.documents:,} | {m.peak_bytes / 2**20:.0f} MiB | {m.documents / m.seconds:.0f} |"
        for m in (small, large)
    )
    return PAGE.format(
        command=shlex.join(["python", "benchmarks/ingest_memory.py", *_without_url(given)]),
        flags=f"`{shlex.join(flags)}`" if flags else "its default encoders",
        rows=rows,
        growth=100 * (large.peak_bytes / small.peak_bytes - 1),
        times=large.documents / small.documents,
        allowed=100 * ALLOWED_GROWTH,
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}",
    )


def _without_url(given: list[str]) -> list[str]:
    """The options that matter to somebody else: not where this machine's node is."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--url")
    return parser.parse_known_args(given)[1]


PAGE = """# Memory while indexing

    {command}

Made-up documents of 8 to 16 words, one passage each, are read from a JSON Lines file and indexed
by `tandem index` with {flags}; each corpus goes into a fresh index by a fresh process.
The peak is the largest resident set that the operating system saw of that process (`ru_maxrss`):
models, libraries and all threads of the pipeline. OpenSearch is another process and is not
counted. Documents per second include loading the models and the first pass over the corpus.

| documents | peak memory | docs/s |
| ---: | ---: | ---: |
{rows}

With {times:.0f} times the documents the peak changes by {growth:+.1f} %;
{allowed:.0f} % is allowed. Measured on {machine}.
"""


if __name__ == "__main__":
    main()
