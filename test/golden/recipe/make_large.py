"""Makes the graph of test/large-checkpoint: tiny-ddpm's UNet whose weights lie behind 2.2 GB of zeros that it reads too.

    python test/golden/recipe/make_large.py test/golden/families/tiny-ddpm/unet/model.onnx test/large-checkpoint

Writes model.onnx, whose tensors are all in model.onnx_data, and weights.bin, the end of that file. What comes before is zeros
and is made where it is needed. Each sample looks up a row of the zeros by its timestep, so that nothing folds them away.
"""

import sys
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS = 550_000, 1000
ZEROS_BYTES = ROWS * COLUMNS * 4


def place(tensor: TensorProto, offset: int, length: int) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", "model.onnx_data"), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def main(source: str, folder: str) -> None:
    model = onnx.load(source)
    graph = model.graph
    weights = bytearray()
    for tensor in graph.initializer:
        data = numpy_helper.to_array(tensor).tobytes()
        if tensor.data_type != TensorProto.FLOAT or len(data) < 64:
            continue
        for field in ("float_data", "int32_data"):
            tensor.ClearField(field)
        place(tensor, ZEROS_BYTES + len(weights), len(data))
        weights += data

    zeros = TensorProto(name="zeros", data_type=TensorProto.FLOAT, dims=[ROWS, COLUMNS])
    place(zeros, 0, ZEROS_BYTES)
    graph.initializer.append(zeros)
    graph.initializer.append(numpy_helper.from_array(numpy.array([-1, 1, 1, 1]), "per_sample"))
    graph.initializer.append(numpy_helper.from_array(numpy.array([1]), "columns"))
    timestep, out = graph.input[1].name, graph.output[0].name
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == out:
                node.output[i] = "without_zeros"
    graph.node.extend(
        [
            helper.make_node("Cast", [timestep], ["row"], to=TensorProto.INT64),
            helper.make_node("Gather", ["zeros", "row"], ["looked_up"]),
            helper.make_node("ReduceMax", ["looked_up", "columns"], ["most"], keepdims=0),
            helper.make_node("Reshape", ["most", "per_sample"], ["added"]),
            helper.make_node("Add", ["without_zeros", "added"], [out]),
        ]
    )
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "model.onnx").write_bytes(model.SerializeToString())
    (target / "weights.bin").write_bytes(bytes(weights))


if __name__ == "__main__":
    main(*sys.argv[1:])
