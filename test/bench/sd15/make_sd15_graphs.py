"""Stable Diffusion 1.5's graphs without its weights: what `build-sd15.ts` turns into a checkpoint where a benchmark runs.

    python test/bench/sd15/make_sd15_graphs.py test/bench/sd15/graphs

Writes for the text encoder, the UNet and the VAE's decoder the config, NAME.onnx.gz, whose tensors of a KB and more are
external, and NAME.weights.json.gz, which says how each of them is drawn. The architecture is Stable Diffusion 1.5's, the
export the recipe's, fused for CUDA (float32 at both ends, float16 between, a timestep for each sample), the weights those of a
net that was never trained: as torch and transformers initialise them, biases zero. Needs
deploy/checkpoints/recipe/requirements.txt, 16 GB of memory and five minutes of a core.
"""

import gzip
import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from onnx import numpy_helper
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.insert(0, str(Path(__file__).parents[3] / "deploy" / "checkpoints" / "recipe"))

from export import DATA, quiet, write_onnx  # noqa: E402
from fuse_cuda import fused  # noqa: E402
from graphs import GRAPHS, Pipeline  # noqa: E402

INLINE_BYTES = 1024
ALIGNMENT = 64
TEXT_ENCODER = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
}
UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
# In half precision, as pipelines of Stable Diffusion 1.5 decode on a GPU.
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "force_upcast": False,
}
# Exported from one component each, beside what is left out: nothing here starts from a picture.
FOLDERS = {"text_encoder": "text_encoder", "unet": "unet", "vae": "vae_decoder"}
KINDS = {"text_encoder": "clip", "unet": "unet", "vae": "vae"}


class Untrained(Pipeline):
    """Stable Diffusion 1.5 as its classes make it."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.dtype = torch.float32
        self.index = {
            "text_encoder": ["transformers", "CLIPTextModel"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        }
        text_config = CLIPTextConfig(**TEXT_ENCODER, attn_implementation="eager")
        self.parts = {
            "text_encoder": CLIPTextModel(text_config),
            "unet": UNet2DConditionModel(**UNET),
            "vae": AutoencoderKL(**VAE),
        }

    def config_of(self, name: str) -> dict:
        return json.loads(
            self.parts[name].config.to_json_string() if name == "text_encoder" else self.parts[name].to_json_string()
        )

    def load(self, name: str, dtype: torch.dtype) -> torch.nn.Module:
        model = self.parts[name]
        for key, parameter in model.named_parameters():
            if key.endswith("bias"):
                torch.nn.init.zeros_(parameter)
        return model.to(dtype)


def without_weights(model: onnx.ModelProto) -> list[dict]:
    """Makes large tensors external. @returns of each where it lies and what it holds: one value, or a spread about zero"""
    tensors, offset = [], 0
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.nbytes < INLINE_BYTES or values.dtype.kind != "f":
            continue
        wide = values.astype(np.float64)
        content = {"value": float(wide.flat[0])} if np.all(values == values.flat[0]) else {"std": float(wide.std())}
        tensors.append({"type": values.dtype.name, "count": values.size, "offset": offset, **content})
        for field in ("raw_data", "float_data", "int32_data"):
            tensor.ClearField(field)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", DATA), ("offset", offset), ("length", values.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        offset += -(-values.nbytes // ALIGNMENT) * ALIGNMENT
    return tensors


def write_gz(path: Path, content: bytes) -> None:
    """The same bytes for the same content."""
    path.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))


def export_all(scratch: Path) -> dict[str, dict]:
    """Writes the graphs in float32. @returns the components' configs by the graph's folder"""
    quiet()
    pipeline = Untrained()
    configs = {}
    for name, folder in FOLDERS.items():
        graph = next(graph for graph in GRAPHS[pipeline.class_of(name)](pipeline, name) if graph.folder == folder)
        write_onnx(graph, scratch / folder / "model.onnx")
        configs[folder] = pipeline.config_of(name)
    return configs


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        # In a process of its own, which gives torch's memory back.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            configs = pool.submit(export_all, Path(scratch)).result()
        for name, folder in FOLDERS.items():
            model = fused(Path(scratch) / folder / "model.onnx", KINDS[name])
            tensors = without_weights(model)
            write_gz(out / f"{folder}.onnx.gz", model.SerializeToString())
            write_gz(out / f"{folder}.weights.json.gz", json.dumps(tensors).encode())
            (out / f"{folder}.config.json").write_text(json.dumps(configs[folder], indent=2) + "\n")
            print(
                f"{folder}: {len(model.graph.node)} nodes, {sum(each['count'] for each in tensors) / 1e6:.1f} M weights",
                flush=True,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
