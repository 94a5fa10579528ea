"""The requests of ../families: each tells a checkpoint, a task, and fields by diffusers' names."""

import diffusers

from tiny_pipelines import SD_BETAS

PROMPT = "An image of a squirrel in Picasso style"
NEGATIVE = "blurry, low quality"
LONG_PROMPT = ", ".join(["a red heart and a yellow cat, sitting in the snow under the moon"] * 8) + ", THE END"
SD = {**SD_BETAS, "steps_offset": 1}
TRAILING = {**SD_BETAS, "timestep_spacing": "trailing"}
SQUARE = {"width": 32, "height": 32}
# Steps, as NVIDIA aligned them to Stable Diffusion.
ALIGNED_STEPS = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]

CASES: list[dict] = []


def scheduler(name: str, **config: object) -> dict:
    """A scheduler with its whole config, as diffusers saves it."""
    made = getattr(diffusers, f"{name}Scheduler")(**config)
    settings = {key: value for key, value in made.config.items() if not key.startswith("_")}
    return {"_class_name": f"{name}Scheduler", **settings}


def case(name: str, checkpoint: str, task: str, sampler: dict, **request: object) -> None:
    prompt = {} if task == "unconditional-image-generation" else {"prompt": PROMPT}
    fields = {**prompt, "scheduler": sampler, **request, "seed": request.get("seed", 100 + len(CASES))}
    CASES.append({"name": name, "checkpoint": checkpoint, "task": task, "request": fields})


def text(name: str, checkpoint: str, sampler: dict, steps: int = 6, guidance: float = 5.0, **request: object) -> None:
    request = {**SQUARE, "num_inference_steps": steps, "guidance_scale": guidance, **request}
    case(name, checkpoint, "text-to-image", sampler, **request)


def image(name: str, checkpoint: str, sampler: dict, steps: int = 8, guidance: float = 5.0, **request: object) -> None:
    request = {
        "image": "init.png",
        "strength": 0.6,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        **request,
    }
    case(name, checkpoint, "image-to-image", sampler, **request)


def inpaint(
    name: str, checkpoint: str, sampler: dict, steps: int = 6, guidance: float = 5.0, **request: object
) -> None:
    request = {**SQUARE, "image": "init.png", "mask_image": "mask.png", "strength": 1.0, **request}
    case(name, checkpoint, "inpainting", sampler, num_inference_steps=steps, guidance_scale=guidance, **request)


def stable_diffusion() -> None:
    euler, dpm = scheduler("EulerDiscrete", **SD), scheduler("DPMSolverMultistep", **SD)
    pndm = scheduler("PNDM", **SD, skip_prk_steps=True)
    text("sd/txt2img/rescale", "tiny-sd", euler, guidance=9.0, guidance_rescale=0.7)
    text("sd/txt2img/long prompt", "tiny-sd", euler, prompt=LONG_PROMPT, negative_prompt=NEGATIVE)
    text("sd/txt2img/timesteps", "tiny-sd", dpm, steps=10, timesteps=ALIGNED_STEPS)
    text("sd/txt2img/timesteps euler", "tiny-sd", euler, steps=4, timesteps=[999, 700, 400, 100])
    text("sd/txt2img/sigmas", "tiny-sd", euler, steps=5, sigmas=[14.6146, 6.3184, 3.7681, 1.3405, 0.4, 0.0])
    text(
        "sd/txt2img/sde karras",
        "tiny-sd",
        scheduler("DPMSolverMultistep", **SD, algorithm_type="sde-dpmsolver++", use_karras_sigmas=True),
    )
    text("sd/txt2img/3m", "tiny-sd", scheduler("DPMSolverMultistep", **SD, solver_order=3), steps=8)
    text("sd/txt2img/singlestep", "tiny-sd", scheduler("DPMSolverSinglestep", **SD_BETAS, use_karras_sigmas=True))
    text("sd/txt2img/k_dpm_2_a", "tiny-sd", scheduler("KDPM2AncestralDiscrete", **SD), width=48)
    text("sd/txt2img/deis", "tiny-sd", scheduler("DEISMultistep", **SD), height=48)
    text("sd/txt2img/ddim eta", "tiny-sd", scheduler("DDIM", **SD, clip_sample=False), eta=0.7)
    text("sd/txt2img/lcm", "tiny-sd", scheduler("LCM"), steps=4, guidance=1.0)
    text("sd/txt2img/tcd", "tiny-sd", scheduler("TCD"), steps=4, guidance=1.0)
    text("sd/txt2img/tcd eta", "tiny-sd", scheduler("TCD"), steps=5, guidance=2.0, eta=0.5)
    image("sd/img2img/resized", "tiny-sd", euler, image="wide.png")
    image("sd/img2img/resized tall", "tiny-sd", pndm, image="tall.png", strength=0.8)
    image("sd/img2img/heun", "tiny-sd", scheduler("HeunDiscrete", **SD), strength=0.5)
    image("sd/img2img/k_dpm_2", "tiny-sd", scheduler("KDPM2Discrete", **SD), strength=0.75)
    image("sd/img2img/timesteps", "tiny-sd", dpm, steps=10, timesteps=ALIGNED_STEPS)
    image("sd/img2img/lcm", "tiny-sd", scheduler("LCM"), steps=4, guidance=1.5)
    image("sd/img2img/whole", "tiny-sd", scheduler("DDIM", **SD, clip_sample=False), strength=1.0, steps=5)
    inpaint("sd/inpaint/half", "tiny-sd", euler, steps=8, strength=0.5)
    inpaint("sd/inpaint/euler_a", "tiny-sd", scheduler("EulerAncestralDiscrete", **SD), strength=0.8)
    inpaint("sd/inpaint/crop", "tiny-sd", euler, image="wide.png", mask_image="wide-mask.png", padding_mask_crop=6)
    inpaint(
        "sd/inpaint/crop half",
        "tiny-sd",
        dpm,
        steps=8,
        strength=0.5,
        image="tall.png",
        mask_image="tall-mask.png",
        padding_mask_crop=0,
        width=40,
    )
    inpaint("sd/inpaint/resized", "tiny-sd", pndm, image="wide.png", mask_image="wide-mask.png", width=40, height=24)
    inpaint(
        "sd/inpaint9/crop", "tiny-sd-inpaint", euler, image="wide.png", mask_image="wide-mask.png", padding_mask_crop=4
    )
    inpaint("sd/inpaint9/half", "tiny-sd-inpaint", scheduler("UniPCMultistep", **SD), steps=8, strength=0.5)
    for name, file, steps in (("square", "init.png", 6), ("wide", "wide.png", 8)):
        request = {"image": file, "strength": 0.8, "num_inference_steps": steps, "guidance_scale": 5.0}
        case(f"sd/depth/{name}", "tiny-sd-depth", "depth-to-image", euler, **request)
    for name, prompt in (("flagged", PROMPT), ("shown", "a green heart"), ("special", "a rocket in the night")):
        text(f"sd/safety/{name}", "tiny-sd-safe", euler, steps=4, prompt=prompt)


def later_stable_diffusion() -> None:
    v = {"prediction_type": "v_prediction"}
    zero_snr = scheduler(
        "DDIM", **TRAILING, **v, rescale_betas_zero_snr=True, clip_sample=False, set_alpha_to_one=False
    )
    image("sd2/img2img", "tiny-sd2", scheduler("EulerDiscrete", **SD, **v))
    image(
        "sd2/img2img/karras",
        "tiny-sd2",
        scheduler("DPMSolverMultistep", **SD, **v, use_karras_sigmas=True),
        image="wide.png",
    )
    text("sd2/txt2img/zero snr", "tiny-sd2", zero_snr, guidance=7.5, guidance_rescale=0.7)
    text(
        "sd2/txt2img/zero snr euler",
        "tiny-sd2",
        scheduler("EulerDiscrete", **TRAILING, **v, rescale_betas_zero_snr=True),
    )
    inpaint("sd2/inpaint", "tiny-sd2", zero_snr, strength=0.8)
    text(
        "lcm/txt2img/original steps", "tiny-lcm", scheduler("LCM"), steps=4, guidance=8.5, original_inference_steps=100
    )
    image("lcm/img2img", "tiny-lcm", scheduler("LCM"), steps=4, guidance=8.5, strength=0.8)
    image(
        "lcm/img2img/original steps",
        "tiny-lcm",
        scheduler("LCM"),
        steps=5,
        guidance=3.0,
        strength=0.5,
        original_inference_steps=40,
    )


def sdxl() -> None:
    xl = {**SD, "timestep_spacing": "leading"}
    euler, dpm = scheduler("EulerDiscrete", **xl), scheduler("DPMSolverMultistep", **SD, use_karras_sigmas=True)
    turbo = scheduler("EulerAncestralDiscrete", **TRAILING)
    parts = {"refiner": "tiny-sdxl-refiner", "denoising_end": 0.8}
    text("sdxl/refined", "tiny-sdxl", euler, steps=10, **parts)
    text(
        "sdxl/refined/karras",
        "tiny-sdxl",
        dpm,
        steps=8,
        width=40,
        negative_prompt=NEGATIVE,
        refiner="tiny-sdxl-refiner",
        denoising_end=0.6,
    )
    for steps in (1, 2, 4):
        text(f"sdxl/turbo/{steps}", "tiny-sdxl", turbo, steps=steps, guidance=0.0)
    image("sdxl/turbo/img2img", "tiny-sdxl", turbo, steps=2, guidance=0.0, strength=0.5)
    text("sdxl/lightning", "tiny-sdxl", scheduler("EulerDiscrete", **TRAILING), steps=4, guidance=0.0)
    text("sdxl/sizes", "tiny-sdxl", euler, original_size=[64, 48], crops_coords_top_left=[8, 4], target_size=[40, 36])
    text("sdxl/long prompt", "tiny-sdxl", euler, prompt=LONG_PROMPT, negative_prompt="")
    image("sdxl/img2img", "tiny-sdxl", euler, image="wide.png", negative_prompt=NEGATIVE)
    inpaint("sdxl/inpaint", "tiny-sdxl", euler)
    inpaint("sdxl/inpaint/most", "tiny-sdxl", dpm, strength=0.9999)
    inpaint("sdxl/inpaint/half", "tiny-sdxl", dpm, strength=0.5, negative_prompt=NEGATIVE)
    inpaint(
        "sdxl/inpaint/crop",
        "tiny-sdxl",
        euler,
        image="wide.png",
        mask_image="wide-mask.png",
        padding_mask_crop=6,
        strength=0.7,
    )
    image("sdxl/refiner", "tiny-sdxl-refiner", euler, strength=0.3, steps=10)
    image(
        "sdxl/refiner/scores",
        "tiny-sdxl-refiner",
        dpm,
        aesthetic_score=7.5,
        negative_aesthetic_score=2.0,
        negative_prompt=NEGATIVE,
    )


def flow_matching() -> None:
    sd3, even = scheduler("FlowMatchEulerDiscrete", shift=3.0), scheduler("FlowMatchEulerDiscrete")
    for name, checkpoint, sampler in (("sd3", "tiny-sd3", sd3), ("sd3 without t5", "tiny-sd3-no-t5", even)):
        text(f"{name}/txt2img", checkpoint, sampler, negative_prompt=NEGATIVE, max_sequence_length=40)
        image(f"{name}/img2img", checkpoint, sampler, **SQUARE, max_sequence_length=40)
        inpaint(f"{name}/inpaint", checkpoint, sampler, strength=0.7, max_sequence_length=40)
    text("sd3/txt2img/wide", "tiny-sd3", sd3, width=56, height=24, max_sequence_length=40)
    text("sd3/txt2img/no guidance", "tiny-sd3", sd3, guidance=1.0, max_sequence_length=40)
    text("sd3/txt2img/long prompt", "tiny-sd3", sd3, prompt=LONG_PROMPT, max_sequence_length=64)
    inpaint("sd3/inpaint/whole", "tiny-sd3", sd3, max_sequence_length=40)

    dev, length = scheduler("FlowMatchEulerDiscrete", shift=3.0, use_dynamic_shifting=True), {"max_sequence_length": 48}
    for name, checkpoint, sampler, guidance in (
        ("dev", "tiny-flux", dev, 3.5),
        ("schnell", "tiny-flux-schnell", even, 0.0),
    ):
        text(f"flux/{name}/txt2img", checkpoint, sampler, steps=4, guidance=guidance, **length)
        text(
            f"flux/{name}/txt2img/wide", checkpoint, sampler, steps=4, guidance=guidance, width=48, height=20, **length
        )
        image(f"flux/{name}/img2img", checkpoint, sampler, guidance=guidance, **SQUARE, **length)
        inpaint(f"flux/{name}/inpaint", checkpoint, sampler, guidance=guidance, strength=0.7, **length)
    text("flux/dev/txt2img/sigmas", "tiny-flux", dev, steps=4, guidance=2.0, sigmas=[1.0, 0.8, 0.5, 0.2], **length)
    image(
        "flux/dev/img2img/wide",
        "tiny-flux",
        dev,
        image="wide.png",
        width=48,
        height=32,
        strength=0.8,
        guidance=3.5,
        **length,
    )


def unconditional() -> None:
    task = "unconditional-image-generation"
    case("ddpm", "tiny-ddpm", task, scheduler("DDPM"), num_inference_steps=6)
    case("ddpm/ddim", "tiny-ddpm", task, scheduler("DDIM"), num_inference_steps=6, eta=0.4)
    learned = {"variance_type": "learned_range"}
    for name in ("DDPM", "DPMSolverMultistep"):
        case(f"ddpm/learned/{name}", "tiny-ddpm-learned", task, scheduler(name, **learned), num_inference_steps=6)


def corners() -> None:
    """What random requests found to differ once."""
    euler, xl = scheduler("EulerDiscrete", **SD), {**SD, "timestep_spacing": "leading"}
    cut = {"image": "tall.png", "mask_image": "tall-mask.png", "padding_mask_crop": 6}
    # Its pipeline takes no guidance_rescale and does not say so.
    image("sd/img2img/rescale", "tiny-sd", euler, guidance=9.0, guidance_rescale=0.7)
    inpaint("sd/inpaint/colour mask", "tiny-sd", euler, image="wide.png", mask_image="colour-mask.png", width=40)
    # Its picture is black, what lies around is not.
    inpaint("sd/safety/crop", "tiny-sd-safe", euler, **cut, width=48)
    image("sd/safety/img2img", "tiny-sd-safe", euler, strength=0.9)
    text("sd2/txt2img/exclamation", "tiny-sd2", scheduler("EulerDiscrete", **SD), prompt="a cat! a dog!! ? :-)")
    text("sdxl/txt2img/exclamation", "tiny-sdxl", scheduler("EulerDiscrete", **xl), prompt="a cat! a dog!! ? :-)")
    parts = {"refiner": "tiny-sdxl-refiner", "denoising_end": 0.6}
    shorter = scheduler("EulerDiscrete", **xl, num_train_timesteps=500)
    text("sdxl/refined/shorter training", "tiny-sdxl", shorter, steps=10, **parts)
    dev = scheduler("FlowMatchEulerDiscrete", shift=3.0, use_dynamic_shifting=True)
    sigmas = {"sigmas": [0.9, 0.7, 0.4], "max_sequence_length": 48}
    inpaint("flux/dev/inpaint/sigmas", "tiny-flux", dev, steps=3, guidance=2.0, **sigmas)
    image("lcm/img2img/timesteps", "tiny-lcm", scheduler("LCM"), steps=6, timesteps=[863, 612, 479, 336, 290, 205])


for add in (stable_diffusion, later_stable_diffusion, sdxl, flow_matching, unconditional, corners):
    add()
