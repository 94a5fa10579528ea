"""Tiny pipelines with random weights, one of each family."""

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionDepth2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

CLIP_TOKENIZER = Path(__file__).parents[3] / "deploy" / "checkpoints" / "emoji-sd" / "tokenizer"
CONTEXT = 77
SD_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
# Fresh weights make grey pictures that hardly follow their prompt; louder ones show a mistake.
CONTRAST = 1.5
ATTENTION = 4.0


def louder(weight: torch.Tensor, factor: float) -> None:
    with torch.no_grad():
        weight.mul_(factor)


def clip_tokenizer(pad_token: str = "<|endoftext|>") -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(CLIP_TOKENIZER, model_max_length=CONTEXT, pad_token=pad_token)


def t5_tokenizer() -> PreTrainedTokenizerFast:
    """Letters and a few words, in the form of T5's: a unigram model over words marked by "▁"."""
    words = ["▁a", "▁an", "▁of", "▁the", "▁in", "▁image", "▁style", "▁photo", "ing", "er", "cat", "squ"]
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'-"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(word, -3.0 - 0.1 * i) for i, word in enumerate(words)]
    pieces += [(letter, -4.0 - 0.05 * i) for i, letter in enumerate(letters)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


def clip_config(width: int, tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def text_encoder(width: int, *, projected: bool = False) -> torch.nn.Module:
    config = clip_config(width, clip_tokenizer())
    model = CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)
    return model.eval()


def t5_encoder(width: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(t5_tokenizer()),
        d_model=width,
        d_kv=8,
        d_ff=2 * width,
        num_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
    )
    return T5EncoderModel(config).eval()


def vae(latent_channels: int = 4, **config: object) -> AutoencoderKL:
    model = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latent_channels,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
        **config,
    )
    louder(model.decoder.conv_out.weight, CONTRAST)
    louder(model.encoder.conv_out.weight, CONTRAST)
    return model.eval()


def unet(width: int, in_channels: int = 4, **config: object) -> UNet2DConditionModel:
    model = UNet2DConditionModel(
        sample_size=16,
        in_channels=in_channels,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        **config,
    )
    for name, weight in model.named_parameters():
        if ".attn2." in name:
            louder(weight, ATTENTION)
    return model.eval()


def sd_parts(in_channels: int = 4, **config: object) -> dict[str, object]:
    return {
        "tokenizer": clip_tokenizer(),
        "text_encoder": text_encoder(16),
        "unet": unet(16, in_channels, **config),
        "vae": vae(),
        "scheduler": PNDMScheduler(**SD_BETAS, skip_prk_steps=True, steps_offset=1),
    }


NO_CHECKER = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def tiny_sd() -> DiffusionPipeline:
    return StableDiffusionPipeline(**sd_parts(), **NO_CHECKER)


def tiny_sd_safe() -> DiffusionPipeline:
    """With a safety checker, whose thresholds are still to be set."""
    tower = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": 16,
    }
    vision = {**tower, "image_size": 32, "patch_size": 8, "initializer_range": 0.2}
    config = CLIPConfig(text_config={**tower, "vocab_size": 8}, vision_config=vision, projection_dim=16)
    checker = StableDiffusionSafetyChecker(config).eval()
    with torch.no_grad():
        checker.concept_embeds.copy_(torch.randn(17, 16))
        checker.special_care_embeds.copy_(torch.randn(3, 16))
    extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return StableDiffusionPipeline(**sd_parts(), safety_checker=checker, feature_extractor=extractor)


def tiny_sd_inpaint() -> DiffusionPipeline:
    return StableDiffusionInpaintPipeline(**sd_parts(9, out_channels=4), **NO_CHECKER)


def tiny_sd_depth() -> DiffusionPipeline:
    config = DPTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[4, 8, 8, 16],
        fusion_hidden_size=8,
        is_hybrid=False,
        initializer_range=0.2,
    )
    estimator = DPTForDepthEstimation(config).eval()
    # The last layer is a ReLU: what falls below zero is flat.
    torch.nn.init.constant_(estimator.head.head[4].bias, 5.0)
    extractor = DPTImageProcessor(size={"height": 32, "width": 32})
    parts = sd_parts(5, out_channels=4)
    return StableDiffusionDepth2ImgPipeline(**parts, depth_estimator=estimator, feature_extractor=extractor)


def tiny_sd2() -> DiffusionPipeline:
    scheduler = DDIMScheduler(
        **SD_BETAS, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    return StableDiffusionPipeline(**{**sd_parts(), "scheduler": scheduler}, **NO_CHECKER)


def tiny_lcm() -> DiffusionPipeline:
    parts = {**sd_parts(time_cond_proj_dim=16), "scheduler": LCMScheduler()}
    return LatentConsistencyModelPipeline(**parts, **NO_CHECKER)


def xl_unet(width: int, time_ids: int) -> UNet2DConditionModel:
    return unet(
        width,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=8 * time_ids + 16,
        transformer_layers_per_block=(1, 2),
    )


def xl_scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(**SD_BETAS, timestep_spacing="leading", steps_offset=1)


def tiny_sdxl() -> DiffusionPipeline:
    return StableDiffusionXLPipeline(
        vae=vae(scaling_factor=0.13025),
        text_encoder=text_encoder(16),
        text_encoder_2=text_encoder(16, projected=True),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer("!"),
        unet=xl_unet(32, 6),
        scheduler=xl_scheduler(),
    )


def tiny_sdxl_refiner() -> DiffusionPipeline:
    return StableDiffusionXLImg2ImgPipeline(
        vae=vae(scaling_factor=0.13025),
        text_encoder=None,
        text_encoder_2=text_encoder(16, projected=True),
        tokenizer=None,
        tokenizer_2=clip_tokenizer("!"),
        unet=xl_unet(16, 5),
        scheduler=xl_scheduler(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
    )


FLOW_VAE = {"use_quant_conv": False, "use_post_quant_conv": False, "scaling_factor": 1.5305, "shift_factor": 0.0609}


def sd3(t5: bool, shift: float) -> DiffusionPipeline:
    transformer = SD3Transformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=48,
        pooled_projection_dim=32,
        pos_embed_max_size=32,
    ).eval()
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        vae=vae(16, **FLOW_VAE),
        text_encoder=text_encoder(16, projected=True),
        tokenizer=clip_tokenizer(),
        text_encoder_2=text_encoder(16, projected=True),
        tokenizer_2=clip_tokenizer("!"),
        text_encoder_3=t5_encoder(48) if t5 else None,
        tokenizer_3=t5_tokenizer() if t5 else None,
    )


def tiny_sd3() -> DiffusionPipeline:
    return sd3(t5=True, shift=3.0)


def tiny_sd3_no_t5() -> DiffusionPipeline:
    return sd3(t5=False, shift=1.0)


def flux(guidance_embeds: bool, scheduler: FlowMatchEulerDiscreteScheduler) -> DiffusionPipeline:
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=guidance_embeds,
        axes_dims_rope=(4, 6, 6),
    ).eval()
    return FluxPipeline(
        transformer=transformer,
        scheduler=scheduler,
        vae=vae(**{**FLOW_VAE, "scaling_factor": 0.3611, "shift_factor": 0.1159}),
        text_encoder=text_encoder(16),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5_encoder(32),
        tokenizer_2=t5_tokenizer(),
    )


def tiny_flux() -> DiffusionPipeline:
    return flux(True, FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True))


def tiny_flux_schnell() -> DiffusionPipeline:
    return flux(False, FlowMatchEulerDiscreteScheduler(shift=1.0))


def pixel_unet(**config: object) -> UNet2DModel:
    model = UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        **config,
    )
    return model.eval()


def tiny_ddpm() -> DiffusionPipeline:
    return DDPMPipeline(unet=pixel_unet(), scheduler=DDPMScheduler())


def tiny_ddpm_learned() -> DiffusionPipeline:
    """Puts out a variance beside its prediction, as guided-diffusion's models do."""
    model = pixel_unet(out_channels=6)
    louder(model.conv_out.weight, CONTRAST)
    return DDPMPipeline(unet=model, scheduler=DDPMScheduler(variance_type="learned_range"))


PIPELINES: dict[str, Callable[[], DiffusionPipeline]] = {
    "tiny-sd": tiny_sd,
    "tiny-sd-safe": tiny_sd_safe,
    "tiny-sd-inpaint": tiny_sd_inpaint,
    "tiny-sd-depth": tiny_sd_depth,
    "tiny-sd2": tiny_sd2,
    "tiny-lcm": tiny_lcm,
    "tiny-sdxl": tiny_sdxl,
    "tiny-sdxl-refiner": tiny_sdxl_refiner,
    "tiny-sd3": tiny_sd3,
    "tiny-sd3-no-t5": tiny_sd3_no_t5,
    "tiny-flux": tiny_flux,
    "tiny-flux-schnell": tiny_flux_schnell,
    "tiny-ddpm": tiny_ddpm,
    "tiny-ddpm-learned": tiny_ddpm_learned,
}


def build(name: str) -> DiffusionPipeline:
    """The same weights whatever was built before."""
    torch.manual_seed(sum(name.encode()))
    pipeline = PIPELINES[name]()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
