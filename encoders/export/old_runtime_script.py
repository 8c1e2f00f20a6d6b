"""Run by an old interpreter: a graph and its inputs in, its outputs out; knows none of our code.

Arguments: the graph, the inputs (``.npz`` of ``ids_0``, ``mask_0``, ...), the outputs (``.npz``),
the names of the two inputs.
"""

import sys
import time

import numpy as np
import onnxruntime


def main() -> None:
    """Load the graph, run every batch, write every first output."""
    graph, feeds, outputs, ids, mask = sys.argv[1:]
    batches = np.load(feeds)
    started = time.perf_counter()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    seconds = time.perf_counter() - started
    found = {"load_seconds": np.asarray(seconds)}
    for number in range(len(batches.files) // 2):
        feed = {ids: batches["ids_%d" % number], mask: batches["mask_%d" % number]}  # noqa: UP031
        found["rows_%d" % number] = session.run(None, feed)[0]  # noqa: UP031
    np.savez(outputs, **found)  # type: ignore[arg-type]  # the names collide with no option


if __name__ == "__main__":
    main()
