"""Turns a pipeline folder of diffusers (safetensors) into a checkpoint: ONNX in the layout of Hugging Face Optimum.

    python export.py PIPELINE OUT [--dtype fp16] [--lora FILE[:SCALE]]... [--no-check]

Stable Diffusion 1 and 2 (inpainting, depth, safety checker), LCM, SDXL and its refiner, SD3, Flux.1, and unconditional
UNets. Every sample has a timestep of its own, batch and sizes are free. Graphs take and give float32, whatever --dtype
computes in between; a VAE that overflows in fp16 (force_upcast) and the vision models stay float32.

LoRA files (safetensors of diffusers, PEFT or kohya) become part of the weights; lora.json in the checkpoint names them.

Each graph is compared with torch, at two batch sizes and two picture sizes; exits with 1 where one is off.
"""

import argparse
import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import diffusers
import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from torch.onnx import register_custom_op_symbolic, symbolic_helper

from graphs import GRAPHS, Graph, Pipeline, Traced
from lora import Lora, fuse

OPSET = 18
THREADS = 2
# Protobuf ends at 2 GiB, and the graph needs room beside its weights.
INLINE_BYTES = 2**31 - 2**26
DATA = "model.onnx_data"
LORA_RECORD = "lora.json"
DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
# Largest difference from torch, relative to the largest output where that is above 1.
TOLERANCES = {torch.float32: 1e-3, torch.float16: 1e-1}
CHECKED = ((1, 0), (3, 0), (2, 1))  # batch and kind of size
COPIED = ("scheduler", "tokenizer", "tokenizer_2", "tokenizer_3", "feature_extractor")
# Components that a pipeline can do without, and that no task here asks for.
IGNORED = ("image_encoder",)


@symbolic_helper.parse_args("v", "is", "v", "f")
def rms_norm(g, x, shape: list[int], weight, eps: float | None):
    """torch.nn.RMSNorm over the last dimension, in float32 as torch computes it; torch's exporter has none."""
    assert len(shape) == 1
    wide = g.op("Cast", x, to_i=onnx.TensorProto.FLOAT)
    last = g.op("Constant", value_t=torch.tensor([-1]))
    mean = g.op("ReduceMean", g.op("Mul", wide, wide), last, keepdims_i=1)
    margin = g.op("Constant", value_t=torch.tensor(eps or torch.finfo(torch.float32).eps))
    normed = g.op("Div", wide, g.op("Sqrt", g.op("Add", mean, margin)))
    out = g.op("CastLike", normed, x)
    return out if symbolic_helper._is_none(weight) else g.op("Mul", out, weight)


register_custom_op_symbolic("aten::rms_norm", rms_norm, OPSET)


def write_onnx(graph: Graph, path: Path) -> None:
    """Writes a graph; weights above 2 GB go into model.onnx_data beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch, torch.no_grad():
        # torch scatters large weights over many files, which the second writing gathers.
        torch.onnx.export(
            Traced(graph),
            tuple(graph.example(2, 0).values()),
            f"{scratch}/model.onnx",
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={**graph.inputs, **graph.outputs},
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(f"{scratch}/model.onnx")
    for node in model.graph.node:
        # Where in which file a node was made is nobody's business.
        node.doc_string = ""
    save_onnx(model, path)
    onnx.checker.check_model(path)


def save_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Saves a graph in one file, or with its weights in model.onnx_data beside it where they are above 2 GB."""
    weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    # onnx appends to what is there.
    path.with_name(DATA).unlink(missing_ok=True)
    data = {"save_as_external_data": True, "location": DATA, "size_threshold": 1024} if weights > INLINE_BYTES else {}
    onnx.save(model, path, **data)


def largest_error(graph: Graph, path: Path) -> tuple[float, float]:
    """How far onnxruntime is from torch: absolute, and relative to the largest output where that is above 1."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = (0.0, 0.0)
    torch.manual_seed(0)
    for batch, kind in CHECKED:
        inputs = graph.example(batch, kind)
        with torch.no_grad():
            wanted = Traced(graph)(*inputs.values())
        found = session.run(list(graph.outputs), {name: tensor.numpy() for name, tensor in inputs.items()})
        for want, got in zip(wanted, found, strict=True):
            if tuple(want.shape) != got.shape:
                return (np.inf, np.inf)
            error = float(np.abs(want.numpy() - got).max())
            relative = error / max(1.0, float(want.abs().max()))
            # Written so that a NaN is the worst.
            worst = worst if relative <= worst[1] else (error, relative)
    return worst


def copy_config(source: Path, target: Path) -> None:
    """Configs must not tell where they were made."""
    config = json.loads(source.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def copy_rest(source: Path, out: Path) -> None:
    """What is no model: the index, tokenizers, the scheduler, and what lies on top (README, licences)."""
    out.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.suffix in (".json", ".md", ".txt", "") and not path.name.startswith("."):
            shutil.copyfile(path, out / path.name)
    for name in COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, out / name, dirs_exist_ok=True, copy_function=shutil.copyfile)


def record_loras(out: Path, loras: list[Lora]) -> None:
    """Which LoRA files the weights contain; an earlier export's record would be wrong."""
    record = out / LORA_RECORD
    record.unlink(missing_ok=True)
    if loras:
        record.write_text(json.dumps([lora.record() for lora in loras], indent=2) + "\n", encoding="utf-8")


def export(source: Path, out: Path, dtype: torch.dtype, loras: list[Lora], check: bool) -> bool:
    """Writes the checkpoint; whether every graph agrees with torch."""
    pipeline = Pipeline(source, dtype, fuse(source, loras) if loras else None)
    copy_rest(source, out)
    copy_config(source / "model_index.json", out / "model_index.json")
    record_loras(out, loras)
    all_agree = True
    for name in pipeline.index:
        name_of_class = pipeline.class_of(name)
        if name_of_class is None or name in COPIED or name in IGNORED:
            continue
        if name_of_class not in GRAPHS:
            raise SystemExit(
                f"model_index.json: {name} is a {name_of_class}, which is not supported; "
                f"want one of {', '.join(GRAPHS)}."
            )
        for graph in GRAPHS[name_of_class](pipeline, name):
            path = out / graph.folder / "model.onnx"
            copy_config(source / graph.config / "config.json", path.parent / "config.json")
            write_onnx(graph, path)
            size = sum(file.stat().st_size for file in path.parent.glob("model.onnx*"))
            line = f"{graph.folder:<18} {str(graph.dtype).removeprefix('torch.')} {size / 1e6:9.2f} MB"
            if check:
                error, relative = largest_error(graph, path)
                agrees = relative <= TOLERANCES[graph.dtype]
                all_agree &= agrees
                line += f"  max abs error {error:.2g}" + (
                    "" if agrees else f", of what torch gives {relative:.2g}: OFF"
                )
            print(line, flush=True)
    return all_agree


def quiet() -> None:
    warnings.filterwarnings("ignore")
    for library in (diffusers.logging, transformers.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", type=Path, help="local folder with model_index.json and safetensors")
    parser.add_argument("out", type=Path, help="folder to write the checkpoint into")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="fp32", help="precision of the weights (fp32)")
    parser.add_argument(
        "--lora",
        type=Lora.parse,
        action="append",
        default=[],
        metavar="FILE[:SCALE]",
        help="LoRA in safetensors to fuse into the weights (scale 1); may be repeated",
    )
    parser.add_argument("--check", action=argparse.BooleanOptionalAction, default=True, help="compare with torch")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    quiet()
    if not (args.pipeline / "model_index.json").is_file():
        raise SystemExit(
            f"{args.pipeline} has no model_index.json; want a pipeline folder as save_pretrained writes it."
        )
    if not export(args.pipeline, args.out, DTYPES[args.dtype], args.lora, args.check):
        sys.exit(1)


if __name__ == "__main__":
    main()
