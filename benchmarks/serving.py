"""Requests per second and latency of the encoder server, batching on and off, in one run.

    python benchmarks/serving.py                       # writes docs/serving-results.md
    python benchmarks/serving.py --seconds 4 --rounds 1 --no-write

Two servers run in processes of their own, side by side: one that puts the texts of several
requests together, and one with batches of one text. Clients ask them in turn, round by round, so
that a busy machine disturbs both alike; of each the best round counts. Clients are processes of
their own as well, each asks again as soon as it has its answer.
"""

import argparse
import json
import multiprocessing
import multiprocessing.dummy
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "serving-results.md"
FIGURES = ROOT / "docs" / "serving-results.json"
WORDS = (
    "account balance interest rate loan fee card deposit transfer limit annual customer branch "
    "the of and a for is by to payment statement exchange currency insurance risk credit"
).split()
LOADS = {"query": ("query", 8), "passage": ("document", 60)}  # side and words of the one text
CLIENTS = (1, 16)
SERVERS = {"on": (), "off": ("--max-batch-texts", "1", "--batch-wait-ms", "0")}


@dataclass(frozen=True)
class Round:
    """What one round of clients saw: seconds of each answered request, and other answers."""

    latencies: list[float]
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Answered requests per second."""
        return len(self.latencies) / self.seconds

    def row(self) -> dict[str, Any]:
        """The figures of the table."""
        ordered = sorted(self.latencies)
        return {
            "requests_per_s": round(self.rate, 1),
            "p50_ms": round(statistics.median(ordered) * 1000, 1),
            "p95_ms": round(ordered[int(len(ordered) * 0.95)] * 1000, 1),
            "failed": self.failed,
        }


def main() -> None:
    """Measure, print, and write the page."""
    arguments = _arguments()
    servers = {name: _start(arguments.dense, options) for name, options in SERVERS.items()}
    try:
        urls = {name: _url(process) for name, process in servers.items()}
        rows = _measure(urls, arguments)
    finally:
        for process in servers.values():
            process.terminate()
            process.wait(30)
    figures = {
        "model": arguments.dense,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "rows": rows,
    }
    page = render(figures)
    print(page)
    if arguments.write:
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        TABLE.write_text(page, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dense", default="all-MiniLM-L6-v2", help="the model")
    parser.add_argument("--seconds", type=float, default=3, help="of one round")
    parser.add_argument("--rounds", type=int, default=3, help="the best one counts")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser.parse_args()


def _start(model: str, options: tuple[str, ...]) -> subprocess.Popen[str]:
    program = "from opensearch.cli.root import main; main()"
    command = [sys.executable, "-c", program, "serve", "--dense", model, "--port", "0", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _url(process: subprocess.Popen[str]) -> str:
    """The address, from the log; the rest of the log is thrown away."""
    for line in process.stderr or ():
        if '"listening"' in line:
            port = json.loads(line)["port"]
            multiprocessing.dummy.Process(target=lambda: list(process.stderr or ())).start()
            return f"http://127.0.0.1:{port}"
    sys.exit("The server did not start")


def _measure(urls: dict[str, str], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for load in LOADS:
        for clients in CLIENTS:
            best: dict[str, Round] = {}
            for _ in range(arguments.rounds):
                for name, url in urls.items():
                    found = _round(url, load, clients, arguments.seconds)
                    if name not in best or found.rate > best[name].rate:
                        best[name] = found
            for name, found in best.items():
                rows.append({"load": load, "clients": clients, "batching": name} | found.row())
    return rows


def _round(url: str, load: str, clients: int, seconds: float) -> Round:
    with multiprocessing.get_context("spawn").Pool(min(clients, 2)) as pool:
        threads = -(-clients // min(clients, 2))
        jobs = [(url, load, threads, seconds, number) for number in range(min(clients, 2))]
        found = pool.starmap(_clients, jobs)
    latencies = [value for part, _ in found for value in part]
    return Round(latencies, sum(failed for _, failed in found), seconds)


def _clients(
    url: str, load: str, threads: int, seconds: float, number: int
) -> tuple[list[float], int]:
    """Several clients of one process; the first second warms connections up and does not count."""
    pool = multiprocessing.dummy.Pool(threads)
    begin = time.monotonic() + 1
    jobs = [(url, load, begin, seconds, number * 1000 + n) for n in range(threads)]
    found = pool.starmap(_client, jobs)
    return [value for part, _ in found for value in part], sum(failed for _, failed in found)


def _client(
    url: str, load: str, begin: float, seconds: float, number: int
) -> tuple[list[float], int]:
    side, length = LOADS[load]
    latencies, failed, asked = [], 0, number
    with httpx.Client(base_url=url, timeout=30, verify=False) as client:
        while (now := time.monotonic()) < begin + seconds:
            asked += 1
            words = [WORDS[(asked * 7 + n * n) % len(WORDS)] for n in range(length)]
            body = {"input": " ".join(words), "input_type": side, "encoding_format": "base64"}
            status = client.post("/v1/embeddings", json=body).status_code
            if now >= begin:
                latencies += [time.monotonic() - now] if status == 200 else []
                failed += status != 200
    return latencies, failed


def render(figures: dict[str, Any]) -> str:
    """The page, from the figures."""
    lines = []
    for on, off in zip(figures["rows"][::2], figures["rows"][1::2], strict=True):
        ratio = on["requests_per_s"] / off["requests_per_s"]
        cells = [on["load"], str(on["clients"])]
        for row in (on, off):
            cells += [
                f"{row['requests_per_s']:.0f}",
                f"{row['p50_ms']:.1f}",
                f"{row['p95_ms']:.1f}",
            ]
        lines.append(f"| {' | '.join(cells)} | {ratio:.2f} |")
    failed = sum(row["failed"] for row in figures["rows"])
    shown = {**figures, "rows": "\n".join(lines), "failed": failed, "words": _lengths()}
    return PAGE.format(**shown)


def _lengths() -> str:
    return ", ".join(f"a {name} of {length} words" for name, (_, length) in LOADS.items())


PAGE = """# What batching across requests gives

Made by `python benchmarks/serving.py`; no figure is typed in by hand. Model {model} on {cores}
cores, which clients and both servers share; the load average at the end was {load}, so above
{cores} other work took its part: the ratio in the last column counts more than the figures before
it. Each request holds one text ({words}); best of {rounds} rounds of {seconds:g} s, batching on and
off in turn. Requests that were not answered with 200: {failed}.

| text | clients | on: requests/s | p50 ms | p95 ms | off: requests/s | p50 ms | p95 ms | on/off |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}

With one client there is no company to wait for: a difference there is the wait itself
(`--batch-wait-ms`), or noise.
"""


if __name__ == "__main__":
    main()
