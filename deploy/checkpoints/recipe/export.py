"""Step 3: the finished folders, and a check of the ONNX models against torch.

They have the layout of diffusers (safetensors) and of Hugging Face Optimum (one model.onnx with its config.json for
each module, fp32, opset 18). The UNets take one timestep for each sample.
"""

import argparse
import json
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from diffusers import DDPMPipeline

from evaluate import load_pipeline

OPSET = 18
THREADS = 2
IMAGE = {0: "batch_size", 2: "height", 3: "width"}
LATENT = {0: "batch_size", 2: "height_latent", 3: "width_latent"}
SEQUENCE = {0: "batch_size", 1: "sequence_length"}
BATCH = {0: "batch_size"}


class TextEncoder(torch.nn.Module):
    """Token ids to hidden states and the pooled output."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.model(input_ids=input_ids, return_dict=False)
        return output[0], output[1]


class ConditionalUnet(torch.nn.Module):
    """A UNet with text, as a function of tensors alone."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states):
        return self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]


class UnconditionalUnet(torch.nn.Module):
    """A UNet without text, as a function of tensors alone."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep):
        return self.model(sample, timestep, return_dict=False)[0]


class Encoder(torch.nn.Module):
    """Pictures to mean and log-variance of their latents."""

    def __init__(self, vae: torch.nn.Module):
        super().__init__()
        self.vae = vae

    def forward(self, sample):
        return self.vae.encode(sample, return_dict=False)[0].parameters


class Decoder(torch.nn.Module):
    """Latents to pictures."""

    def __init__(self, vae: torch.nn.Module):
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample):
        return self.vae.decode(latent_sample, return_dict=False)[0]


def export(
    module: torch.nn.Module, example: tuple, path: Path, inputs: dict[str, dict], outputs: dict[str, dict]
) -> Callable[..., list[np.ndarray]]:
    """Writes a module as ONNX, inputs and outputs named with dynamic axes. Returns it as a function of tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            module.eval(),
            example,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**inputs, **outputs},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(path)
    for node in model.graph.node:
        # Where in which file a node was made is nobody's business.
        node.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, path)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda **tensors: session.run(None, {name: tensor.numpy() for name, tensor in tensors.items()})


def scrub(folder: Path) -> None:
    """Configs must not tell where they were made."""
    for path in folder.rglob("*.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(config, dict) and config.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(config, indent=2), encoding="utf-8")


def milliseconds(run: Callable[[], object], times: int = 20) -> float:
    """Mean of several calls after three that do not count."""
    for _ in range(3):
        run()
    start = time.perf_counter()
    for _ in range(times):
        run()
    return round((time.perf_counter() - start) / times * 1000, 2)


def largest_difference(array: np.ndarray, tensor: torch.Tensor) -> float:
    return float(np.abs(array - tensor.numpy()).max())


def check_unet(
    run: Callable[..., list[np.ndarray]], unet: torch.nn.Module, sample: torch.Tensor, text: torch.Tensor | None
) -> dict[str, float]:
    """A batch of three with different timesteps equals three single runs, and torch."""
    timesteps = torch.tensor([3, 480, 999])

    def some(part: slice) -> dict[str, torch.Tensor]:
        conditions = {} if text is None else {"encoder_hidden_states": text[part]}
        return {"sample": sample[part], "timestep": timesteps[part], **conditions}

    together = run(**some(slice(0, 3)))[0]
    alone = np.concatenate([run(**some(slice(i, i + 1)))[0] for i in range(3)])
    return {
        "unet_batch3_vs_single_max_abs": float(np.abs(together - alone).max()),
        "unet_onnx_vs_torch_max_abs": largest_difference(together, unet(**some(slice(0, 3)))),
        "unet_ms_batch1": milliseconds(lambda: run(**some(slice(0, 1)))),
        "unet_ms_batch2": milliseconds(lambda: run(**some(slice(0, 2)))),
    }


def export_sd(work: Path, out: Path) -> dict[str, float]:
    """The text-to-image checkpoint. Returns what the check found."""
    pipeline = load_pipeline(work / "sd", work / "vae", work / "tokenizer")
    pipeline.save_pretrained(out)
    # As make_tokenizer.py wrote it: newer versions of transformers save tokenizer.json alone.
    shutil.copytree(work / "tokenizer", out / "tokenizer", dirs_exist_ok=True)
    for part in ("vae_encoder", "vae_decoder"):
        (out / part).mkdir(exist_ok=True)
        shutil.copy(out / "vae" / "config.json", out / part / "config.json")
    scrub(out)
    tokenizer, vae = pipeline.tokenizer, pipeline.vae.eval()
    length, width = tokenizer.model_max_length, pipeline.text_encoder.config.hidden_size
    text, unet = TextEncoder(pipeline.text_encoder.eval()), ConditionalUnet(pipeline.unet.eval())
    encoder, decoder = Encoder(vae), Decoder(vae)

    run_unet = export(
        unet,
        (torch.randn(2, 4, 16, 16), torch.tensor([7, 9]), torch.randn(2, length, width)),
        out / "unet" / "model.onnx",
        {"sample": IMAGE, "timestep": BATCH, "encoder_hidden_states": SEQUENCE},
        {"out_sample": IMAGE},
    )
    run_text = export(
        text,
        (torch.ones(2, length, dtype=torch.int32),),
        out / "text_encoder" / "model.onnx",
        {"input_ids": SEQUENCE},
        {"last_hidden_state": SEQUENCE, "pooler_output": BATCH},
    )
    run_encoder = export(
        encoder,
        (torch.randn(1, 3, 64, 64),),
        out / "vae_encoder" / "model.onnx",
        {"sample": IMAGE},
        {"latent_parameters": LATENT},
    )
    run_decoder = export(
        decoder,
        (torch.randn(1, 4, 16, 16),),
        out / "vae_decoder" / "model.onnx",
        {"latent_sample": LATENT},
        {"sample": IMAGE},
    )

    torch.manual_seed(0)
    prompts = ["a red apple", "", "a dog, emoji style"]
    ids = torch.tensor(tokenizer(prompts, padding="max_length", truncation=True).input_ids, dtype=torch.int32)
    with torch.no_grad():
        hidden, pooled = text(ids)
        found_hidden, found_pooled = run_text(input_ids=ids)
        found = {
            "text_encoder_max_abs": max(
                largest_difference(found_hidden, hidden), largest_difference(found_pooled, pooled)
            ),
            **check_unet(run_unet, unet, torch.randn(3, 4, 16, 16), hidden),
        }
        other = {
            "sample": torch.randn(3, 4, 24, 20),
            "timestep": torch.tensor([1, 500, 999]),
            "encoder_hidden_states": hidden,
        }
        found["unet_other_size_max_abs"] = largest_difference(run_unet(**other)[0], unet(**other))
        latents, pictures = other["sample"], torch.rand(2, 3, 96, 80) * 2 - 1
        found["vae_decoder_max_abs"] = largest_difference(run_decoder(latent_sample=latents)[0], decoder(latents))
        found["vae_encoder_max_abs"] = largest_difference(run_encoder(sample=pictures)[0], encoder(pictures))
    one = torch.randn(1, 4, 16, 16)
    found["vae_decoder_ms"] = milliseconds(lambda: run_decoder(latent_sample=one))
    return found


def export_ddpm(work: Path, out: Path) -> dict[str, float]:
    """The unconditional checkpoint. Returns what the check found."""
    pipeline = DDPMPipeline.from_pretrained(work / "ddpm")
    pipeline.unet.to(memory_format=torch.contiguous_format)
    pipeline.save_pretrained(out)
    scrub(out)
    unet = UnconditionalUnet(pipeline.unet.eval())
    run = export(
        unet,
        (torch.randn(2, 3, 32, 32), torch.tensor([7, 9])),
        out / "unet" / "model.onnx",
        {"sample": IMAGE, "timestep": BATCH},
        {"out_sample": IMAGE},
    )
    torch.manual_seed(0)
    with torch.no_grad():
        return check_unet(run, unet, torch.randn(3, 3, 32, 32), None)


CHECKPOINTS = {"sd": (export_sd, ("vae", "sd")), "ddpm": (export_ddpm, ("ddpm",))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="holds vae/, tokenizer/, sd/ and ddpm/ as the other scripts left them")
    parser.add_argument(
        "out", type=Path, help="folder to write emoji-sd and emoji-ddpm into, in place of what is there"
    )
    parser.add_argument("--only", choices=sorted(CHECKPOINTS), help="write this one alone")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    warnings.filterwarnings("ignore")

    for name, (write, parts) in CHECKPOINTS.items():
        if args.only not in (None, name):
            continue
        folder = args.out / f"emoji-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        found = write(args.work, folder)
        logs = {part: args.work / part / "training.json" for part in parts}
        training = {part: json.loads(path.read_text()) for part, path in logs.items() if path.exists()}
        (folder / "training.json").write_text(json.dumps({"training": training, "onnx_checks": found}, indent=1))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"emoji-{name}, {size / 1e6:.1f} MB", json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
