"""Step 1: the autoencoder, 64 x 64 RGB to 16 x 16 x 4.

Trained on random 32 x 32 crops and whole pictures; fully convolutional (no attention in the middle). At the end the
latents are centred and equalised per channel by folding an affine map into the two 1 x 1 "quant" convolutions, so that
plain N(0, 1) noise suits them.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import emoji_data

LEARNING_RATE = 2e-3
WARM_UP_STEPS = 50
CROP = 32
CROPS_PER_STEP = 24
WHOLE_PER_STEP = 8
KL_WEIGHT = 1e-4
EDGE_WEIGHT = 0.5


def build() -> AutoencoderKL:
    """An untrained autoencoder of the shipped shape."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=[16, 32, 64],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
    ).to(memory_format=torch.channels_last)


def learning_rate(step: int, done: float) -> float:
    """A short warm-up, then a cosine over the share of time that is done, 0 to 1."""
    return LEARNING_RATE * min(1, (step + 1) / WARM_UP_STEPS) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def draw_samples(pictures: torch.Tensor, step: int, rng: np.random.Generator) -> torch.Tensor:
    """Whole pictures every fourth step, crops at multiples of four pixels otherwise."""
    if step % 4 == 3:
        return pictures[rng.integers(0, len(pictures), WHOLE_PER_STEP)]
    chosen = rng.integers(0, len(pictures), CROPS_PER_STEP)
    tops = rng.integers(0, 9, CROPS_PER_STEP) * 4
    lefts = rng.integers(0, 9, CROPS_PER_STEP) * 4
    crops = [pictures[k, :, y : y + CROP, x : x + CROP] for k, y, x in zip(chosen, tops, lefts)]
    return torch.stack(crops).contiguous(memory_format=torch.channels_last)


def train(vae: AutoencoderKL, pictures: torch.Tensor, args: argparse.Namespace) -> dict[str, float]:
    """Trains until the time is up. Returns the number of steps and the last mean absolute error."""
    rng = np.random.default_rng(args.seed)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    start, step, errors = time.time(), 0, []
    while (done := (time.time() - start) / (60 * args.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, done)
        samples = draw_samples(pictures, step, rng)
        latents = vae.encode(samples).latent_dist
        restored = vae.decode(latents.sample()).sample
        absolute, squared = (restored - samples).abs().mean(), F.mse_loss(restored, samples)
        edges = sum((torch.diff(restored, dim=d) - torch.diff(samples, dim=d)).abs().mean() for d in (2, 3))
        divergence = latents.kl().mean() / latents.mean[0].numel()
        loss = absolute + squared + KL_WEIGHT * divergence + EDGE_WEIGHT * edges
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        errors.append((absolute.item(), squared.item()))
        if step % 100 == 0:
            l1, mse = np.mean(errors[-100:], axis=0)
            print(f"step {step} {time.time() - start:.0f}s l1 {l1:.4f} mse {mse:.5f}", flush=True)
        if step % 500 == 0:
            vae.save_pretrained(args.out)
    minutes = round((time.time() - start) / 60, 1)
    return {"steps": step, "minutes": minutes, "train_l1": float(np.mean([l1 for l1, _ in errors[-200:]]))}


def encode(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """The latents' means."""
    return torch.cat([vae.encode(pictures[i : i + 32]).latent_dist.mean for i in range(0, len(pictures), 32)])


def centre_latents(vae: AutoencoderKL, pictures: torch.Tensor) -> None:
    """Folds centred latents of equal spread per channel into the convolutions beside them; decoding stays the same."""
    latents = encode(vae, pictures)
    before = vae.decode(latents[:16]).sample
    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) / latents.std()
    into, out_of = vae.quant_conv, vae.post_quant_conv
    into.weight[:4] /= spread[:, None, None, None]
    into.bias[:4] = (into.bias[:4] - mean) / spread
    into.bias[4:] -= 2 * spread.log()
    out_of.bias += out_of.weight[:, :, 0, 0] @ mean
    out_of.weight *= spread[None, :, None, None]
    after = vae.decode(encode(vae, pictures[:16])).sample
    print("folding changes decoding by", (after - before).abs().max().item())


def save_sheet(path: Path, pictures: torch.Tensor, restored: torch.Tensor) -> None:
    """Forty pictures above what became of them, in two rows of twenty."""
    chosen = [4 * i for i in range(0, len(pictures) // 4, 4)][:40]

    def row(images: torch.Tensor) -> np.ndarray:
        shown = [((images[i].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy() for i in chosen]
        return np.concatenate(shown, 1)

    both = np.concatenate([row(pictures), row(restored)], 0)
    half = 64 * 20
    PIL.Image.fromarray(np.concatenate([both[:, :half], both[:, half : 2 * half]], 0)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the unpacked npm package of the pictures")
    parser.add_argument("out", type=Path, help="folder to write the autoencoder into")
    parser.add_argument(
        "--minutes", type=float, default=10, help="time to train, which also sets the learning rate (10)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights, crops and latents (1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    images = [image for path in emoji_data.files(args.package).values() for image in emoji_data.variants(path)]
    pictures = torch.from_numpy(emoji_data.pixels(images)).contiguous(memory_format=torch.channels_last)
    vae = build()
    parameters = sum(p.numel() for p in vae.parameters())
    print(f"{len(pictures)} pictures, {parameters} parameters", flush=True)
    trained = train(vae, pictures, args)

    vae.eval()
    with torch.no_grad():
        centre_latents(vae, pictures)
        latents = encode(vae, pictures)
        restored = torch.cat([vae.decode(latents[i : i + 32]).sample for i in range(0, len(latents), 32)])
    vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 6))
    vae.save_pretrained(args.out)
    error = F.mse_loss(restored.clamp(-1, 1), pictures).item()
    figures = {
        **trained,
        "reconstruction_mse": error,
        "reconstruction_psnr_db": 10 * math.log10(4 / error),
        "scaling_factor": vae.config.scaling_factor,
        "parameters": parameters,
    }
    (args.out / "training.json").write_text(json.dumps(figures, indent=1))
    print(figures)
    save_sheet(args.out / "reconstructions.png", pictures, restored)


if __name__ == "__main__":
    main()
