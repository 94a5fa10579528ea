"""The unconditional DDPM: 32 x 32 RGB, faces and animals."""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel

import emoji_data

LEARNING_RATE = 1.2e-3
WARM_UP_STEPS = 100
EMA_DECAY = 0.995
SIDE = 32


def build() -> UNet2DModel:
    """An untrained UNet of the shipped shape."""
    return UNet2DModel(
        sample_size=SIDE,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(16, 32, 96),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=24,
    )


def learning_rate(step: int, done: float) -> float:
    """A short warm-up, then a cosine over the share of time that is done, 0 to 1."""
    return LEARNING_RATE * min(1, (step + 1) / WARM_UP_STEPS) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def save_samples(path: Path, unet: UNet2DModel, scheduler: DDPMScheduler) -> None:
    """Sixteen pictures by DDIM in 20 steps, four times enlarged."""
    pipeline = DDIMPipeline(unet=unet, scheduler=DDIMScheduler.from_config(scheduler.config))
    generator = torch.Generator().manual_seed(0)
    images = pipeline(batch_size=16, num_inference_steps=20, generator=generator, output_type="np").images
    rows = [np.concatenate(list(images[i : i + 8]), 1) for i in (0, 8)]
    sheet = PIL.Image.fromarray((np.concatenate(rows, 0) * 255).astype(np.uint8))
    sheet.resize((4 * sheet.width, 4 * sheet.height), PIL.Image.NEAREST).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the unpacked npm package of the pictures")
    parser.add_argument("out", type=Path, help="folder to write the pipeline into")
    parser.add_argument(
        "--minutes", type=float, default=12, help="time to train, which also sets the learning rate (12)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    parser.add_argument("--batch", type=int, default=16, help="samples of a step (16)")
    parser.add_argument("--seed", type=int, default=2, help="seed of weights and draws (2)")
    parser.add_argument("--resume", action="store_true", help="go on from OUT instead of from nothing")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    paths = emoji_data.files(args.package)
    images = [
        emoji_data.open_on_white(paths[short]).resize((SIDE, SIDE), PIL.Image.LANCZOS) for short in emoji_data.FACES
    ]
    pictures = torch.from_numpy(emoji_data.pixels(images))
    unet = UNet2DModel.from_pretrained(args.out, subfolder="unet").train() if args.resume else build()
    unet = unet.to(memory_format=torch.channels_last)
    steps_before = json.loads((args.out / "training.json").read_text())["steps"] if args.resume else 0
    average = copy.deepcopy(unet).eval().requires_grad_(False)
    scheduler = DDPMScheduler(
        num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=True
    )
    optimizer = torch.optim.AdamW(unet.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    parameters = sum(p.numel() for p in unet.parameters())
    print(f"{len(pictures)} pictures, {parameters} parameters", flush=True)
    start, step, losses = time.time(), 0, []

    def save() -> None:
        DDPMPipeline(unet=average, scheduler=scheduler).save_pretrained(args.out)
        figures = {
            "steps": steps_before + step,
            "batch": args.batch,
            "samples": (steps_before + step) * args.batch,
            "minutes": round((time.time() - start) / 60, 1),
            "loss": float(np.mean(losses[-300:])),
            "parameters": parameters,
            "pictures": len(pictures),
        }
        (args.out / "training.json").write_text(json.dumps(figures, indent=1))

    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, done)
        clean = pictures[torch.randint(len(pictures), (args.batch,))]
        timesteps, noise = torch.randint(0, 1000, (args.batch,)), torch.randn_like(clean)
        noisy = scheduler.add_noise(clean, noise, timesteps).contiguous(memory_format=torch.channels_last)
        loss = F.mse_loss(unet(noisy, timesteps, return_dict=False)[0], noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), unet.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)
        if step % 100 == 0:
            print(f"step {step} {time.time() - start:.0f}s loss {np.mean(losses[-100:]):.4f}", flush=True)
        if step % 500 == 0:
            save()
    save()
    save_samples(args.out / "samples.png", average, scheduler)
    print(f"{step} steps")


if __name__ == "__main__":
    main()
