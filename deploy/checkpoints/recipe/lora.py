"""LoRA files fused into the weights of a pipeline, by diffusers' own loaders: kohya's, PEFT's and diffusers' names alike."""

import hashlib
import json
import math
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch
import transformers
from safetensors import SafetensorError, safe_open

ADAPTER = "lora"
# What no LoRA changes need not be loaded.
LEFT_OUT = ("vae", "safety_checker", "image_encoder", "depth_estimator")
Weights = dict[str, dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Lora:
    """A LoRA file and the scale that it is fused at."""

    file: Path
    scale: float

    @staticmethod
    def parse(text: str) -> "Lora":
        """FILE[:SCALE]. @raises ArgumentTypeError where the scale is not finite"""
        path, _, scale = text.rpartition(":")
        try:
            parsed = Lora(Path(path), float(scale)) if path else Lora(Path(text), 1.0)
        except ValueError:
            parsed = Lora(Path(text), 1.0)
        if not math.isfinite(parsed.scale):
            raise ArgumentTypeError(f"{text}: want a finite scale")
        return parsed

    def record(self) -> dict[str, str | float]:
        """What a checkpoint says of it: enough to know the file again."""
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        return {"file": self.file.name, "sha256": digest, "scale": self.scale}


def assert_safetensors(file: Path) -> None:
    """@raises SystemExit where the file is anything else: a pickle could run anything, and is never opened"""
    if not file.is_file():
        raise SystemExit(f"--lora {file}: no such file.")
    try:
        with safe_open(file, framework="pt") as tensors:
            tensors.keys()
    except SafetensorError:
        raise SystemExit(f"--lora {file} is not safetensors; pickles (.pt, .bin, .ckpt) are not opened.") from None


def load_pipeline(folder: Path) -> diffusers.DiffusionPipeline:
    """The pipeline in float32, so that weights are rounded once, after the sum."""
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    left_out = {name: None for name in LEFT_OUT if name in index}
    return diffusers.DiffusionPipeline.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, **left_out
    )


def accept_older_names(pipeline: diffusers.DiffusionPipeline) -> None:
    """
    Has the pipeline read LoRA keys as its text encoders are named. transformers 5 took `text_model.` out of CLIPTextModel;
    files say it, and diffusers 0.40 looks for what they say.
    """
    renamed = [
        name
        for name in pipeline._lora_loadable_modules
        if name.startswith("text_encoder") and not hasattr(getattr(pipeline, name, None), "text_model")
    ]

    def shorten(value):
        match value:
            case str():
                return value.replace("text_model.", "")
            case list() | set():
                return type(value)(map(shorten, value))
            case dict():
                return {shorten(key): shorten(each) for key, each in value.items()}
        return value

    def rename(part: dict | None) -> dict | None:
        """Tensors, alphas, or what PEFT wrote into the file's header: each by the component's name and the module's."""
        is_renamed = lambda key: key.split(".")[0] in renamed
        return part and dict(
            (shorten(key), shorten(value)) if is_renamed(key) else (key, value) for key, value in part.items()
        )

    read = pipeline.lora_state_dict
    pipeline.lora_state_dict = lambda *args, **options: tuple(map(rename, read(*args, **options)))


@contextmanager
def warnings_of_loaders() -> Iterator[None]:
    """They tell which keys and shapes of a file fit nothing."""
    libraries = (diffusers.utils.logging, transformers.utils.logging)
    levels = [library.get_verbosity() for library in libraries]
    for library in libraries:
        library.set_verbosity_warning()
    try:
        yield
    finally:
        for library, level in zip(libraries, levels, strict=True):
            library.set_verbosity(level)


def load_weights(pipeline: diffusers.DiffusionPipeline, lora: Lora) -> list[str]:
    """Puts the LoRA beside the weights. @returns the components that it changes"""
    assert_safetensors(lora.file)
    try:
        pipeline.load_lora_weights(
            lora.file.parent,
            weight_name=lora.file.name,
            adapter_name=ADAPTER,
            use_safetensors=True,
            local_files_only=True,
        )
    # diffusers and PEFT have no error of their own for a file that does not fit.
    except (ValueError, RuntimeError, KeyError, IndexError, AttributeError, TypeError) as reason:
        # torch tells the first tensor of a wrong shape in its second line.
        told = " ".join(line.strip() for line in str(reason).splitlines()[:2]) or type(reason).__name__
        raise SystemExit(f"--lora {lora.file} does not fit this pipeline: {told}") from reason
    changed = [name for name, adapters in pipeline.get_list_adapters().items() if ADAPTER in adapters]
    if not changed:
        names = ", ".join(pipeline._lora_loadable_modules)
        raise SystemExit(f"--lora {lora.file} does not fit this pipeline: none of its keys is of {names}.")
    return changed


def fuse(folder: Path, loras: list[Lora]) -> Weights:
    """
    The weights of a pipeline with LoRA files added in, one after the other; by component, of those that change.

    @raises SystemExit for a file that is no safetensors, does not fit, or makes weights that are no numbers
    """
    pipeline = load_pipeline(folder)
    if not hasattr(pipeline, "load_lora_weights"):
        raise SystemExit(f"{type(pipeline).__name__} takes no LoRA.")
    accept_older_names(pipeline)
    changed: set[str] = set()
    for lora in loras:
        with warnings_of_loaders():
            components = load_weights(pipeline, lora)
        try:
            pipeline.fuse_lora(components=components, lora_scale=lora.scale, safe_fusing=True)
        except ValueError as reason:
            raise SystemExit(f"--lora {lora.file}: {reason}") from reason
        pipeline.unload_lora_weights()
        changed.update(components)
        print(f"fused {lora.file.name} at {lora.scale:g} into {', '.join(components)}", flush=True)
    return {name: getattr(pipeline, name).state_dict() for name in sorted(changed)}
