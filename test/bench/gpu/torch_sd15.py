"""Seconds that diffusers takes for a batch of one and of eight: Stable Diffusion 1.5 untrained, fp16, eager, 512 x 512, guidance.

    python torch_sd15.py STEPS

Prints {"b1": …, "b8": …, "versions": …} on its last line.
"""

import json
import sys
import time

import diffusers
import torch
from transformers import CLIPTextConfig, CLIPTextModel

steps = int(sys.argv[1])
if not torch.cuda.is_available():
    raise SystemExit("torch sees no CUDA device")

# diffusers' defaults of these classes are small; these are Stable Diffusion 1.5's.
unet = diffusers.UNet2DConditionModel(
    sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280)
)
vae = diffusers.AutoencoderKL(
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    block_out_channels=(128, 256, 512, 512),
    layers_per_block=2,
    latent_channels=4,
)
text = CLIPTextModel(
    CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
)
scheduler = diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
unet, vae, text = (model.half().to("cuda").eval() for model in (unet, vae, text))


@torch.no_grad()
def render(batch: int) -> None:
    """The loop of StableDiffusionPipeline, without tokenizer and PNG."""
    ids = torch.zeros(2 * batch, 77, dtype=torch.long, device="cuda")
    hidden = text(ids)[0]
    scheduler.set_timesteps(steps, device="cuda")
    latents = torch.randn(batch, 4, 64, 64, dtype=torch.float16, device="cuda") * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        model_input = scheduler.scale_model_input(torch.cat([latents] * 2), t)
        uncond, cond = unet(model_input, t, encoder_hidden_states=hidden).sample.chunk(2)
        latents = scheduler.step(uncond + 7.5 * (cond - uncond), t, latents).prev_sample
    for latent in latents:
        vae.decode(latent[None] / 0.18215).sample.float().cpu()
    torch.cuda.synchronize()


def seconds(batch: int) -> float:
    render(batch)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        render(batch)
        taken.append(time.perf_counter() - start)
    return sorted(taken)[1]


versions = f"diffusers {diffusers.__version__}, torch {torch.__version__}, {torch.cuda.get_device_name()}"
print(json.dumps({"b1": seconds(1), "b8": seconds(8), "versions": versions}))
