"""Edits ONNX files: so that an old runtime takes them, under the names it wants."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

OnnxModel: TypeAlias = Any  # onnx.ModelProto, which is imported only where it is used

EXTERNAL_SUFFIX = "_data"
# Protocol buffers end at 2 GiB; larger weights lie in a file beside the graph.
INLINE_BYTES = 1_500_000_000
# Smaller tensors stay in the graph: shape inference reads them there and nowhere else.
_SMALL_TENSOR_BYTES = 1024


def finish_graph(path: Path) -> list[Path]:
    """Rewrite an exported file in place, weights beyond 1.5 GB beside it.

    Each ``LayerNormalization`` without a bias gets one of zeros (its result stays the same): the
    optimiser of ONNX Runtime 1.16 reads that input without looking whether it is there, and
    ends its process. Traces of the exporter's source files are removed.

    Args:
        path: The ``.onnx`` file.

    Returns:
        The files of the graph: itself, and its weights where they lie apart.
    """
    import onnx

    model = onnx.load(str(path))
    add_missing_biases(model)
    strip_traces(model)
    return save_graph(model, path)


def adapt_graph(
    path: Path, *, inputs: Sequence[str], token_axis: bool, declared_ir: int
) -> list[Path]:
    """Rewrite a file for the node: its version, its inputs' names, the shape of its answer.

    Args:
        path: The ``.onnx`` file.
        inputs: New names of ids and mask.
        token_axis: Answer ``[B, 1, D]`` instead of ``[B, D]``.
        declared_ir: Version of the file format to declare.

    Returns:
        The files of the graph.
    """
    import onnx

    model = onnx.load(str(path))
    model.ir_version = declared_ir
    rename_inputs(model, inputs)
    if token_axis:
        add_token_axis(model)
    return save_graph(model, path)


def rename_inputs(model: OnnxModel, names: Sequence[str]) -> None:
    """Give a graph's inputs new names, in their order."""
    renamed = {entry.name: name for entry, name in zip(model.graph.input, names, strict=True)}
    for entry in model.graph.input:
        entry.name = renamed[entry.name]
    for node in _all_nodes(model.graph):
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)


def add_token_axis(model: OnnxModel) -> None:
    """Turn the answer ``[B, D]`` into ``[B, 1, D]``."""
    import numpy as np
    from onnx import helper, numpy_helper

    [output] = model.graph.output
    flat, axes = f"{output.name}_flat", f"{output.name}_axes"
    for node in _all_nodes(model.graph):
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = flat if name == output.name else name
    model.graph.initializer.append(numpy_helper.from_array(np.asarray([1], np.int64), axes))
    model.graph.node.append(helper.make_node("Unsqueeze", [flat, axes], [output.name]))
    dimensions = output.type.tensor_type.shape.dim
    width = dimensions[-1].dim_value
    dimensions[-1].dim_value = 1
    dimensions.add().dim_value = width


def save_graph(model: OnnxModel, path: Path) -> list[Path]:
    """Write a graph; weights beyond 1.5 GB go to one file beside it.

    Returns:
        The files written. ML Commons renames the graph but not the other one, which the graph
        names, so it still finds it.
    """
    import onnx

    for old in path.parent.glob(path.name + "*"):
        old.unlink()
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) <= INLINE_BYTES:
        onnx.save(model, str(path))
        return [path]
    beside = path.with_name(path.name + EXTERNAL_SUFFIX)
    onnx.save(
        model,
        str(path),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=beside.name,
        size_threshold=_SMALL_TENSOR_BYTES,
    )
    return [path, beside]


def add_missing_biases(model: OnnxModel) -> int:
    """Give each ``LayerNormalization`` without a bias one of zeros; how many got one."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    zeros: dict[str, Any] = {}
    added = 0
    for node in model.graph.node:
        if node.op_type != "LayerNormalization" or len(node.input) > 2 or node.input[1] == "":
            continue
        scale = tensors.get(node.input[1])
        if scale is None:
            continue
        bias = f"{scale.name}_zero_bias"
        zeros[bias] = numpy_helper.from_array(numpy_helper.to_array(scale) * 0, bias)
        node.input.append(bias)
        added += 1
    model.graph.initializer.extend(zeros.values())
    return added


def strip_traces(model: OnnxModel) -> None:
    """Remove documentation and metadata: they hold stack traces with the exporter's paths."""
    model.doc_string = ""
    del model.metadata_props[:]
    _strip_graph(model.graph)


def ir_version(path: Path) -> int:
    """Version of the file format a graph declares; its weights are not read."""
    import onnx

    return int(onnx.load(str(path), load_external_data=False).ir_version)


def _strip_graph(graph: Any) -> None:
    graph.doc_string = ""
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for entry in (graph, *graph.node, *values):
        entry.doc_string = ""
        del entry.metadata_props[:]
    for inner in _inner_graphs(graph):
        _strip_graph(inner)


def _all_nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for inner in _inner_graphs(graph):
        yield from _all_nodes(inner)


def _inner_graphs(graph: Any) -> Iterator[Any]:
    """Bodies of branches and loops; they see the names of what is around them."""
    for node in graph.node:
        yield from (entry.g for entry in node.attribute if entry.HasField("g"))
