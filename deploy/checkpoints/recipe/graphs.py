"""The components of a diffusers pipeline as functions of tensors, under the names that Optimum gives them."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import diffusers
import torch
import transformers
from diffusers.models.transformers import transformer_flux
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker, cosine_distance

Axes = dict[str, dict[int, str]]
Tensors = dict[str, torch.Tensor]

BATCH = {0: "batch_size"}
SEQUENCE = {0: "batch_size", 1: "sequence_length"}
PICTURE = {0: "batch_size", 2: "height", 3: "width"}
LATENTS = {0: "batch_size", 2: "height_latent", 3: "width_latent"}

# Half precision cannot hold a fractional timestep.
ALWAYS_FLOAT32 = {"timestep", "time_ids", "txt_ids", "img_ids", "guidance"}


@dataclass
class Graph:
    """One model.onnx to be."""

    folder: str
    config: str
    """The component's folder in the pipeline, whose config.json goes beside the graph."""
    module: torch.nn.Module
    run: Callable[..., tuple[torch.Tensor, ...]]
    inputs: Axes
    outputs: Axes
    example: Callable[[int, int], Tensors]
    """Inputs of a batch size, for a kind of size: 0 or 1."""
    dtype: torch.dtype


class Traced(torch.nn.Module):
    """A graph as torch.onnx wants it: inputs and outputs in order, float32 at both ends whatever is between."""

    def __init__(self, graph: Graph):
        super().__init__()
        self.module, self.graph = graph.module.eval(), graph

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        inputs = {}
        for name, tensor in zip(self.graph.inputs, tensors, strict=True):
            as_is = not tensor.is_floating_point() or name in ALWAYS_FLOAT32
            inputs[name] = tensor if as_is else tensor.to(self.graph.dtype)
        return tuple(output.float() for output in self.graph.run(**inputs))


class Pipeline:
    """A pipeline folder, its components loaded when asked for."""

    def __init__(self, folder: Path, dtype: torch.dtype, fused: dict[str, Tensors] | None = None):
        """@param fused weights by component, in place of those in the folder"""
        self.folder, self.dtype, self.fused = folder, dtype, fused or {}
        self.index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))

    def class_of(self, name: str) -> str | None:
        entry = self.index.get(name)
        return entry[1] if isinstance(entry, list) else None

    def config_of(self, name: str) -> dict:
        return json.loads((self.folder / name / "config.json").read_text(encoding="utf-8"))

    def load(self, name: str, dtype: torch.dtype) -> torch.nn.Module:
        model = self._read(name, dtype)
        if name in self.fused:
            model.load_state_dict(self.fused[name])
        return model

    def _read(self, name: str, dtype: torch.dtype) -> torch.nn.Module:
        """@raises OSError where the weights are no safetensors: a pickle could run anything."""
        name_of_class = self.class_of(name)
        if name_of_class == StableDiffusionSafetyChecker.__name__:
            return StableDiffusionSafetyChecker.from_pretrained(self.folder / name, dtype=dtype, use_safetensors=True)
        if hasattr(diffusers, name_of_class):
            model = getattr(diffusers, name_of_class)
            return model.from_pretrained(self.folder / name, torch_dtype=dtype, use_safetensors=True).to(dtype)
        model = getattr(transformers, name_of_class)
        # torch's fused attention is exported with float32 constants among float16.
        return model.from_pretrained(self.folder / name, dtype=dtype, use_safetensors=True, attn_implementation="eager")


def text_tokens(vocabulary: int, end: int, length: int, batch: int) -> torch.Tensor:
    """Random prompts that end somewhere, so that pooling at the end is seen."""
    ids = torch.randint(0, max(vocabulary - 2, 1), (batch, length))
    for row in range(batch):
        ids[row, length // 2 + row :] = end
    return ids


def clip_text(pipeline: Pipeline, name: str) -> list[Graph]:
    model = pipeline.load(name, pipeline.dtype)
    config = model.config
    is_projected = pipeline.class_of(name) == "CLIPTextModelWithProjection"
    # Families of several encoders take an inner layer.
    has_layers = "text_encoder_2" in pipeline.index
    layers = range(config.num_hidden_layers + 1) if has_layers else []

    def run(input_ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = model(input_ids=input_ids, output_hidden_states=has_layers)
        first = (output.text_embeds, output.last_hidden_state) if is_projected else (output[0], output.pooler_output)
        return (*first, *(output.hidden_states[i] for i in layers))

    def example(batch: int, kind: int) -> Tensors:
        end = (
            min(max(config.eos_token_id, 0), config.vocab_size - 1)
            if config.eos_token_id != 2
            else config.vocab_size - 1
        )
        return {"input_ids": text_tokens(config.vocab_size, end, config.max_position_embeddings - 4 * kind, batch)}

    named = (
        {"text_embeds": BATCH, "last_hidden_state": SEQUENCE}
        if is_projected
        else {"last_hidden_state": SEQUENCE, "pooler_output": BATCH}
    )
    outputs = {**named, **{f"hidden_states.{i}": SEQUENCE for i in layers}}
    return [Graph(name, name, model, run, {"input_ids": SEQUENCE}, outputs, example, pipeline.dtype)]


def t5_text(pipeline: Pipeline, name: str) -> list[Graph]:
    model = pipeline.load(name, pipeline.dtype)

    def example(batch: int, kind: int) -> Tensors:
        return {"input_ids": text_tokens(model.config.vocab_size, 1, 24 + 8 * kind, batch)}

    return [
        Graph(
            name,
            name,
            model,
            lambda input_ids: (model(input_ids=input_ids).last_hidden_state,),
            {"input_ids": SEQUENCE},
            {"last_hidden_state": SEQUENCE},
            example,
            pipeline.dtype,
        )
    ]


def sides(multiple: int, kind: int) -> tuple[int, int]:
    """Height and width that a net takes, square and not."""
    unit = max(multiple, 4)
    return (2 * unit, 2 * unit) if kind == 0 else (3 * unit, 2 * unit)


def timesteps(batch: int) -> torch.Tensor:
    """A different one, and not whole, for each sample."""
    return torch.linspace(999, 1.5, batch) - 0.25


def conditional_unet(pipeline: Pipeline, name: str) -> list[Graph]:
    model = pipeline.load(name, pipeline.dtype)
    config = model.config
    is_timed = config.addition_embed_type == "text_time"
    is_guided = config.time_cond_proj_dim is not None
    if not is_timed and config.addition_embed_type is not None:
        raise SystemExit(f"{name}: addition_embed_type {config.addition_embed_type} is not supported.")
    if is_timed:
        pooled = pipeline.config_of("text_encoder_2")["projection_dim"]
        ids = (config.projection_class_embeddings_input_dim - pooled) // config.addition_time_embed_dim

    def run(sample, timestep, encoder_hidden_states, timestep_cond=None, **added) -> tuple[torch.Tensor, ...]:
        return model(
            sample,
            timestep,
            encoder_hidden_states,
            timestep_cond=timestep_cond,
            added_cond_kwargs=added or None,
            return_dict=False,
        )

    def example(batch: int, kind: int) -> Tensors:
        height, width = sides(2 ** (len(config.block_out_channels) - 1), kind)
        return {
            "sample": torch.randn(batch, config.in_channels, height, width),
            "timestep": timesteps(batch),
            "encoder_hidden_states": torch.randn(batch, 77 - kind, config.cross_attention_dim),
            **(
                {"text_embeds": torch.randn(batch, pooled), "time_ids": torch.randint(0, 1024, (batch, ids)).float()}
                if is_timed
                else {}
            ),
            **({"timestep_cond": torch.randn(batch, config.time_cond_proj_dim)} if is_guided else {}),
        }

    inputs = {"sample": PICTURE, "timestep": BATCH, "encoder_hidden_states": SEQUENCE}
    inputs |= {"text_embeds": BATCH, "time_ids": BATCH} if is_timed else {}
    inputs |= {"timestep_cond": BATCH} if is_guided else {}
    return [Graph(name, name, model, run, inputs, {"out_sample": PICTURE}, example, pipeline.dtype)]


def unconditional_unet(pipeline: Pipeline, name: str) -> list[Graph]:
    model = pipeline.load(name, pipeline.dtype)
    # What was trained in channels_last is saved so, and would be exported with the transpositions.
    model.to(memory_format=torch.contiguous_format)

    def example(batch: int, kind: int) -> Tensors:
        height, width = sides(2 ** (len(model.config.block_out_channels) - 1), kind)
        return {"sample": torch.randn(batch, model.config.in_channels, height, width), "timestep": timesteps(batch)}

    return [
        Graph(
            name,
            name,
            model,
            lambda sample, timestep: model(sample, timestep, return_dict=False),
            {"sample": PICTURE, "timestep": BATCH},
            {"out_sample": PICTURE},
            example,
            pipeline.dtype,
        )
    ]


def sd3_transformer(pipeline: Pipeline, name: str) -> list[Graph]:
    model = pipeline.load(name, pipeline.dtype)
    config = model.config

    def example(batch: int, kind: int) -> Tensors:
        height, width = sides(config.patch_size, kind)
        return {
            "hidden_states": torch.randn(batch, config.in_channels, height, width),
            "encoder_hidden_states": torch.randn(batch, 20 + 8 * kind, config.joint_attention_dim),
            "pooled_projections": torch.randn(batch, config.pooled_projection_dim),
            "timestep": timesteps(batch),
        }

    inputs = {
        "hidden_states": PICTURE,
        "encoder_hidden_states": SEQUENCE,
        "pooled_projections": BATCH,
        "timestep": BATCH,
    }
    run = lambda **tensors: model(**tensors, return_dict=False)
    return [Graph(name, name, model, run, inputs, {"out_hidden_states": PICTURE}, example, pipeline.dtype)]


def rotate_pairs(x: torch.Tensor, cos_sin: tuple[torch.Tensor, torch.Tensor], sequence_dim: int) -> torch.Tensor:
    """
    diffusers' apply_rotary_emb for x [batch, sequence, heads, channels] and angles [sequence, channels]. Traced, the
    original keeps the batch and the size of its example.
    """
    assert sequence_dim == 1
    cos, sin = (angles[None, :, None, :] for angles in cos_sin)
    turned = torch.stack([-x[..., 1::2], x[..., 0::2]], dim=-1).flatten(3)
    return (x.float() * cos + turned.float() * sin).to(x.dtype)


def flux_transformer(pipeline: Pipeline, name: str) -> list[Graph]:
    model = pipeline.load(name, pipeline.dtype)
    config = model.config

    def example(batch: int, kind: int) -> Tensors:
        height, width = sides(1, kind)
        text = 20 + 8 * kind
        places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1)
        return {
            "hidden_states": torch.randn(batch, height * width, config.in_channels),
            "encoder_hidden_states": torch.randn(batch, text, config.joint_attention_dim),
            "pooled_projections": torch.randn(batch, config.pooled_projection_dim),
            "timestep": timesteps(batch) / 1000,
            "txt_ids": torch.zeros(text, 3),
            "img_ids": torch.nn.functional.pad(places.reshape(-1, 2).float(), (1, 0)),
            **({"guidance": torch.full((batch,), 3.5)} if config.guidance_embeds else {}),
        }

    inputs = {
        "hidden_states": SEQUENCE,
        "encoder_hidden_states": {0: "batch_size", 1: "text_length"},
        "pooled_projections": BATCH,
        "timestep": BATCH,
        "txt_ids": {0: "text_length"},
        "img_ids": {0: "sequence_length"},
        **({"guidance": BATCH} if config.guidance_embeds else {}),
    }

    def run(**tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        is_traced = torch.jit.is_tracing()
        with patch.object(transformer_flux, "apply_rotary_emb", rotate_pairs) if is_traced else nullcontext():
            return model(**tensors, return_dict=False)

    return [Graph(name, name, model, run, inputs, {"out_hidden_states": SEQUENCE}, example, pipeline.dtype)]


def autoencoder(pipeline: Pipeline, name: str) -> list[Graph]:
    dtype = torch.float32 if pipeline.config_of(name).get("force_upcast", True) else pipeline.dtype
    vae = pipeline.load(name, dtype)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)

    def pictures(batch: int, kind: int) -> Tensors:
        height, width = sides(2, kind)
        return {"sample": torch.rand(batch, 3, height * factor, width * factor) * 2 - 1}

    def latents(batch: int, kind: int) -> Tensors:
        return {"latent_sample": torch.randn(batch, vae.config.latent_channels, *sides(2, kind))}

    # Mean and log-variance: which sample is drawn from them is the caller's choice.
    encode = lambda sample: (vae.encode(sample, return_dict=False)[0].parameters,)
    decode = lambda latent_sample: vae.decode(latent_sample, return_dict=False)
    return [
        Graph("vae_encoder", name, vae, encode, {"sample": PICTURE}, {"latent_parameters": LATENTS}, pictures, dtype),
        Graph("vae_decoder", name, vae, decode, {"latent_sample": LATENTS}, {"sample": PICTURE}, latents, dtype),
    ]


def safety_checker(pipeline: Pipeline, name: str) -> list[Graph]:
    """
    Cosine similarities and their thresholds; the verdict is the host's (diffusers' safety_checker.py, forward: it
    rounds to three places, and a special concept lowers the thresholds after it by 0.01). In float32: a flag should
    not hang on the precision.
    """
    checker = pipeline.load(name, torch.float32)
    side = checker.config.vision_config.image_size

    def run(clip_input: torch.Tensor) -> tuple[torch.Tensor, ...]:
        embeds = checker.visual_projection(checker.vision_model(clip_input)[1])
        # An output that hangs on no input would be left out of the graph.
        nothing = 0 * embeds[0, 0]
        return (
            cosine_distance(embeds, checker.special_care_embeds),
            cosine_distance(embeds, checker.concept_embeds),
            checker.special_care_embeds_weights + nothing,
            checker.concept_embeds_weights + nothing,
        )

    outputs = {
        "special_cos_dist": BATCH,
        "cos_dist": BATCH,
        "special_care_embeds_weights": {},
        "concept_embeds_weights": {},
    }
    example = lambda batch, _: {"clip_input": torch.randn(batch, 3, side, side)}
    return [Graph(name, name, checker, run, {"clip_input": BATCH}, outputs, example, torch.float32)]


def depth_estimator(pipeline: Pipeline, name: str) -> list[Graph]:
    """At the size that its feature extractor makes, in float32: it runs once for a picture."""
    model = pipeline.load(name, torch.float32)
    extractor = json.loads((pipeline.folder / "feature_extractor" / "preprocessor_config.json").read_text())
    size = extractor["size"]
    height, width = (size["height"], size["width"]) if isinstance(size, dict) else (size, size)
    return [
        Graph(
            name,
            name,
            model,
            lambda pixel_values: (model(pixel_values=pixel_values).predicted_depth,),
            {"pixel_values": BATCH},
            {"predicted_depth": BATCH},
            lambda batch, _: {"pixel_values": torch.randn(batch, 3, height, width)},
            torch.float32,
        )
    ]


GRAPHS: dict[str, Callable[[Pipeline, str], list[Graph]]] = {
    "CLIPTextModel": clip_text,
    "CLIPTextModelWithProjection": clip_text,
    "T5EncoderModel": t5_text,
    "UNet2DConditionModel": conditional_unet,
    "UNet2DModel": unconditional_unet,
    "SD3Transformer2DModel": sd3_transformer,
    "FluxTransformer2DModel": flux_transformer,
    "AutoencoderKL": autoencoder,
    "StableDiffusionSafetyChecker": safety_checker,
    "DPTForDepthEstimation": depth_estimator,
}
