"""Weights of half and of eight bits, and which vectors still go together.

A float16 model's vectors may stand in one index with those of its float32 original: rounding moves
them less than a nearest neighbour is away. Eight bits move them further, so an int8 model is an
encoder of its own, with a fingerprint of its own.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from encoders.base import EncoderIdentity
from encoders.dense import TransformerDenseEncoder
from encoders.errors import EncoderError, MissingExtraError
from encoders.export.onnx_edit import INLINE_BYTES
from encoders.export.options import Precision
from encoders.export.parity import MIN_COSINE, Parity
from encoders.fingerprint import combined_fingerprint
from encoders.model import Model
from encoders.sparse import SpladeEncoder
from encoders.torch_runner import TorchRunner

Module: TypeAlias = Any


def halve(graph: Module) -> Module:
    """Give a graph's network float16 weights, in place.

    Pooling and normalisation stay in float32: sums of squares overflow in float16. What the
    network itself computes in float32 (many normalisation layers do) stays so, too.

    Raises:
        EncoderError: There is no transformer whose weights could be halved.
    """
    from transformers import PreTrainedModel

    networks: dict[str, Module] = {}
    for name, part in graph.named_modules():
        inner = any(name.startswith(f"{outer}.") for outer in networks)
        if isinstance(part, PreTrainedModel) and not inner:
            networks[name] = part
    if not networks:
        msg = "This model has no transformer, and fp16 gains it nothing. Use --precision fp32."
        raise EncoderError(msg)
    for network in networks.values():
        network.half().register_forward_hook(_widen)
    return graph


def _widen(_network: Module, _inputs: Any, output: Any) -> Any:
    """Hidden states leave the network in float32, for what pools them."""
    hidden = getattr(output, "last_hidden_state", None)
    if hidden is not None:
        output.last_hidden_state = hidden.float()
    return output


def quantise(source: Path, target: Path) -> None:
    """Write an int8 version of an ONNX file (dynamic quantisation: no calibration).

    Weights take seven of the eight bits: on processors without VNNI two products of full range
    overflow the 16 bits they are summed in, and the vectors become another model's.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        package = "onnxruntime"
        raise MissingExtraError(package, "cpu") from error
    size = sum(file.stat().st_size for file in source.parent.glob(source.name + "*"))
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it logs one line per weight through the root logger
    try:
        quantize_dynamic(
            source,
            target,
            per_channel=True,
            reduce_range=True,  # see above
            weight_type=QuantType.QInt8,
            nodes_to_exclude=products_with_vectors(source),
            use_external_data_format=size > INLINE_BYTES,
        )
    finally:
        root.setLevel(level)


def products_with_vectors(path: Path) -> list[str]:
    """Names of the products with a constant vector: it has no second axis to be quantised along."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    vectors = {tensor.name for tensor in graph.initializer if len(tensor.dims) < 2}
    return [
        node.name
        for node in graph.node
        if node.op_type in ("MatMul", "Gemm") and not vectors.isdisjoint(node.input[:2])
    ]


def exported_fingerprint(model: Model, precision: Precision, parity: Parity) -> str:
    """Fingerprint of an export's graph: the original's, where their vectors go together."""
    if precision != "int8" and parity.min_cosine >= MIN_COSINE:
        return model.graph_fingerprint
    return combined_fingerprint(model.graph_fingerprint, precision)


def as_exported(model: Model, precision: Precision, parity: Parity) -> Model:
    """The model with the fingerprint of its export."""
    return replace(model, graph_fingerprint=exported_fingerprint(model, precision, parity))


def encoder_identity(model: Model) -> EncoderIdentity:
    """The identity an encoder with this model has, without loading the network."""
    runner = TorchRunner(None, "cpu")
    if model.settings.graph.kind == "dense":
        return TransformerDenseEncoder(model, runner).identity
    return SpladeEncoder(model, runner).identity
