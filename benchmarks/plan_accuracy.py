"""How far `tandem plan` is from what an index then takes: predicted and measured, side by side.

For each corpus and configuration: measure this machine on a sample, plan, build the index on a
running node, read its size from `_stats` as it stands and after a force-merge, time the build.

    python benchmarks/plan_accuracy.py --data ../shared/data --sets en_cranfield ko_korquad

The indices are removed afterwards. A quiet machine is needed for the times, not for the sizes.
"""

import argparse
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from encoders.options import LoadOptions
from ingest.corpus import CorpusOptions, read_corpus
from ingest.records import Document
from opensearch.indices import force_merge, physical_indices
from opensearch.workflows.build import BuildJob, build_index
from opensearch.workflows.connection import open_cluster
from operations.planning.candidates import Candidate
from operations.planning.constants import REFERENCE, Constants
from operations.planning.measuring import measure
from operations.planning.planner import Terms, cost_of
from operations.planning.sampling import sample_documents
from operations.planning.sizing import Corpus, disk, total
from operations.planning.workload import Models, corpora

DENSE, SPARSE = "all-MiniLM-L6-v2", "lexical"
CANDIDATES = (
    Candidate(),
    Candidate(sparse=SPARSE),
    Candidate(sparse=SPARSE, sparse_field="seismic"),
    Candidate(sparse=SPARSE, top_k=24),
    Candidate(dense=DENSE, dimension=384, sparse=SPARSE),
    Candidate(dense=DENSE, dimension=384, sparse=SPARSE, sparse_field="seismic"),
    Candidate(dense=DENSE, dimension=384, vectors="4x", sparse=SPARSE),
    Candidate(dense=DENSE, dimension=128, sparse=SPARSE, top_k=24),
)


@dataclass(frozen=True)
class Row:
    """One configuration, predicted and measured; bytes and seconds."""

    name: str
    label: str
    chunks: int
    disk_planned: float
    disk_merged: int
    disk_normal: int
    segments: int
    build_planned: float
    build_measured: float


def main() -> None:
    """Measure, plan, build and compare."""
    arguments = parse()
    client = open_cluster(arguments.url, timeout_s=600)
    rows: list[Row] = []
    constants = REFERENCE
    for name in arguments.sets:
        folder = cut(arguments.data / name, arguments.documents, arguments.work)
        found = sample_documents(read_corpus(CorpusOptions(source=folder)), arguments.sample)
        models = Models.load_named(DENSE, SPARSE, LoadOptions())
        few = sample_documents(read_corpus(CorpusOptions(source=folder)), arguments.measured)
        constants = measure(client, few, models, lambda line: print(f"  measuring: {line}"))
        chosen = [c for i, c in enumerate(CANDIDATES) if not arguments.only or i in arguments.only]
        for candidate, corpus in corpora(found, models, chosen).items():
            row = build(client, name, folder, candidate, (corpus, Terms(constants)))
            print(line_of(row), flush=True)
            rows.append(row)
    write(arguments.output, rows, arguments, constants)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR sets")
    parser.add_argument("--sets", nargs="+", default=["en_cranfield", "en_bankfaq", "ko_korquad"])
    parser.add_argument("--url", help="cluster; default: the local engine")
    parser.add_argument("--documents", type=int, default=1500, help="most documents of a set")
    parser.add_argument("--sample", type=int, default=500, help="documents the plan looks at")
    parser.add_argument("--measured", type=int, default=300, help="documents that are timed")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of configurations")
    parser.add_argument("--work", type=Path, default=Path("plan-accuracy"))
    parser.add_argument("--output", type=Path, default=Path("docs/planning-results.md"))
    return parser.parse_args()


def cut(folder: Path, documents: int, work: Path) -> Path:
    """The first documents of a set, as a file of their own."""
    work.mkdir(parents=True, exist_ok=True)
    target = work / f"{folder.name}.jsonl"
    with target.open("w", encoding="utf-8") as file:
        kept = 0
        for item in read_corpus(CorpusOptions(source=folder)):
            if isinstance(item, Document) and kept < documents:
                kept += 1
                line = {"_id": item.id, "title": item.title, "text": item.text}
                file.write(json.dumps({**line, **item.metadata}, ensure_ascii=False) + "\n")
    return target


def build(
    client: Any, name: str, source: Path, candidate: Candidate, planned: tuple[Corpus, Terms]
) -> Row:
    """Build one index, read its size, remove it."""
    corpus, terms = planned
    cost = cost_of(corpus, candidate, terms)
    index = f"plan-accuracy-{source.stem.replace('_', '-')}"
    client.indices.delete(index=f"{index}-v0-*", params={"ignore": 404})
    dimension = candidate.dimension if candidate.dimension == 128 else None
    job = BuildJob(
        index=index,
        corpus=CorpusOptions(source=source),
        dense=candidate.dense or "none",
        sparse=candidate.sparse or "none",
        load=LoadOptions(top_k=candidate.top_k, dimension=dimension),
        sparse_field=candidate.sparse_field,
        compression="4x" if candidate.vectors == "4x" else "1x",
    )
    started = time.perf_counter()
    report = build_index(client, job)
    seconds = time.perf_counter() - started
    indices = physical_indices(report.info)
    normal, segments = size(client, indices)
    force_merge(client, report.info)
    merged, _ = settled(client, indices)
    client.indices.delete(index=f"{index}-v0-*")
    expected = total(disk(corpus, candidate))
    chunks = report.progress.chunks
    sizes = (expected, merged, normal, segments)
    return Row(name, candidate.label, chunks, *sizes, cost.build_s, seconds)


def size(client: Any, indices: list[str]) -> tuple[int, int]:
    """Bytes and segments of primary shards, everything written to disk."""
    client.indices.flush(index=indices)
    answer = client.indices.stats(index=indices, metric="store,segments")["_all"]["primaries"]
    return int(answer["store"]["size_in_bytes"]), int(answer["segments"]["count"])


def settled(client: Any, indices: list[str]) -> tuple[int, int]:
    """The size once merged segments have been let go."""
    found = size(client, indices)
    for _ in range(20):
        time.sleep(0.5)
        client.indices.refresh(index=indices)
        latest = size(client, indices)
        if latest == found and latest[1] <= len(indices):
            return latest
        found = latest
    return found


def error(planned: float, measured: float) -> str:
    """How far the plan is off, in per cent of what was measured."""
    return f"{100 * (planned / measured - 1):+.1f} %"


def line_of(row: Row) -> str:
    """A row of the table."""
    mib = 2**20
    return (
        f"| {row.name} | {row.label} | {row.chunks:,} | {row.disk_planned / mib:.2f} | "
        f"{row.disk_merged / mib:.2f} | {error(row.disk_planned, row.disk_merged)} | "
        f"{row.disk_normal / mib:.2f} ({row.segments}) | "
        f"{error(row.disk_planned, row.disk_normal)} | {row.build_planned:.1f} | "
        f"{row.build_measured:.1f} | {error(row.build_planned, row.build_measured)} |"
    )


def write(path: Path, rows: list[Row], arguments: argparse.Namespace, constants: Constants) -> None:
    """Write the page."""
    sizes = [abs(row.disk_planned / row.disk_merged - 1) for row in rows]
    normal = [abs(row.disk_planned / row.disk_normal - 1) for row in rows]
    times = [abs(row.build_planned / row.build_measured - 1) for row in rows]
    details = constants.details
    text = f"""# How good a plan is

Written by `benchmarks/plan_accuracy.py` on {datetime.now(UTC):%Y-%m-%d}: {details["processors"]}
processors ({details["machine"]}), OpenSearch {details["opensearch"]} on the same machine. The plan
looked at {arguments.sample} documents of each set and timed {arguments.measured} of them just
before. Sizes are primary shards by `_stats`; a plan gives them for a merged index. Before the
merge ("as built") the number of segments stands in brackets.

| | largest error |
| --- | --- |
| size, merged | {100 * max(sizes):.1f} % |
| size, as built | {100 * max(normal):.1f} % |
| time | {100 * max(times):.1f} % ({sum(t <= 0.2 for t in times)} of {len(times)} within 20 %) |

| set | configuration | passages | planned MiB | merged MiB | error | as built MiB | error \
| planned s | built in s | error |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
    path.write_text(text + "\n".join(map(line_of, rows)) + "\n", encoding="utf-8")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
