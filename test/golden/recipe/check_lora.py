"""Proves `export.py --lora`: what onnxruntime computes from the export is what diffusers computes with the LoRA active.

    python test/golden/recipe/check_lora.py [FOLDER]

Tiny random pipelines and tiny random LoRA files in the three kinds of names that are about (diffusers, PEFT's with its own
header, kohya) go through the command; each graph that a LoRA changes must agree with torch to 1e-3 of its largest output
and be far from the pipeline without. kohya's sum is also made by hand. Files that do not fit must be refused with a
reason. Needs deploy/checkpoints/recipe/requirements.txt; exits with 1 where anything is off.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from diffusers import DiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

RECIPE = Path(__file__).parents[3] / "deploy" / "checkpoints" / "recipe"
sys.path.insert(0, str(RECIPE))

import tiny_pipelines  # noqa: E402
from export import quiet  # noqa: E402
from graphs import GRAPHS, Graph, Pipeline, Tensors, Traced  # noqa: E402
from lora import ADAPTER, Lora, accept_older_names, fuse, load_pipeline  # noqa: E402

RANK, ALPHA, SCALE = 2, 3.0, 0.75
TOLERANCE = 1e-3
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
LINEAR = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
DENOISERS = ("unet", "transformer")


def kohya(pipeline: DiffusionPipeline) -> Tensors:
    """As kohya-ss writes Stable Diffusion 1: attention and convolutions of the UNet, all of the text encoder."""
    tensors: Tensors = {}

    def add(name: str, module: torch.nn.Module) -> None:
        if isinstance(module, torch.nn.Conv2d):
            kernel = (module.in_channels, *module.kernel_size)
            up = torch.randn(module.out_channels, RANK, 1, 1)
        else:
            kernel, up = (module.in_features,), torch.randn(module.out_features, RANK)
        tensors[f"{name}.lora_down.weight"] = 0.3 * torch.randn(RANK, *kernel)
        tensors[f"{name}.lora_up.weight"] = 0.3 * up
        tensors[f"{name}.alpha"] = torch.tensor(ALPHA)

    for name, module in pipeline.unet.named_modules():
        if name.endswith((*ATTENTION, "conv1")):
            add("lora_unet_" + name.replace(".", "_"), module)
    for name, module in pipeline.text_encoder.named_modules():
        if name.endswith(LINEAR):
            add("lora_te_text_model_" + name.removeprefix("text_model.").replace(".", "_"), module)
    return tensors


def diffusers_names(pipeline: DiffusionPipeline) -> Tensors:
    """As save_lora_weights writes it, in the names that transformers 4 gave to the encoders' layers."""
    tensors: Tensors = {}
    for name in pipeline._lora_loadable_modules:
        model = getattr(pipeline, name, None)
        if model is None:
            continue
        targets = list(ATTENTION if name in DENOISERS else LINEAR[:4])
        model.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=targets, init_lora_weights=False))
        is_renamed = name.startswith("text_encoder") and not hasattr(model, "text_model")
        prefix = f"{name}.text_model" if is_renamed else name
        for key, value in get_peft_model_state_dict(model).items():
            tensors[f"{prefix}.{key}"] = value.detach().clone()
    return tensors


def write_with_header(pipeline: DiffusionPipeline, file: Path) -> None:
    """As diffusers saves since it keeps PEFT's config: alpha is in the header alone."""
    adapters = {}
    for name, targets in (("unet", ATTENTION), ("text_encoder", LINEAR[:4])):
        config = LoraConfig(r=RANK, lora_alpha=ALPHA * 2, target_modules=list(targets), init_lora_weights=False)
        getattr(pipeline, name).add_adapter(config)
        adapters[f"{name}_lora_layers"] = get_peft_model_state_dict(getattr(pipeline, name))
        adapters[f"{name}_lora_adapter_metadata"] = getattr(pipeline, name).peft_config["default"].to_dict()
    type(pipeline).save_lora_weights(file.parent, weight_name=file.name, **adapters)


class Active(Pipeline):
    """A pipeline whose components come from diffusers, LoRA beside the weights and not in them."""

    def __init__(self, folder: Path, lora: Lora):
        super().__init__(folder, torch.float32)
        self.parts = load_pipeline(folder)
        accept_older_names(self.parts)
        self.parts.load_lora_weights(lora.file, adapter_name=ADAPTER)
        self.parts.set_adapters([ADAPTER], [lora.scale])
        self.changed = [name for name, adapters in self.parts.get_list_adapters().items() if adapters]

    def load(self, name: str, dtype: torch.dtype) -> torch.nn.Module:
        return getattr(self.parts, name)


def graphs_of(pipeline: Pipeline, name: str) -> list[Graph]:
    return GRAPHS[pipeline.class_of(name)](pipeline, name)


def distance(want: list[torch.Tensor], got: list[np.ndarray]) -> float:
    """The largest over the outputs, relative to the largest value of each."""
    pairs = zip(want, got, strict=True)
    return max(float(np.abs(a.numpy() - b).max()) / max(1.0, float(a.abs().max())) for a, b in pairs)


def export(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, RECIPE / "export.py", source, out, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def agrees(label: str, source: Path, file: Path, out: Path) -> bool:
    done = export(source, out, "--lora", f"{file}:{SCALE}")
    if done.returncode != 0:
        print(f"{label}: export failed: {done.stdout}{done.stderr}")
        return False
    active, plain = Active(source, Lora(file, SCALE)), Pipeline(source, torch.float32)
    is_right = len(active.changed) > 0 and (out / "lora.json").is_file()
    for name in active.changed:
        for with_lora, without in zip(graphs_of(active, name), graphs_of(plain, name), strict=True):
            session = onnxruntime.InferenceSession(str(out / name / "model.onnx"), providers=["CPUExecutionProvider"])
            torch.manual_seed(1)
            inputs = with_lora.example(2, 1)
            got = session.run(list(with_lora.outputs), {key: value.numpy() for key, value in inputs.items()})
            with torch.no_grad():
                near = distance(list(Traced(with_lora)(*inputs.values())), got)
                far = distance(list(Traced(without)(*inputs.values())), got)
            print(f"{label:<24} {name:<16} from diffusers with the LoRA {near:.1e}, without {far:.1e}", flush=True)
            is_right &= near < TOLERANCE and far > 10 * TOLERANCE
    return is_right


def sums_by_hand(source: Path, file: Path) -> bool:
    """W + scale · alpha / rank · up · down, of every module that the file names, and nothing else changes."""
    fused, plain, tensors = fuse(source, [Lora(file, SCALE)]), load_pipeline(source), load_file(file)
    worst, count = 0.0, 0
    for component, prefix in (("unet", "lora_unet_"), ("text_encoder", "lora_te_text_model_")):
        for key, weight in getattr(plain, component).state_dict().items():
            name = prefix + key.removesuffix(".weight").removeprefix("text_model.").replace(".", "_")
            up, down = (tensors.get(f"{name}.lora_{part}.weight") for part in ("up", "down"))
            if up is not None:
                weight = weight + SCALE * ALPHA / RANK * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
                count += 1
            worst = max(worst, float((fused[component][key] - weight).abs().max()))
    print(f"kohya by hand: {count} weights of {len(tensors) // 3} in the file, max abs error {worst:.1e}")
    return count == len(tensors) // 3 and worst < 1e-5


def is_refused(label: str, source: Path, lora: str, wanted: str) -> bool:
    done = export(source, source.parent / "refused", "--lora", lora)
    last = (done.stderr.strip().splitlines() or [""])[-1]
    print(f"{label:<24} {last}")
    return done.returncode != 0 and wanted in last and "Traceback" not in done.stderr


def refusals(folder: Path, source: Path, kohya_file: Path) -> bool:
    def changed(name: str, change: Callable[[str, torch.Tensor], tuple[str, torch.Tensor]]) -> Path:
        save_file(dict(change(*item) for item in load_file(kohya_file).items()), folder / name)
        return folder / name

    pickle = folder / "pickle.safetensors"
    torch.save(load_file(kohya_file), pickle)
    strange = changed("strange.safetensors", lambda key, value: (f"other.{key}", value))
    wide = changed(
        "wide.safetensors", lambda key, value: (key, torch.cat([value] * 2, 1) if "lora_down" in key else value)
    )
    broken = changed("nan.safetensors", lambda key, value: (key, value * torch.nan))
    return all(
        [
            is_refused("a pickle", source, str(pickle), "pickles"),
            is_refused("no such file", source, str(folder / "none.safetensors"), "no such file"),
            is_refused("keys of nothing", source, str(strange), "does not fit"),
            is_refused("a base of other widths", source, str(wide), "does not fit"),
            is_refused("no numbers", source, str(broken), "NaN"),
            is_refused("a scale of no number", source, f"{kohya_file}:inf", "finite"),
        ]
    )


def main(folder: Path) -> bool:
    def pipeline_of(name: str) -> Path:
        source = folder / name
        if not source.exists():
            torch.manual_seed(0)
            getattr(tiny_pipelines, name)().save_pretrained(source)
        return source

    sd = pipeline_of("tiny_sd")
    kohya_file, header_file = folder / "kohya.safetensors", folder / "header.safetensors"
    save_file(kohya(load_pipeline(sd)), kohya_file)
    write_with_header(load_pipeline(sd), header_file)
    results = [
        sums_by_hand(sd, kohya_file),
        agrees("kohya", sd, kohya_file, folder / "out-kohya"),
        agrees("PEFT's header", sd, header_file, folder / "out-header"),
    ]
    for name in ("tiny_sd", "tiny_sdxl", "tiny_sdxl_refiner", "tiny_sd3", "tiny_flux"):
        source, file = pipeline_of(name), folder / f"{name}.safetensors"
        save_file(diffusers_names(load_pipeline(source)), file)
        results.append(agrees(name, source, file, folder / f"out-{name}"))
    return all([*results, refusals(folder, sd, kohya_file)])


if __name__ == "__main__":
    quiet()
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        is_right = main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            is_right = main(Path(scratch))
    print("all agree" if is_right else "SOMETHING IS OFF")
    sys.exit(0 if is_right else 1)
