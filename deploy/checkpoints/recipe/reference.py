"""Step 4: pictures rendered by diffusers itself (torch, CPU, float32).

Other implementations are compared with them pixel by pixel.
"""

import argparse
import json
from pathlib import Path

import diffusers
import PIL.Image
import PIL.ImageDraw
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, StableDiffusionPipeline

from evaluate import SCHEDULERS

# Prompt, negative prompt, steps, guidance, seed.
CASES = [
    ("a red apple", "", 25, 4.0, 0),
    ("a cat", "", 25, 4.0, 1),
    ("an emoji of a panda", "", 25, 5.0, 2),
    ("a picture of a rocket", "", 25, 4.0, 3),
    ("a slice of pizza", "blurry, low quality", 25, 3.0, 14),
    ("a blue heart", "", 20, 3.0, 5),
    ("a green heart", "", 20, 3.0, 6),
    ("the sun", "a heart", 25, 3.0, 7),
    ("a christmas tree", "", 30, 6.0, 8),
    ("a red car on a white background", "", 25, 4.0, 9),
    ("a smiling face", "a crying face", 25, 4.0, 10),
    ("An icon of a MUSHROOM!", "", 25, 4.0, 11),
]
UNCONDITIONAL_SEEDS = range(100, 106)
SIDE = 64


def scheduler_config(scheduler: diffusers.SchedulerMixin) -> dict[str, object]:
    """Class and every setting, without what diffusers adds for itself."""
    settings = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    return {"_class_name": type(scheduler).__name__, **settings}


def render_prompts(root: Path, out: Path) -> tuple[list[dict], list[list[PIL.Image.Image]]]:
    """Every case under every scheduler: the cases as they are told, and a row of pictures for each prompt."""
    pipeline = StableDiffusionPipeline.from_pretrained(root / "emoji-sd")
    pipeline.set_progress_bar_config(disable=True)
    told, rows = [], []
    for i, (prompt, negative, steps, guidance, seed) in enumerate(CASES):
        row = []
        for key in ("pndm", "euler", "dpm"):
            pipeline.scheduler = SCHEDULERS[key]()
            image = pipeline(
                prompt,
                negative_prompt=negative or None,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator("cpu").manual_seed(seed),
            ).images[0]
            file = f"sd_{i:02d}_{key}.png"
            image.save(out / file)
            row.append(image)
            told.append(
                {
                    "file": file,
                    "checkpoint": "emoji-sd",
                    "task": "text-to-image",
                    "prompt": prompt,
                    "negative_prompt": negative or None,
                    "scheduler": scheduler_config(pipeline.scheduler),
                    "num_inference_steps": steps,
                    "guidance_scale": guidance,
                    "seed": seed,
                    "width": image.width,
                    "height": image.height,
                }
            )
        rows.append(row)
    return told, rows


def render_unconditional(root: Path, out: Path) -> tuple[list[dict], list[PIL.Image.Image]]:
    """DDPM in 50 steps and DDIM in 20, for each seed."""
    ddpm = DDPMPipeline.from_pretrained(root / "emoji-ddpm")
    ddim = DDIMPipeline(unet=ddpm.unet, scheduler=DDIMScheduler.from_config(ddpm.scheduler.config))
    told, images = [], []
    for i, seed in enumerate(UNCONDITIONAL_SEEDS):
        for key, pipeline, steps, extra in (("ddpm", ddpm, 50, {}), ("ddim", ddim, 20, {"eta": 0.0})):
            pipeline.set_progress_bar_config(disable=True)
            generator = torch.Generator("cpu").manual_seed(seed)
            image = pipeline(num_inference_steps=steps, generator=generator, **extra).images[0]
            file = f"uncond_{i}_{key}.png"
            image.save(out / file)
            images.append(image)
            told.append(
                {
                    "file": file,
                    "checkpoint": "emoji-ddpm",
                    "task": "unconditional-image-generation",
                    "scheduler": scheduler_config(pipeline.scheduler),
                    "num_inference_steps": steps,
                    "seed": seed,
                    "width": image.width,
                    "height": image.height,
                    **extra,
                }
            )
    return told, images


def save_sheet(path: Path, rows: list[list[PIL.Image.Image]], unconditional: list[PIL.Image.Image]) -> None:
    """Four prompts side by side, three schedulers each; the unconditional pictures below."""
    columns, cell = 4, 3 * SIDE + 24
    sheet = PIL.Image.new("RGB", (columns * cell, 3 * (SIDE + 26) + 92), (255, 255, 255))
    draw = PIL.ImageDraw.Draw(sheet)
    for i, (row, (prompt, *_)) in enumerate(zip(rows, CASES, strict=True)):
        left, top = i % columns * cell + 8, i // columns * (SIDE + 26) + 4
        draw.text((left, top), prompt, fill=(0, 0, 0))
        for k, image in enumerate(row):
            sheet.paste(image, (left + k * (SIDE + 2), top + 14))
    top = 3 * (SIDE + 26) + 4
    legend = "above: PNDM, Euler, DPM++ 2M Karras.   below: unconditional (DDPM 50 steps, DDIM 20 steps, six seeds)"
    draw.text((8, top), legend, fill=(0, 0, 0))
    for i, image in enumerate(unconditional):
        sheet.paste(image.resize((SIDE, SIDE), PIL.Image.NEAREST), (8 + i * (SIDE + 4), top + 16))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "root", type=Path, help="folder with emoji-sd and emoji-ddpm; the pictures go into its reference/"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    out = args.root / "reference"
    out.mkdir(parents=True, exist_ok=True)

    prompted, rows = render_prompts(args.root, out)
    unprompted, images = render_unconditional(args.root, out)
    versions = f"huggingface/diffusers {diffusers.__version__}, torch {torch.__version__.split('+')[0]}"
    document = {
        "source": f"{versions}, CPU, float32; generator = torch.Generator('cpu').manual_seed(seed)",
        "rounding": "PNG, 8 bit RGB: (x / 2 + 0.5).clamp(0, 1) * 255, rounded",
        "cases": prompted + unprompted,
    }
    (out / "reference.json").write_text(json.dumps(document, indent=1))
    save_sheet(out / "contact_sheet.png", rows, images)
    print(f"{len(document['cases'])} pictures")


if __name__ == "__main__":
    main()
