"""Tiny checkpoints and the pictures that diffusers renders with them.

    python make_goldens.py ../families

Builds the pipelines of tiny_pipelines.py, exports them with the recipe's exporter, renders the requests of
pipeline_cases.py by torch (CPU, float32, one generator a picture) and writes both with the pictures to start from.
"""

import argparse
import base64
import json
import re
import sys
import tempfile
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

sys.path.append(str(Path(__file__).parents[3] / "deploy" / "checkpoints" / "recipe"))

from export import export, quiet  # noqa: E402
from pipeline_cases import CASES  # noqa: E402
from tiny_pipelines import build  # noqa: E402

NEVER = 2.0
"""A threshold above every cosine."""

TASKS = {
    "text-to-image": "",
    "image-to-image": "Img2Img",
    "inpainting": "Inpaint",
    "depth-to-image": "Depth2Img",
}
# Fields that say which pipeline runs, not how.
OURS = {"scheduler", "seed", "refiner", "denoising_end"}


def draw_pictures(out: Path) -> None:
    """Pictures to start from: a gradient with a disc and some noise, and masks of a part of each."""
    random = np.random.default_rng(0)
    for name, width, height, box in (
        ("init", 32, 32, (8, 6, 24, 20)),
        ("wide", 53, 37, (20, 9, 41, 30)),
        ("tall", 41, 61, (5, 30, 20, 52)),
    ):
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        disc = (x - width / 2) ** 2 + (y - height / 3) ** 2 < (min(width, height) / 4) ** 2
        channels = [x * 255 / width, y * 255 / height, np.where(disc, 230, 40)]
        samples = np.stack(channels, -1) + random.integers(-20, 20, (height, width, 3))
        Image.fromarray(samples.clip(0, 255).astype(np.uint8)).save(out / f"{name}.png")
        left, top, right, bottom = box
        mask = np.zeros((height, width), np.uint8)
        mask[top:bottom, left:right] = 255
        mask[top : top + 3, left:right] = 100
        Image.fromarray(mask).save(out / ("mask.png" if name == "init" else f"{name}-mask.png"))
    # Which of its pixels are light enough depends on whether it is sized or made grey first.
    colours = random.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    Image.fromarray(colours).save(out / "colour-mask.png")


def pipeline_for(pipeline: DiffusionPipeline, task: str, request: dict) -> DiffusionPipeline:
    """The pipeline of a task around the same components, with the request's scheduler."""
    sampler = dict(request["scheduler"])
    name = sampler.pop("_class_name")
    if task in TASKS:
        stem = re.sub("(Img2Img|Inpaint|Depth2Img)?Pipeline$", "", type(pipeline).__name__)
        made = getattr(diffusers, f"{stem}{TASKS[task]}Pipeline").from_pipe(pipeline)
    else:
        # The one passes eta, the other suits any scheduler that leaves its first noise as it is.
        stem = "DDIM" if name == "DDIMScheduler" else "DDPM"
        made = getattr(diffusers, f"{stem}Pipeline").from_pipe(pipeline)
    made.scheduler = getattr(diffusers, name)(**sampler)
    made.set_progress_bar_config(disable=True)
    return made


def arguments_of(request: dict, out: Path) -> dict:
    """What the pipeline is called with."""
    arguments = {key: value for key, value in request.items() if key not in OURS}
    for key in ("image", "mask_image"):
        if key in arguments:
            picture = Image.open(out / arguments[key])
            arguments[key] = picture if key == "mask_image" else picture.convert("RGB")
    for key in ("original_size", "crops_coords_top_left", "target_size"):
        if key in arguments:
            arguments[key] = tuple(arguments[key])
    arguments["generator"] = torch.Generator("cpu").manual_seed(request["seed"])
    return arguments


def render(case: dict, pipelines: dict[str, DiffusionPipeline], out: Path) -> dict:
    """The case with its picture."""
    request = case["request"]
    pipeline = pipeline_for(pipelines[case["checkpoint"]], case["task"], request)
    arguments = arguments_of(request, out)
    if "refiner" in request:
        base = pipeline(**arguments, denoising_end=request["denoising_end"], output_type="latent").images
        refiner = pipeline_for(pipelines[request["refiner"]], "image-to-image", request)
        for key in ("width", "height"):
            arguments.pop(key)
        result = refiner(**arguments, image=base, denoising_start=request["denoising_end"])
    else:
        result = pipeline(**arguments)
    picture = result.images[0]
    flags = getattr(result, "nsfw_content_detected", None)
    return {
        **case,
        "width": picture.width,
        "height": picture.height,
        **({"expect_nsfw": bool(flags[0])} if flags is not None else {}),
        "rgb_base64": base64.b64encode(np.asarray(picture).tobytes()).decode(),
    }


def set_thresholds(pipeline: DiffusionPipeline, out: Path) -> None:
    """
    Sets the checker so that of the three pictures from text the first has a concept, the second none, and the third one that only
    counts because a special one makes the checker stricter.
    """
    checker = pipeline.safety_checker
    embeds = []
    for case in [case for case in CASES if (case["checkpoint"], case["task"]) == ("tiny-sd-safe", "text-to-image")]:
        made = pipeline_for(pipeline, case["task"], case["request"])
        made.safety_checker = None
        picture = made(**arguments_of(case["request"], out)).images[0]
        pixels = pipeline.feature_extractor(picture, return_tensors="pt").pixel_values
        with torch.no_grad():
            embeds.append(checker.visual_projection(checker.vision_model(pixels)[1])[0])

    with torch.no_grad():
        checker.concept_embeds_weights.fill_(NEVER)
        checker.special_care_embeds_weights.fill_(NEVER)
        for concepts, weights, i, of in (
            (checker.concept_embeds, checker.concept_embeds_weights, 4, 0),
            (checker.concept_embeds, checker.concept_embeds_weights, 11, 2),
            (checker.special_care_embeds, checker.special_care_embeds_weights, 1, 2),
        ):
            # Away from the other two pictures, and a threshold between.
            concepts[i] = embeds[of] - sum(embeds[k] for k in range(3) if k != of) / 2
            near = [float(torch.cosine_similarity(one, concepts[i], dim=0)) for one in embeds]
            highest_other = max(near[k] for k in range(3) if k != of)
            assert near[of] - highest_other > 0.04, f"the pictures are too alike: {near}"
            weights[i] = near[of] + 0.005 if i == 11 else (near[of] + highest_other) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write into")
    args = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    args.out.mkdir(parents=True, exist_ok=True)
    draw_pictures(args.out)

    used = {case["checkpoint"] for case in CASES} | {case["request"].get("refiner") for case in CASES}
    pipelines = {name: build(name) for name in sorted(used - {None})}
    set_thresholds(pipelines["tiny-sd-safe"], args.out)
    for name, pipeline in pipelines.items():
        print(name)
        with tempfile.TemporaryDirectory() as saved:
            pipeline.save_pretrained(saved)
            if not export(Path(saved), args.out / name, torch.float32, check=True):
                raise SystemExit(f"{name} is not what torch computes.")

    source = f"huggingface/diffusers {diffusers.__version__}, torch {torch.__version__.split('+')[0]}, CPU, float32"
    document = {"source": source, "cases": [render(case, pipelines, args.out) for case in CASES]}
    (args.out / "pipelines.json").write_text(json.dumps(document, indent=1) + "\n")
    print(len(CASES), "pictures")


if __name__ == "__main__":
    main()
