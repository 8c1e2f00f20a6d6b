"""The ONNX graph of a model in a precision, put where a target wants it.

A network is followed by PyTorch's exporter once, in float32; that graph is kept in the user's cache
and every target starts from it. Only float16 is exported anew: the network itself knows best which
of its layers must compute in float32.
"""

import shutil
from pathlib import Path

from encoders.export.exporter import OUTPUTS, cached_export, write_graph
from encoders.export.folder import GRAPH
from encoders.export.onnx_edit import finish_graph
from encoders.export.options import Precision
from encoders.export.precision import halve, quantise
from encoders.model import Model


def place_graph(
    model: Model, folder: Path, precision: Precision, *, trust_remote_code: bool = False
) -> Path:
    """Write ``model.onnx``, and its weights where they lie apart, into an existing folder.

    Raises:
        EncoderError: The model cannot be exported in this precision.
    """
    path = folder / GRAPH
    if precision == "fp16":
        graph = halve(model.load_graph(trust_remote_code=trust_remote_code))
        write_graph(graph, path, output=OUTPUTS[model.settings.graph.kind])
        finish_graph(path)
        return path
    source = cached_export(model, trust_remote_code=trust_remote_code) / GRAPH
    if precision == "int8":
        quantise(source, path)
        finish_graph(path)
        return path
    for file in source.parent.glob(GRAPH + "*"):
        shutil.copyfile(file, folder / file.name)
    return path
