"""Models of published shape with random weights, made in memory: for measuring, not for looking.

What a step costs depends on shapes alone. Text encoders are shallow: prompts are read once.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from limner.families.diffusion.known.facts import Facts, facts_of
from limner.families.diffusion.known.stable_parts import PARTS, noise_of
from limner.families.diffusion.loading.clip_words import write_clip
from limner.families.diffusion.loading.pipelines import Device, Libraries, libraries, quiet

_WORDS = 49_408
"""The size of CLIP's vocabulary, which all stand-ins read."""

_SHALLOW = {"num_hidden_layers": 2, "vocab_size": _WORDS, "bos_token_id": 0, "eos_token_id": 2}

_FLUX_VAE: Mapping[str, object] = MappingProxyType(
    {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "latent_channels": 16,
        "layers_per_block": 2,
        "sample_size": 1024,
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "use_post_quant_conv": False,
        "use_quant_conv": False,
    }
)


def names() -> tuple[str, ...]:
    """Return the names of the stand-ins there are."""
    return tuple(_MAKERS)


def facts_like(name: str) -> Facts:
    """Return the facts of the model that a stand-in has the shape of."""
    family, variant, _ = _MAKERS[name]
    return facts_of(family, variant)


def stand_in(name: str, device: Device) -> Any:
    """Return a pipeline of random weights, made on its device in its number format."""
    used = libraries()
    before = used.torch.get_default_dtype()
    try:
        used.torch.set_default_dtype(device.torch_dtype)
        with quiet(), used.torch.device(device.name):
            used.torch.manual_seed(0)
            pipeline = _MAKERS[name][2](used)
    finally:
        used.torch.set_default_dtype(before)
    for part in pipeline.components.values():
        if hasattr(part, "eval"):
            part.eval()
    return pipeline


def _flux(used: Libraries) -> Any:
    diffusers, transformers = used.diffusers, used.transformers
    words = _clip_words(used)
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=diffusers.AutoencoderKL(**_FLUX_VAE),
        text_encoder=transformers.CLIPTextModel(
            transformers.CLIPTextConfig(hidden_size=768, intermediate_size=3072, **_SHALLOW)
        ),
        tokenizer=words,
        text_encoder_2=transformers.T5EncoderModel(
            transformers.T5Config(
                vocab_size=_WORDS, d_model=4096, d_ff=1024, num_layers=1, num_heads=8
            )
        ),
        tokenizer_2=words,
        transformer=diffusers.FluxTransformer2DModel(guidance_embeds=True),
    )


def _stable(family: str, kind: str) -> Callable[[Libraries], Any]:
    def make(used: Libraries) -> Any:
        parts = PARTS[family]
        noise = dict(noise_of(family, "base", "epsilon", zero_snr=False))
        scheduler = getattr(used.diffusers, str(noise.pop("_class_name")))
        encoders: dict[str, Any] = {}
        for ending in ("", "_2"):
            settings = parts.get(f"text_encoder{ending}")
            if settings is not None:
                encoders[f"text_encoder{ending}"] = _encoder(settings, used)
                encoders[f"tokenizer{ending}"] = _clip_words(used)
        spared = {} if family == "sdxl" else {"safety_checker": None, "feature_extractor": None}
        return getattr(used.diffusers, kind)(
            unet=used.diffusers.UNet2DConditionModel(**_named(parts["unet"])),
            vae=used.diffusers.AutoencoderKL(**_named(parts["vae"])),
            scheduler=scheduler(**noise),
            **encoders,
            **spared,
            **({} if family == "sdxl" else {"requires_safety_checker": False}),
        )

    return make


def _encoder(settings: Mapping[str, object], used: Libraries) -> Any:
    listed = settings["architectures"]
    kind = str(listed[0]) if isinstance(listed, list) else "CLIPTextModel"
    shape = {name: value for name, value in settings.items() if name != "architectures"}
    config = used.transformers.CLIPTextConfig(**{**shape, **_SHALLOW})
    return getattr(used.transformers, kind)(config)


def _named(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if not name.startswith("_")}


def _clip_words(used: Libraries) -> Any:
    with TemporaryDirectory(prefix="limner-") as folder:
        words = Path(folder) / "words"
        write_clip(words)
        return used.transformers.CLIPTokenizer.from_pretrained(words)


_MAKERS: Mapping[str, tuple[str, str, Callable[[Libraries], Any]]] = MappingProxyType(
    {
        "sd1": ("sd1", "base", _stable("sd1", "StableDiffusionPipeline")),
        "sdxl": ("sdxl", "base", _stable("sdxl", "StableDiffusionXLPipeline")),
        "flux1-dev": ("flux1", "dev", _flux),
    }
)
"""Name → family, variant, and what makes it."""
