"""Renders one picture for each emoji and asks which of the source pictures is nearest, by mean squared error.

SD is a finished folder, or the working folder of train_sd.py together with --vae and --tokenizer.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

import emoji_data

NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "prediction_type": "v_prediction",
}
SCHEDULERS = {
    "pndm": lambda: PNDMScheduler(**NOISE, skip_prk_steps=True, set_alpha_to_one=False),
    "euler": lambda: EulerDiscreteScheduler(**NOISE),
    "dpm": lambda: DPMSolverMultistepScheduler(**NOISE, use_karras_sigmas=True),
}
PROMPTS_AT_ONCE = 24
VARIANTS = 4


def load_pipeline(sd: Path, vae: Path | None = None, tokenizer: Path | None = None) -> StableDiffusionPipeline:
    """The pipeline of a finished folder, or of parts that lie in different ones."""
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(vae or sd / "vae"),
        text_encoder=CLIPTextModel.from_pretrained(sd / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(tokenizer or sd / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(sd / "unet"),
        scheduler=SCHEDULERS["pndm"](),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def render(pipeline: StableDiffusionPipeline, shorts: list[str], args: argparse.Namespace) -> np.ndarray:
    """One picture for each bare name, seeds counting up: N x 3 x 64 x 64, from -1 to 1."""
    images = []
    for first in range(0, len(shorts), PROMPTS_AT_ONCE):
        part = shorts[first : first + PROMPTS_AT_ONCE]
        images += list(
            pipeline(
                [emoji_data.names(short)[0] for short in part],
                num_inference_steps=args.steps,
                guidance_scale=args.guidance,
                generator=[torch.Generator().manual_seed(args.seed + first + i) for i in range(len(part))],
                output_type="np",
            ).images
        )
    return np.stack(images).transpose(0, 3, 1, 2) * 2 - 1


def save_grid(path: Path, images: np.ndarray, columns: int = 14) -> None:
    """All pictures with a grey line between them."""
    rows = -(-len(images) // columns)
    grid = np.full((rows * 66, columns * 66, 3), 200, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * 66 + 1, i % columns * 66 + 1
        grid[top : top + 64, left : left + 64] = ((image.transpose(1, 2, 0) + 1) * 127.5).round().clip(0, 255)
    PIL.Image.fromarray(grid).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the unpacked npm package of the pictures")
    parser.add_argument("sd", type=Path, help="the checkpoint, or the working folder of train_sd.py")
    parser.add_argument("grid", type=Path, help="PNG to write with every picture")
    parser.add_argument("--vae", type=Path, help="autoencoder, where SD has none")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer, where SD has none")
    parser.add_argument("--every", type=int, default=1, help="take every n-th emoji only (1)")
    parser.add_argument("--steps", type=int, default=20, help="denoising steps (20)")
    parser.add_argument("--guidance", type=float, default=4, help="guidance scale (4)")
    parser.add_argument("--scheduler", choices=sorted(SCHEDULERS), default="dpm", help="diffusion scheduler (dpm)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first picture (0)")
    parser.add_argument("--json", type=Path, help="file to write the figures into")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    paths = emoji_data.files(args.package, emoji_data.DRAWN)
    sources = emoji_data.pixels([image for path in paths.values() for image in emoji_data.variants(path)])
    shorts = list(paths)
    chosen = shorts[:: args.every]
    pipeline = load_pipeline(args.sd, args.vae, args.tokenizer)
    pipeline.scheduler = SCHEDULERS[args.scheduler]()
    images = render(pipeline, chosen, args)

    # Distance of each picture to each variant of each source: [pictures, emoji, variants].
    distances = np.stack([((sources - image) ** 2).mean((1, 2, 3)) for image in images])
    distances = distances.reshape(len(images), len(shorts), VARIANTS).min(2)
    nearest = [shorts[i] for i in distances.argmin(1)]
    wrong = {short: near for short, near in zip(chosen, nearest, strict=True) if near != short}
    own = float(np.median([distances[i, shorts.index(short)] for i, short in enumerate(chosen)]))
    right = len(chosen) - len(wrong)
    print(f"{right} of {len(chosen)} nearest to their own picture; median squared error to it {own:.4f} (on -1 … 1)")
    print("wrong:", ", ".join(f"{short} -> {near}" for short, near in wrong.items()) or "none")
    if args.json:
        figures = {
            "scheduler": args.scheduler,
            "steps": args.steps,
            "guidance": args.guidance,
            "prompts": len(chosen),
            "nearest_is_own": right,
            "median_mse": own,
            "wrong": wrong,
        }
        args.json.write_text(json.dumps(figures, indent=1))
    save_grid(args.grid, images)


if __name__ == "__main__":
    main()
