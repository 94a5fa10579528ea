"""Traces of diffusers' schedulers for the config keys that ../schedulers.json leaves at their defaults.

    python make_schedulers.py ../schedulers-more.json
    python make_schedulers.py --missing ../schedulers-more.json    # only what the file lacks; the rest stays as it is
    python make_schedulers.py --verify ../schedulers.json      # is this the loop that made those?

Needs diffusers, scipy, torch, torchsde (requirements.txt). The format is that of ../README.md.
"""

import argparse
import base64
import json
import warnings
from inspect import signature

import diffusers
import numpy as np
import torch

TOLERANCE = 1e-4
# torchsde rounds times to 1e-6: where the last bit of a noise level moves one, the path moves by the root of that.
BROWNIAN_TOLERANCE = 1e-3
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
THRESHOLD = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5}
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
SPACINGS = ("linspace", "leading", "trailing")
FEW_BETAS = {"num_train_timesteps": 20, "trained_betas": [round(0.01 + 0.012 * i, 3) for i in range(20)]}

CASES: list[dict] = []


def case(
    name: str,
    config: dict | None = None,
    *,
    steps: int = 6,
    model: str = "wave",
    start: int = 0,
    given: dict | None = None,
    **step_kwargs: float | bool,
) -> None:
    """One more trace of a scheduler, under a name that tells what is new in it."""
    config = config or {}
    words = [
        f"{key}={value}" for key, value in config.items() if key not in ("beta_start", "beta_end", "trained_betas")
    ]
    words += [f"{key}={value}" for key, value in {**(given or {}), **step_kwargs}.items()]
    words += [f"start_step={start}"] * (start > 0) + [f"steps={steps}"] * (steps != 6)
    one = {
        "name": f"{name}Scheduler/{','.join(words).replace(' ', '') or 'defaults'}",
        "scheduler": {"_class_name": f"{name}Scheduler", **config},
        "num_inference_steps": steps,
        "set_timesteps": given or {},
        "seed": 1000 + len(CASES),
        "model": model,
        "shape": [1, 4, 4, 4],
        "start_step": start,
    }
    CASES.append({**one, "step_kwargs": step_kwargs} if step_kwargs else one)


def each_class() -> None:
    """What many classes have, for each that has it."""
    names = """DDIM DDPM PNDM LMSDiscrete EulerDiscrete EulerAncestralDiscrete HeunDiscrete KDPM2Discrete
        KDPM2AncestralDiscrete DPMSolverMultistep DPMSolverSinglestep DEISMultistep UniPCMultistep SASolver LCM TCD
        DDIMInverse DPMSolverMultistepInverse DPMSolverSDE""".split()
    for name in names:
        keys = signature(getattr(diffusers, f"{name}Scheduler").__init__).parameters
        seed = {"noise_sampler_seed": 7} if "noise_sampler_seed" in keys else {}
        inverse = name.endswith("Inverse")
        for flag in ("use_beta_sigmas", "use_exponential_sigmas", "use_karras_sigmas"):
            if flag in keys:
                case(name, {**SD, flag: True, **seed})
        if "use_beta_sigmas" in keys and not inverse:
            case(
                name,
                {**SD, "use_beta_sigmas": True, **({"steps_offset": 1} if "steps_offset" in keys else {}), **seed},
                start=2,
            )
        if "timestep_spacing" in keys and name not in ("LCM", "TCD"):
            case(name, {**SD, "timestep_spacing": "trailing", **seed}, steps=7)
        if name != "PNDM":
            case(
                name,
                {**FEW_BETAS, **seed, **({"original_inference_steps": 10} if name in ("LCM", "TCD") else {})},
                steps=5,
            )
        if "thresholding" in keys:
            case(name, {**SD, **THRESHOLD, **seed})
        if "rescale_betas_zero_snr" in keys and name not in ("LCM", "TCD"):
            case(
                name,
                {
                    **SD,
                    "rescale_betas_zero_snr": True,
                    "prediction_type": "v_prediction",
                    "timestep_spacing": "trailing",
                },
            )


def ancestors_of_all() -> None:
    for eta in (0.3, 1.0):
        case("DDIM", {**SD, "clip_sample": False}, eta=eta)
    case("DDIM", {"clip_sample_range": 2.0}, eta=0.5, use_clipped_model_output=True)
    case("DDIM", {**SD, "clip_sample": False, "timestep_spacing": "trailing"}, eta=0.5, start=2)
    case("DDIM", {"prediction_type": "sample"}, eta=0.2)
    for variance in ("fixed_small", "fixed_small_log", "fixed_large"):
        case("DDPM", {"variance_type": variance, "clip_sample_range": 2.0})
    for schedule in ("sigmoid", "laplace"):
        case("DDPM", {"beta_schedule": schedule})
    case("DDPM", given={"timesteps": [950, 700, 420, 130, 3]})
    case("DDPM", {**SD, "prediction_type": "sample"}, start=3)
    case("PNDM", {**SD, "skip_prk_steps": True, "steps_offset": 1}, start=2)
    case("PNDM", {**SD, "skip_prk_steps": True, "set_alpha_to_one": True, "prediction_type": "v_prediction"})
    case("PNDM", steps=5)
    for spacing in SPACINGS:
        case("PNDM", {**SD, "skip_prk_steps": True, "timestep_spacing": spacing, "steps_offset": 1}, steps=7)
        case(
            "DDIMInverse",
            {**SD, "timestep_spacing": spacing if spacing != "linspace" else "leading", "steps_offset": 1},
            steps=5,
        )
    case("DDIMInverse", {"clip_sample_range": 2.0, "set_alpha_to_one": False, "prediction_type": "sample"})


def karras_family() -> None:
    for spacing in SPACINGS:
        base = {**SD, "timestep_spacing": spacing, "steps_offset": 1}
        case("EulerDiscrete", {**base, "interpolation_type": "log_linear"})
        case("EulerDiscrete", {**base, "use_beta_sigmas": True, "prediction_type": "v_prediction"})
        case("DPMSolverSDE", {**base, "noise_sampler_seed": 3})
    case(
        "EulerDiscrete",
        {**SD, "timestep_type": "continuous", "prediction_type": "v_prediction", "use_karras_sigmas": True},
    )
    bounds = {"sigma_min": 0.1, "sigma_max": 10.0}
    case("EulerDiscrete", {**SD, **bounds, "use_karras_sigmas": True})
    case("EulerDiscrete", {**SD, **bounds, "use_exponential_sigmas": True})
    case("EulerDiscrete", {**SD, "timestep_type": "continuous", **bounds, "prediction_type": "v_prediction"})
    case("EulerDiscrete", {**SD, "prediction_type": "sample"}, model="affine")
    case("EulerDiscrete", {**SD, "final_sigmas_type": "sigma_min", "use_beta_sigmas": True})
    case("EulerDiscrete", SD, given={"timesteps": [999, 850, 600, 350, 100, 10]})
    case("EulerDiscrete", {**SD, "final_sigmas_type": "sigma_min"}, given={"timesteps": [999, 749, 499, 249]})
    case("EulerDiscrete", SD, given={"sigmas": [14.6146, 6.3184, 3.7681, 2.1811, 1.3405, 0.0]})
    case("EulerDiscrete", {**SD, "steps_offset": 1}, given={"sigmas": [10.0, 3.0, 1.0, 0.3, 0.0]}, start=1)
    case("EulerDiscrete", SD, s_churn=2.0)
    case("EulerDiscrete", SD, s_churn=4.0, s_tmin=0.5, s_tmax=8.0, s_noise=1.01)
    case("EulerDiscrete", {**SD, "use_karras_sigmas": True}, s_churn=1.0, start=2)
    case("EulerAncestralDiscrete", {**SD, "timestep_spacing": "trailing"}, start=3, steps=7)
    case("EulerAncestralDiscrete", SD, steps=1)
    case("EulerAncestralDiscrete", {**SD, "timestep_spacing": "trailing"}, steps=4, model="affine")
    case("LMSDiscrete", SD, order=1)
    case("LMSDiscrete", SD, order=2, steps=7)
    case("LMSDiscrete", {**SD, "use_karras_sigmas": True}, order=3, start=1)
    case("LMSDiscrete", {**SD, "prediction_type": "sample"}, model="dummy")
    case("HeunDiscrete", {**SD, "clip_sample": True, "clip_sample_range": 1.5})
    case("HeunDiscrete", {"beta_schedule": "exp"})
    case("HeunDiscrete", {**SD, "prediction_type": "sample"}, model="affine")
    case("HeunDiscrete", SD, given={"timesteps": [999, 800, 550, 300, 50]})
    case("HeunDiscrete", SD, given={"timesteps": [999, 700, 400, 100]}, start=1)
    for name in ("KDPM2Discrete", "KDPM2AncestralDiscrete"):
        case(name, {**SD, "use_exponential_sigmas": True, "timestep_spacing": "trailing"}, start=2)
        case(
            name,
            {
                **SD,
                "use_beta_sigmas": True,
                "timestep_spacing": "leading",
                "steps_offset": 1,
                "prediction_type": "v_prediction",
            },
        )
    case("DPMSolverSDE", {**SD, "noise_sampler_seed": 0, "prediction_type": "v_prediction"}, s_noise=0.9)
    case("DPMSolverSDE", {**SD, "noise_sampler_seed": 1234567}, start=2)
    case("DPMSolverSDE", {"noise_sampler_seed": 11}, model="dummy", steps=8)
    case("DPMSolverSDE", {**SD, "noise_sampler_seed": 5, "use_karras_sigmas": True}, start=3, steps=8)
    for sigma_schedule in ("karras", "exponential"):
        case(
            "EDMEuler",
            {"sigma_schedule": sigma_schedule, "sigma_min": 0.01, "sigma_max": 20.0, "rho": 5.0, "sigma_data": 0.7},
        )
        case(
            "EDMEuler", {"sigma_schedule": sigma_schedule, "final_sigmas_type": "sigma_min"}, s_churn=3.0, s_noise=1.02
        )
        case(
            "EDMDPMSolverMultistep",
            {"sigma_schedule": sigma_schedule, "sigma_min": 0.01, "sigma_max": 20.0, "rho": 5.0, "sigma_data": 0.7},
        )
    case("EDMEuler", {"prediction_type": "v_prediction"}, start=2)
    for algorithm in ("dpmsolver++", "sde-dpmsolver++"):
        for order, solver in ((2, "midpoint"), (2, "heun"), (3, "midpoint")):
            if order == 3 and algorithm.startswith("sde"):
                continue  # UnboundLocalError in diffusers
            case("EDMDPMSolverMultistep", {"algorithm_type": algorithm, "solver_order": order, "solver_type": solver})
    case("EDMDPMSolverMultistep", {"lower_order_final": False, "final_sigmas_type": "sigma_min"})
    case("EDMDPMSolverMultistep", {"euler_at_final": True, "prediction_type": "v_prediction"})
    case("EDMDPMSolverMultistep", THRESHOLD, start=2)
    case("IPNDM", steps=5)
    case("IPNDM", {"num_train_timesteps": 500}, steps=7)


def solvers() -> None:
    for algorithm in ("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"):
        # dpmsolver has no finite step to noise level zero.
        final = {} if algorithm.endswith("++") else {"final_sigmas_type": "sigma_min"}
        for order, solver in ((1, "midpoint"), (2, "midpoint"), (2, "heun"), (3, "midpoint")):
            config = {**SD, "algorithm_type": algorithm, "solver_order": order, "solver_type": solver, **final}
            if order < 3 or algorithm != "sde-dpmsolver":  # else UnboundLocalError in diffusers
                case("DPMSolverMultistep", config)
            if algorithm != "sde-dpmsolver":
                case("DPMSolverSinglestep", config)
            if order > 1 and not algorithm.startswith("sde-dpmsolver"):
                case("DPMSolverMultistepInverse", {k: v for k, v in config.items() if k != "final_sigmas_type"})
    case("DPMSolverMultistep", {**SD, "algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True}, start=2)
    case(
        "DPMSolverMultistep",
        {**SD, "algorithm_type": "sde-dpmsolver++", "solver_order": 3, "timestep_spacing": "trailing"},
        steps=8,
    )
    case("DPMSolverMultistep", {**SD, "use_lu_lambdas": True, "final_sigmas_type": "sigma_min"})
    case("DPMSolverMultistep", {**SD, "use_lu_lambdas": True, "prediction_type": "v_prediction"}, start=2)
    case("DPMSolverMultistep", {**SD, "euler_at_final": True, "solver_order": 3}, steps=8)
    case(
        "DPMSolverMultistep",
        {**SD, "lower_order_final": False, "final_sigmas_type": "sigma_min", "solver_order": 3},
        steps=8,
    )
    case("DPMSolverMultistep", {**COSINE, "lambda_min_clipped": -5.1})
    case("DPMSolverMultistep", SD, given={"timesteps": [999, 850, 600, 350, 100, 10]})
    case("DPMSolverMultistep", SD, given={"timesteps": [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]}, start=3)
    case("DPMSolverSinglestep", SD, given={"timesteps": [999, 850, 600, 350, 100, 10]})
    case("DPMSolverSinglestep", {**SD, "lower_order_final": True, "solver_order": 3}, steps=8)
    case("DPMSolverSinglestep", {**SD, "solver_order": 3, "solver_type": "heun"}, steps=6)
    case(
        "DPMSolverSinglestep",
        {**SD, "solver_order": 2, "prediction_type": "v_prediction", "use_karras_sigmas": True},
        steps=7,
    )
    case("DPMSolverSinglestep", {**COSINE, "lambda_min_clipped": -5.1})
    case("DPMSolverSinglestep", {**SD, "solver_order": 2}, steps=7, start=2)
    for order in (1, 2, 3):
        case("DEISMultistep", {**SD, "solver_order": order}, steps=7)
        case("DEISMultistep", {**SD, "solver_order": order, "use_karras_sigmas": True}, start=2, steps=7)
    case("DEISMultistep", {**SD, "lower_order_final": False, "solver_order": 3}, steps=7)
    case("DEISMultistep", {**SD, "prediction_type": "sample"}, model="dummy")
    for order in (1, 2, 3):
        case("UniPCMultistep", {**SD, "solver_order": order}, steps=7)
        case(
            "UniPCMultistep",
            {**SD, "solver_order": order, "predict_x0": False, "final_sigmas_type": "sigma_min"},
            steps=7,
        )
        case(
            "UniPCMultistep",
            {**SD, "solver_order": order, "solver_type": "bh1", "final_sigmas_type": "sigma_min"},
            steps=7,
        )
    case("UniPCMultistep", {**SD, "disable_corrector": [0, 1, 2]})
    case("UniPCMultistep", {**SD, "lower_order_final": False, "solver_order": 3, "final_sigmas_type": "sigma_min"})
    case("UniPCMultistep", {**SD, "solver_order": 3}, start=2, steps=8)
    for predictor, corrector in ((1, 1), (2, 1), (1, 2), (3, 3), (4, 4)):
        case("SASolver", {**SD, "predictor_order": predictor, "corrector_order": corrector}, steps=8)
    case("SASolver", {**SD, "algorithm_type": "noise_prediction", "predictor_order": 3}, steps=7)
    case("SASolver", {**SD, "lower_order_final": False, "prediction_type": "sample"}, steps=7)
    case("SASolver", SD, start=2, steps=7)
    case(
        "DPMSolverMultistepInverse",
        {**SD, "prediction_type": "v_prediction", "timestep_spacing": "leading", "steps_offset": 1},
    )
    case("DPMSolverMultistepInverse", {**SD, "lower_order_final": False, "solver_order": 3})
    case("DPMSolverMultistepInverse", {**SD, "prediction_type": "sample", "euler_at_final": True}, model="dummy")


def flows() -> None:
    for name in ("DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep", "SASolver"):
        case(name, FLOW)
        case(name, {**FLOW, "flow_shift": 1.0}, start=2, steps=7)
    for name in ("DPMSolverMultistep", "UniPCMultistep"):
        case(name, {**FLOW, "solver_order": 3, "final_sigmas_type": "sigma_min"}, steps=7)
        case(name, {**FLOW, "flow_shift": 1.0, "use_dynamic_shifting": True}, given={"mu": 0.8})
    case("DPMSolverMultistep", {**FLOW, "algorithm_type": "sde-dpmsolver++"})
    case("DPMSolverMultistepInverse", FLOW)
    case("UniPCMultistep", {**FLOW, "shift_terminal": 0.1})
    case("UniPCMultistep", {**FLOW, "use_karras_sigmas": True})

    for name in ("FlowMatchEulerDiscrete", "FlowMatchLCM"):
        case(name)
        for shift in (0.5, 3.0):
            case(name, {"shift": shift}, start=2)
        for flag in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"):
            case(name, {"shift": 3.0, flag: True}, steps=7)
        case(name, {"invert_sigmas": True})
        case(name, {"shift": 3.0, "shift_terminal": 0.1})
        for shape in ("exponential", "linear"):
            case(name, {"use_dynamic_shifting": True, "time_shift_type": shape}, given={"mu": 1.15})
        case(name, {"use_dynamic_shifting": True, "shift_terminal": 0.02}, given={"mu": 0.7}, start=1, steps=8)
        case(name, {"shift": 3.0}, given={"sigmas": [1.0, 0.75, 0.5, 0.25]})
        case(name, {"use_dynamic_shifting": True}, given={"sigmas": [1.0, 0.8, 0.6, 0.4, 0.2], "mu": 0.5})
        case(name, {"num_train_timesteps": 500, "shift": 2.0}, model="affine")
    for stochastic in ({}, {"shift": 3.0}):
        case("FlowMatchEulerDiscrete", {**stochastic, "stochastic_sampling": True}, steps=7)
    case("FlowMatchEulerDiscrete", given={"timesteps": [1000.0, 900.0, 600.0, 250.0]})
    case("FlowMatchHeunDiscrete", {"shift": 2.0, "num_train_timesteps": 500})
    case("FlowMatchHeunDiscrete", {"shift": 3.0}, start=3, steps=8)
    case("FlowMatchHeunDiscrete", s_churn=1.0)


def distilled() -> None:
    for name in ("LCM", "TCD"):
        for steps in (1, 2, 4, 8):
            case(name, steps=steps)
        case(name, {"original_inference_steps": 25}, steps=4)
        case(name, {"timestep_scaling": 3.0, "set_alpha_to_one": False}, steps=4)
        case(name, {"clip_sample": True, "clip_sample_range": 1.5}, steps=4)
        case(name, {"prediction_type": "sample"}, steps=4, model="dummy")
        case(name, {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, steps=4)
        case(name, given={"original_inference_steps": 100}, steps=5)
        case(name, given={"strength": 0.5}, steps=4)
        case(name, given={"original_inference_steps": 40, "strength": 0.8}, steps=4)
        case(name, given={"timesteps": [999, 759, 499, 259]})
        case(name, steps=6, start=2)
    for eta in (0.0, 0.6, 1.0):
        case("TCD", eta=eta, steps=5)
    case("CMStochasticIterative", steps=1)
    case("CMStochasticIterative", steps=5)
    case("CMStochasticIterative", {"num_train_timesteps": 201, "clip_denoised": False}, steps=4)
    case(
        "CMStochasticIterative",
        {"num_train_timesteps": 201, "s_noise": 1.1, "rho": 5.0, "sigma_data": 0.7},
        given={"timesteps": [106, 50, 0]},
    )
    case("CMStochasticIterative", {"sigma_min": 0.01, "sigma_max": 20.0}, given={"timesteps": [22, 0]})
    for steps in (5, 8):
        case("UnCLIP", steps=steps)
    case("UnCLIP", {"prediction_type": "sample", "clip_sample_range": 2.0}, model="dummy")
    case("UnCLIP", {"clip_sample": False, "num_train_timesteps": 500}, steps=7)


def roundings() -> None:
    """Where terms of the size of the noise cancel, or an integer hangs on a last bit: the order of roundings shows."""
    cosine = {**SD, **COSINE}
    flips = {"prediction_type": "v_prediction"}
    zero_snr = {"rescale_betas_zero_snr": True, "timestep_spacing": "linspace"}
    case("EulerDiscrete", {**SD, **flips, **zero_snr, "use_exponential_sigmas": True}, steps=2)
    case("EulerDiscrete", {**COSINE, "timestep_spacing": "trailing", "prediction_type": "sample"}, steps=3)
    case("EulerAncestralDiscrete", {**cosine, **flips}, model="affine")
    case("LMSDiscrete", {**cosine, **flips}, model="affine")
    case("LMSDiscrete", {"num_train_timesteps": 100}, steps=10, start=4)
    case("HeunDiscrete", {**cosine, "use_karras_sigmas": True, "prediction_type": "sample"}, steps=3)
    case("HeunDiscrete", {**SD, "use_beta_sigmas": True, "clip_sample": True}, steps=2)
    case("KDPM2Discrete", {**COSINE, **flips}, steps=25, model="affine")
    case("KDPM2AncestralDiscrete", {**SD, **flips, "use_beta_sigmas": True}, steps=10)
    case("PNDM", {**COSINE, **flips, "timestep_spacing": "linspace"}, steps=7, model="affine")
    case("EDMEuler", steps=1, model="affine")
    few = {"num_train_timesteps": 50, "beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012}
    for name in ("DPMSolverSinglestep", "DPMSolverMultistep", "DEISMultistep", "UniPCMultistep"):
        case(name, {**few, "use_exponential_sigmas": True}, steps=14)
        case(name, {**few, "use_beta_sigmas": True}, steps=14)
    case("DPMSolverMultistepInverse", {**few, "use_beta_sigmas": True}, steps=14)
    case("DPMSolverMultistepInverse", {**cosine, "use_beta_sigmas": True, "solver_order": 1}, steps=10, model="affine")
    # A stride of 1.65 puts a timestep on a half, but for what numpy.arange leaves of it.
    few_trailing = {**SD, "num_train_timesteps": 33, "timestep_spacing": "trailing"}
    case("DDIMInverse", few_trailing, steps=20)
    case("DDIM", few_trailing, steps=20)
    bounded = {**COSINE, **THRESHOLD, "timestep_spacing": "trailing", "use_beta_sigmas": True}
    case("DEISMultistep", bounded, steps=25, start=9, model="affine")
    for orders in ((4, 2), (2, 4), (3, 3)):
        weights = {"predictor_order": orders[0], "corrector_order": orders[1]}
        case("SASolver", {**SD, **weights, "use_beta_sigmas": True}, steps=9)
        case("SASolver", {**SD, **weights, "algorithm_type": "noise_prediction", "use_beta_sigmas": True}, steps=9)
    case("DDPM", {**SD, "variance_type": None})
    case("DPMSolverMultistep", {**SD, "variance_type": "fixed_small"})


def edges() -> None:
    """What is rendered though it looks as if it could not be, and keys that seldom meet."""
    flow = {**SD, "prediction_type": "flow_prediction"}
    case("DEISMultistep", flow)
    case("DEISMultistep", {**flow, "solver_order": 3, **THRESHOLD}, steps=8)
    case("DEISMultistep", {**flow, "use_karras_sigmas": True}, start=2)
    # numpy.arange gives one timestep more than was asked for: -1.
    one_more = {**SD, "timestep_spacing": "trailing"}
    names = """DPMSolverMultistep DEISMultistep UniPCMultistep SASolver DDIMInverse DPMSolverMultistepInverse
        DDPM PNDM""".split()
    for name in names:
        case(name, one_more, steps=61)
    case("PNDM", {**one_more, "skip_prk_steps": True}, steps=61)
    case("DDIM", {**one_more, "clip_sample": False}, eta=0.5, steps=61)
    case("DDIM", {**one_more, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, steps=103, start=2)
    # More steps than timesteps were trained.
    few = {**SD, "num_train_timesteps": 50}
    for name in ("EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "KDPM2Discrete"):
        case(name, {**few, "timestep_spacing": "linspace"}, steps=70)
        case(name, {**few, "timestep_spacing": "trailing"}, steps=70)
    case("LMSDiscrete", few, steps=70)
    case("PNDM", {**few, "skip_prk_steps": True, "timestep_spacing": "linspace"}, steps=70)
    for name in ("DPMSolverMultistep", "UniPCMultistep"):
        case(name, {**few, "use_karras_sigmas": True}, steps=70)
    for name in ("FlowMatchEulerDiscrete", "FlowMatchHeunDiscrete", "FlowMatchLCM"):
        case(name, {"num_train_timesteps": 50, "shift": 3.0}, steps=70)
    case("EDMEuler", {"num_train_timesteps": 50}, steps=70)
    case("TCD", SD, given={"original_inference_steps": 2000}, steps=5)
    terminal = {"shift_terminal": 0.1}
    for levels in ({"sigmas": [0.9713, 0.64, 0.3517, 0.12]}, {"timesteps": [971.3, 640.0, 351.7, 120.0]}):
        case("FlowMatchEulerDiscrete", {**terminal, "shift": 1.15}, given=levels)
        case("FlowMatchEulerDiscrete", {**terminal, "use_dynamic_shifting": True}, given={**levels, "mu": 0.7})


def run_model(name: str, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    if name == "dummy":
        return x * t / (t + 1)
    if name == "wave":
        return 0.5 * x + 0.1 * torch.sin(torch.as_tensor(t, dtype=torch.float32) / 100)
    return 0.1 * x + 0.05 * t / 1000


def run_loop(one: dict, jitter: float = 0.0) -> dict:
    """The loop as diffusers' pipelines run it. Jitter is relative noise on what the model returns."""
    name = one["scheduler"]["_class_name"]
    config = {key: value for key, value in one["scheduler"].items() if key != "_class_name"}
    scheduler = getattr(diffusers, name)(**config)
    given = dict(one["set_timesteps"])
    if not {"timesteps", "sigmas"} & given.keys():
        given["num_inference_steps"] = one["num_inference_steps"]
    scheduler.set_timesteps(**given)

    generator = torch.Generator("cpu").manual_seed(one["seed"])
    shaken = torch.Generator("cpu").manual_seed(1)
    noise = torch.randn(one["shape"], generator=generator)
    order = getattr(scheduler, "order", 1)
    begin = one["start_step"] * order
    timesteps = scheduler.timesteps[begin:]
    if one["start_step"] > 0:
        clean = torch.linspace(-1, 1, noise.numel()).reshape(one["shape"])
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(begin)
        raise_to = scheduler.scale_noise if hasattr(scheduler, "scale_noise") else None
        x = raise_to(clean, timesteps[:1], noise) if raise_to else scheduler.add_noise(clean, noise, timesteps[:1])
    else:
        x = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    parameters = signature(scheduler.step).parameters
    kwargs = dict(one.get("step_kwargs", {}))
    if "generator" in parameters:
        kwargs["generator"] = generator
    samples = []
    for i, t in enumerate(timesteps):
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        output = run_model(one["model"], scaled, t)
        output = output * (1 + jitter * torch.randn(output.shape, generator=shaken))
        if name == "UnCLIPScheduler":
            kwargs["prev_timestep"] = timesteps[i + 1] if i + 1 < len(timesteps) else None
        x = scheduler.step(output, t, x, **kwargs).prev_sample
        samples.append(x)
    sigmas = getattr(scheduler, "sigmas", None)
    return {
        "timesteps": [float(t) for t in timesteps],
        "sigmas": None if sigmas is None else [float(sigma) for sigma in sigmas],
        "init_noise_sigma": float(getattr(scheduler, "init_noise_sigma", 1.0)),
        "order": order,
        "samples": samples,
    }


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-12))


def finished(one: dict) -> dict:
    """The case with what diffusers computes, at a few indices, and how far rounding alone can carry it."""
    trace = run_loop(one)
    samples = trace.pop("samples")
    assert all(torch.isfinite(x).all() for x in samples), f"{one['name']} is not finite"
    # Three half-units in the last place of each model output, to see what the loop makes of roundings.
    shaken = run_loop(one, jitter=1e-7)["samples"]
    kept = sorted({0, len(samples) // 2, len(samples) - 1})
    worst = max(relative(shaken[i], samples[i]) for i in kept)
    encode = lambda x: base64.b64encode(x.numpy().astype("<f4").tobytes()).decode()
    expect = {**trace, "samples_f32_base64": {str(i): encode(samples[i]) for i in kept}, "n_steps": len(samples)}
    least = BROWNIAN_TOLERANCE if "DPMSolverSDE" in one["name"] else TOLERANCE
    return {**one, "expect": expect, "tolerance": float(f"{max(least, 10 * worst):.3g}")}


def verify(path: str) -> None:
    worst = 0.0
    for one in json.load(open(path))["cases"]:
        samples = run_loop(one)["samples"]
        for i, encoded in one["expect"]["samples_f32_base64"].items():
            want = torch.from_numpy(np.frombuffer(base64.b64decode(encoded), "<f4").copy()).reshape(one["shape"])
            error = relative(samples[int(i)], want)
            worst = max(worst, error)
            if not error < one["tolerance"]:
                print(one["name"], i, error)
    print("worst", worst)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", help="file to write, or to verify")
    parser.add_argument("--missing", action="store_true", help="add the traces that the file lacks")
    parser.add_argument("--verify", action="store_true", help="compare the traces of that file with this loop's")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    diffusers.logging.set_verbosity_error()
    if args.verify:
        verify(args.path)
        return
    for add in (each_class, ancestors_of_all, karras_family, solvers, flows, distilled, roundings, edges):
        add()
    unique = {one["name"]: one for one in CASES}
    known = json.load(open(args.path))["cases"] if args.missing else []
    made = {one["name"]: one for one in known}
    source = f"huggingface/diffusers {diffusers.__version__}, torch {torch.__version__.split('+')[0]}, float32 on CPU"
    cases = [made.get(name) or finished(one) for name, one in unique.items()]
    text = json.dumps({"source": source, "cases": cases}, separators=(",", ":"))
    with open(args.path, "w") as file:
        file.write(text.replace('},{"name"', '},\n{"name"'))
    print(len(unique), "cases,", round(len(text) / 1000), "kB")


if __name__ == "__main__":
    main()
