"""What Pillow, diffusers and transformers make of small random pictures.

    python make_images.py ../images.json

Pictures are base64 of their samples, channels interleaved. Needs diffusers, pillow, torch, transformers.
"""

import base64
import json
import sys

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from transformers import CLIPImageProcessor, DPTImageProcessor

random = np.random.default_rng(0)


def picture(width: int, height: int, channels: int = 3) -> Image.Image:
    """Noise over a gradient, so that edges and flat parts both occur."""
    ramp = np.linspace(0, 255, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None]
    noise = random.integers(-60, 60, (height, width, channels))
    samples = np.clip(ramp + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(samples[:, :, 0] if channels == 1 else samples)


def encoded(image: Image.Image) -> dict:
    return {
        "width": image.width,
        "height": image.height,
        "channels": 1 if image.mode == "L" else 3,
        "data_base64": base64.b64encode(np.asarray(image).tobytes()).decode(),
    }


def floats(values) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SIZES = [((37, 23), (64, 64)), ((64, 48), (19, 31)), ((20, 20), (20, 41)), ((33, 9), (8, 9)), ((20, 60), (15, 30)), ((5, 5), (60, 40))]

resizes = []
for name, resample in FILTERS.items():
    for k, (size, to) in enumerate(SIZES):
        image = picture(*size, channels=1 if k == 2 else 3)
        resizes.append({"filter": name, "image": encoded(image), "want": encoded(image.resize(to, resample))})

luminances = [{"image": encoded(image), "want": encoded(image.convert("L"))} for image in [picture(16, 9)]]


def mask_of(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    samples = np.zeros((height, width), np.uint8)
    left, top, right, bottom = box
    samples[top:bottom, left:right] = random.integers(100, 256, (bottom - top, right - left))
    return Image.fromarray(samples)


processor = VaeImageProcessor(vae_scale_factor=8)
masks = VaeImageProcessor(vae_scale_factor=8, do_normalize=False, do_binarize=True, do_convert_grayscale=True)
INPAINTINGS = [
    ((80, 60), (10, 20, 30, 40), (32, 32), 5),
    ((50, 90), (0, 0, 9, 70), (64, 32), 0),
    ((64, 64), (50, 50, 64, 64), (32, 64), 12),
    ((48, 40), (0, 0, 48, 40), (32, 32), 3),
    ((33, 70), (5, 30, 12, 34), (40, 24), 20),
]
inpaintings = []
for size, box, (width, height), padding in INPAINTINGS:
    image, mask = picture(*size), mask_of(*size, box)
    region = masks.get_crop_region(mask, width, height, pad=padding)
    arguments = {"height": height, "width": width, "crops_coords": region, "resize_mode": "fill"}
    repainted = picture(width, height)
    inpaintings.append(
        {
            "image": encoded(image),
            "mask": encoded(mask),
            "width": width,
            "height": height,
            "padding": padding,
            "region": region,
            "pixels_f32_base64": floats(processor.preprocess(image, **arguments)),
            "binary_f32_base64": floats(masks.preprocess(mask, **arguments)),
            "repainted": encoded(repainted),
            "overlay": encoded(processor.apply_overlay(mask, image, repainted, region)),
        }
    )

wholes = []
for size, to in [((37, 61), (32, 56)), ((24, 24), (24, 24)), ((16, 40), (64, 48))]:
    image, mask = picture(*size), picture(*size, channels=1)
    pixels = processor.preprocess(image, width=to[0], height=to[1])
    binary = masks.preprocess(mask, width=to[0], height=to[1])
    latent = torch.nn.functional.interpolate(binary, size=(to[1] // 8, to[0] // 8))
    wholes.append(
        {
            "image": encoded(image),
            "mask": encoded(mask),
            "width": to[0],
            "height": to[1],
            "pixels_f32_base64": floats(pixels),
            "binary_f32_base64": floats(binary),
            "latent_f32_base64": floats(latent),
        }
    )

clip = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
dpt = DPTImageProcessor(size={"height": 24, "width": 24})
pixel_values = []
for kind in (clip, dpt):
    config = json.loads(kind.to_json_string())
    for size in [(64, 64), (40, 70), (90, 50)]:
        image = picture(*size)
        pixel_values.append(
            {
                "config": config,
                "image": encoded(image),
                "want_f32_base64": floats(kind(images=image, return_tensors="np")["pixel_values"]),
            }
        )

depths = []
for size, to in [((32, 32), (8, 8)), ((24, 24), (40, 16))]:
    depth = torch.tensor(random.random((1, size[1], size[0])), dtype=torch.float32)
    sized = torch.nn.functional.interpolate(depth.unsqueeze(1), size=(to[1], to[0]), mode="bicubic", align_corners=False)
    low, high = sized.amin(), sized.amax()
    depths.append(
        {
            "width": size[0],
            "height": size[1],
            "depth_f32_base64": floats(depth),
            "to": to,
            "want_f32_base64": floats(2.0 * (sized - low) / (high - low) - 1.0),
        }
    )

with open(sys.argv[1], "w") as file:
    json.dump(
        {
            "resizes": resizes,
            "luminances": luminances,
            "inpaintings": inpaintings,
            "wholes": wholes,
            "pixel_values": pixel_values,
            "depths": depths,
        },
        file,
    )
