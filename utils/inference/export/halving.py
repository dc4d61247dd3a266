"""Halve an ONNX file: its numbers in f16, which are made f32 when it is opened."""

from typing import Any

SMALLEST = 256  # numbers; shorter lists, as of a normalisation, weigh nothing and matter most


def halve(network: Any) -> None:
    """Store the weights of an ``onnx.ModelProto`` in f16; what it computes stays f32."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for number in network.graph.initializer:
        if number.data_type != TensorProto.FLOAT or np.prod(number.dims) < SMALLEST:
            continue
        values = numpy_helper.to_array(number)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = number.name
        number.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_f16"))
        casts.append(helper.make_node("Cast", [f"{name}_f16"], [name], to=TensorProto.FLOAT))
    for position, cast in enumerate(casts):
        network.graph.node.insert(position, cast)
