"""Makes a checkpoint for CUDA of one that export.py wrote: the same function in float16, with the kernels that GPUs are fast with.

    python fuse_cuda.py CHECKPOINT OUT

CHECKPOINT is a float32 export; OUT runs on CUDA only. UNets, CLIP text encoders and VAEs are fused by onnxruntime's optimizer
for diffusion models (attention as one kernel, convolutions with channels last, skips with their norms); what else there is is
copied. A VAE that overflows in float16 (force_upcast) stays as it is. Graphs take and give float32.

onnxruntime's fused GroupNorm is not used: it sums with atomics, and the same call gives other bits each time. It is put back
together from kernels that do not, for a sixth more time.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.onnx_model import OnnxModel
from onnxruntime.transformers.optimizer import optimize_model

from export import save_onnx

# onnxruntime's model types by the classes of the components.
KINDS = {
    "UNet2DConditionModel": "unet",
    "AutoencoderKL": "vae",
    "CLIPTextModel": "clip",
    "CLIPTextModelWithProjection": "clip",
}


# Of onnxruntime's fused biases there are kernels for these numbers of channels only: those of Stable Diffusion.
CHANNELS = {"BiasSplitGelu": (2560, 5120, 6144, 10240, 12288), "BiasAdd": (320, 640, 1280)}


def kind_of(folder: Path) -> str | None:
    """onnxruntime's model type of a component; None where it is to be copied."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = config.get("_class_name") or next(iter(config.get("architectures") or []), None)
    if name == "AutoencoderKL" and config.get("force_upcast", True):
        return None
    return KINDS.get(name)


def fused(path: Path, kind: str) -> onnx.ModelProto:
    """The graph, fused and in float16 between float32 inputs and outputs."""
    model = optimized(path, kind, fuses_biases=True)
    if not has_kernels(model.model.graph):
        model = optimized(path, kind, fuses_biases=False)
    spell_out_group_norms(model.model.graph)
    model.convert_float_to_float16(keep_io_types=True, op_block_list=[])
    model.topological_sort()
    return model.model


def optimized(path: Path, kind: str, fuses_biases: bool) -> OnnxModel:
    options = FusionOptions(kind)
    options.enable_skip_group_norm = False
    options.enable_bias_splitgelu = options.enable_bias_add = fuses_biases
    return optimize_model(
        str(path), kind, num_heads=0, hidden_size=0, opt_level=0, optimization_options=options, use_gpu=True
    )


def has_kernels(graph: onnx.GraphProto) -> bool:
    """Whether onnxruntime can run every bias that was fused."""
    channels = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    biases = [node for node in graph.node if node.op_type in CHANNELS]
    return all(channels[node.input[1]] in CHANNELS[node.op_type] for node in biases)


def spell_out_group_norms(graph: onnx.GraphProto) -> None:
    """Replaces onnxruntime's GroupNorm by operators that add up in the same order each time."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for number, node in enumerate(nodes):
        is_norm = node.op_type == "GroupNorm"
        graph.node.extend(spelled_out(graph, weights, node, f"group_norm_{number}") if is_norm else [node])


def spelled_out(
    graph: onnx.GraphProto, weights: dict[str, onnx.TensorProto], node: onnx.NodeProto, prefix: str
) -> list[onnx.NodeProto]:
    """One GroupNorm over [batch, height, width, channels], with the SiLU that it may contain."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    groups = attributes["groups"]
    made: list[onnx.NodeProto] = []

    def constant(name: str, values: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(values, f"{prefix}/{name}"))
        return f"{prefix}/{name}"

    def apply(op: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        output = f"{prefix}/{op}_{len(made)}"
        made.append(helper.make_node(op, list(inputs), [output], output, domain=domain, **attributes))
        return output

    def of_channels(name: str) -> np.ndarray:
        return numpy_helper.to_array(weights[name]).astype(np.float32).reshape(-1, 1, 1)

    planes = apply("Transpose", node.input[0], perm=[0, 3, 1, 2])
    shape = apply("Shape", planes)
    grouped = apply("Reshape", planes, constant("groups", np.array([0, groups, -1], np.int64)))
    ones = constant("ones", np.ones(groups, np.float32))
    zeros = constant("zeros", np.zeros(groups, np.float32))
    normed = apply("InstanceNormalization", grouped, ones, zeros, epsilon=attributes["epsilon"])
    scaled = apply("Mul", apply("Reshape", normed, shape), constant("scale", of_channels(node.input[1])))
    out = apply("Add", scaled, constant("bias", of_channels(node.input[2])))
    if attributes["activation"]:
        out = apply("QuickGelu", out, domain="com.microsoft", alpha=1.0)
    apply("Transpose", out, perm=[0, 2, 3, 1])
    made[-1].output[0] = node.output[0]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder that export.py wrote, in fp32")
    parser.add_argument("out", type=Path, help="folder to write the checkpoint for CUDA into")
    args = parser.parse_args()
    if not (args.checkpoint / "model_index.json").is_file():
        raise SystemExit(f"{args.checkpoint} has no model_index.json; want a checkpoint as export.py writes it.")
    shutil.copytree(args.checkpoint, args.out, dirs_exist_ok=True)
    for path in sorted(args.checkpoint.glob("*/model.onnx")):
        kind = kind_of(path.parent)
        if kind is not None:
            save_onnx(fused(path, kind), args.out / path.parent.name / path.name)
        size = sum(file.stat().st_size for file in (args.out / path.parent.name).glob("model.onnx*"))
        print(f"{path.parent.name:<18} {'copied' if kind is None else 'fused':<6} {size / 1e6:9.2f} MB", flush=True)


if __name__ == "__main__":
    main()
