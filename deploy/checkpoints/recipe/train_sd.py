"""Step 2: text encoder and UNet, trained together on the autoencoder's latents.

v-prediction on Stable Diffusion's scaled_linear betas; captions dropped 10 % of the time; what is saved is an
exponential moving average of all weights. Every worker is a process with one CPU thread, which is faster than one
process with many; gradients are averaged.
"""

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import emoji_data

# As it is, mirrored, a little smaller, both.
VARIANT_SHARES = [0.85, 0.05, 0.10, 0.0]
NO_CAPTION_SHARE = 0.10
# Words that mean nothing here act like no caption, so that negative prompts of that kind do too.
NOISE_WORDS_SHARE = 0.02
NOISE_WORDS = (
    "blurry low quality bad ugly worst deformed noisy text watermark grainy dark cropped jpeg artifacts boring nothing "
    "empty unclear mess broken strange"
).split()
WARM_UP_STEPS = 150
EMA_DECAY = 0.998
SAVE_EVERY_SECONDS = 180


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained text encoder of the shipped shape."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=96,
        max_position_embeddings=tokenizer.model_max_length,
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_unet() -> UNet2DConditionModel:
    """An untrained UNet of the shipped shape."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(48, 96, 96),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=96,
        attention_head_dim=4,
        norm_num_groups=16,
    )


class Captions:
    """Token ids of what the text encoder is shown beside a picture."""

    def __init__(self, tokenizer: CLIPTokenizer, shorts: list[str]):
        self._tokenizer = tokenizer
        self._of_class = [self._ids(emoji_data.captions(short)) for short in shorts]
        self._empty = self._ids([""])[0]

    def __len__(self) -> int:
        return sum(len(ids) for ids in self._of_class)

    def _ids(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor(self._tokenizer(texts, padding="max_length", truncation=True).input_ids)

    def draw(self, classes: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        """A caption for each class, now and then none or noise: ids [N, L]."""
        drawn = torch.stack([self._of_class[k][rng.integers(len(self._of_class[k]))] for k in classes])
        for i, share in enumerate(rng.random(len(classes))):
            if share < NO_CAPTION_SHARE:
                drawn[i] = self._empty
            elif share < NO_CAPTION_SHARE + NOISE_WORDS_SHARE:
                drawn[i] = self._ids([" ".join(rng.choice(NOISE_WORDS, rng.integers(1, 5)))])[0]
        return drawn


def encode_pictures(vae: AutoencoderKL, paths: list[Path]) -> torch.Tensor:
    """Scaled latents of every variant of every picture: [classes, variants, 4, 16, 16]."""
    images = [image for path in paths for image in emoji_data.variants(path)]
    with torch.no_grad():
        pictures = torch.from_numpy(emoji_data.pixels(images))
        means = [vae.encode(pictures[i : i + 64]).latent_dist.mean for i in range(0, len(pictures), 64)]
        latents = torch.cat(means) * vae.config.scaling_factor
    return latents.view(len(paths), -1, *latents.shape[1:])


def average_gradients(parameters: list[torch.nn.Parameter], workers: int) -> None:
    """The mean of every worker's gradients, in every worker."""
    live = [p for p in parameters if p.grad is not None]
    flat = torch.cat([p.grad.reshape(-1) for p in live])
    dist.all_reduce(flat)
    flat /= workers
    for p, part in zip(live, flat.split([p.numel() for p in live]), strict=True):
        p.grad.copy_(part.view_as(p))


def share_of_time(start: float, args: argparse.Namespace) -> float:
    """How much of the time is over, 0 to 1 and more; the workers agree on the first one's clock."""
    done = torch.tensor([(time.time() - start) / (60 * args.minutes)], dtype=torch.float64)
    if args.workers > 1:
        dist.broadcast(done, 0)
    return done.item()


class Weights:
    """Both models' parameters, and the moving average that is saved in their place."""

    def __init__(self, text: CLIPTextModel, unet: UNet2DConditionModel):
        self.text, self.unet = text, unet
        self.parameters = [*text.parameters(), *unet.parameters()]
        self._average = [p.detach().clone() for p in self.parameters]

    def update_average(self, step: int) -> None:
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, [p.detach() for p in self.parameters], 1 - decay)

    def save(self, folder: Path) -> None:
        now = [p.detach().clone() for p in self.parameters]
        for p, average in zip(self.parameters, self._average, strict=True):
            p.data.copy_(average)
        self.text.save_pretrained(folder / "text_encoder")
        copy.deepcopy(self.unet).to(memory_format=torch.contiguous_format).save_pretrained(folder / "unet")
        for p, value in zip(self.parameters, now, strict=True):
            p.data.copy_(value)

    def sizes(self) -> dict[str, int]:
        return {
            "unet_parameters": sum(p.numel() for p in self.unet.parameters()),
            "text_encoder_parameters": sum(p.numel() for p in self.text.parameters()),
        }


def work(rank: int, args: argparse.Namespace) -> None:
    """One worker, from the same weights as the others, with draws of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    if args.workers > 1:
        os.environ.setdefault("MASTER_ADDR", "localhost")
        os.environ.setdefault("MASTER_PORT", str(args.port))
        dist.init_process_group("gloo", rank=rank, world_size=args.workers)
    tokenizer = CLIPTokenizer.from_pretrained(args.tokenizer)
    vae = AutoencoderKL.from_pretrained(args.vae).eval()
    paths = emoji_data.files(args.package, emoji_data.FIRST if args.subset == "first" else emoji_data.DRAWN)
    latents = encode_pictures(vae, list(paths.values()))
    captions = Captions(tokenizer, list(paths))
    shares = np.array([args.boost if short in emoji_data.LATER else 1.0 for short in paths])
    shares /= shares.sum()

    before = {"steps": 0, "samples": 0, "minutes": 0, "loss_curve": []}
    if args.resume:
        text = CLIPTextModel.from_pretrained(args.out / "text_encoder").train()
        unet = UNet2DConditionModel.from_pretrained(args.out / "unet").train()
        before = json.loads((args.out / "training.json").read_text())
    else:
        text, unet = build_text_encoder(tokenizer), build_unet()
    unet = unet.to(memory_format=torch.channels_last)
    weights = Weights(text, unet)
    optimizer = torch.optim.AdamW(weights.parameters, lr=args.lr, betas=(0.9, 0.99), weight_decay=0.01)
    scheduler = DDPMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
    )
    torch.manual_seed(args.seed * 1000 + rank)
    rng = np.random.default_rng(args.seed * 1000 + rank)
    if rank == 0:
        print(f"{len(paths)} emoji, {weights.sizes()}, latents' spread {latents.std().item():.3f}", flush=True)

    start = saved = time.time()
    step, losses = 0, []

    def save() -> None:
        weights.save(args.out)
        figures = {
            "steps": before["steps"] + step,
            "batch": args.batch * args.workers,
            "samples": before["samples"] + step * args.batch * args.workers,
            "minutes": round(before["minutes"] + (time.time() - start) / 60, 1),
            "loss_v_mse": float(np.mean(losses[-300:])),
            "classes": len(paths),
            "captions": len(captions),
            **weights.sizes(),
            "loss_curve": before["loss_curve"]
            + [round(float(np.mean(losses[i : i + 250])), 4) for i in range(0, len(losses) - 249, 250)],
        }
        (args.out / "training.json").write_text(json.dumps(figures, indent=1))

    while True:
        if step % 10 == 0:
            done = share_of_time(start, args)
            if done >= 1:
                break
        rate = args.lr * min(1, (step + 1) / WARM_UP_STEPS) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        classes = rng.choice(len(paths), args.batch, p=shares)
        variants = rng.choice(len(VARIANT_SHARES), args.batch, p=VARIANT_SHARES)
        clean, ids = latents[classes, variants], captions.draw(classes, rng)
        timesteps, noise = torch.randint(0, 1000, (args.batch,)), torch.randn_like(clean)
        noisy = scheduler.add_noise(clean, noise, timesteps).contiguous(memory_format=torch.channels_last)
        predicted = unet(noisy, timesteps, text(input_ids=ids)[0], return_dict=False)[0]
        loss = F.mse_loss(predicted, scheduler.get_velocity(clean, noise, timesteps))
        optimizer.zero_grad()
        loss.backward()
        if args.workers > 1:
            average_gradients(weights.parameters, args.workers)
        torch.nn.utils.clip_grad_norm_(weights.parameters, 1.0)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        weights.update_average(step)
        if rank == 0 and step % 100 == 0:
            print(f"step {step} {time.time() - start:.0f}s loss {np.mean(losses[-100:]):.4f}", flush=True)
        if rank == 0 and time.time() - saved > SAVE_EVERY_SECONDS:
            save()
            saved = time.time()
    if rank == 0:
        save()
        print(f"{step} steps", flush=True)
    if args.workers > 1:
        dist.barrier()
        dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the unpacked npm package of the pictures")
    parser.add_argument("vae", type=Path, help="what train_vae.py wrote")
    parser.add_argument("tokenizer", type=Path, help="what make_tokenizer.py wrote")
    parser.add_argument("out", type=Path, help="folder to write both models into")
    parser.add_argument(
        "--minutes", type=float, default=38, help="time to train, which also sets the learning rate (38)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread (2)")
    parser.add_argument("--batch", type=int, default=16, help="samples of one worker's step (16)")
    parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate (1e-3)")
    parser.add_argument("--seed", type=int, default=3, help="seed of weights and draws (3)")
    parser.add_argument("--port", type=int, default=29517, help="loopback port on which the workers meet (29517)")
    parser.add_argument("--subset", choices=["first", "all"], default="all", help="the simpler emoji, or all (all)")
    parser.add_argument("--boost", type=float, default=1, help="how much more often the later emoji are drawn (1)")
    parser.add_argument("--resume", action="store_true", help="go on from OUT instead of from nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.workers > 1:
        torch.multiprocessing.spawn(work, (args,), args.workers)
    else:
        work(0, args)


if __name__ == "__main__":
    main()
