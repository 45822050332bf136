"""What a weight file is, from its header: the one question a scan asks of it."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.known.facts import ARCHITECTURES, title_of
from limner.families.diffusion.recognition import adapters, denoisers, parts
from limner.families.diffusion.recognition.denoisers import Denoiser
from limner.families.diffusion.recognition.finding import Finding, Kind, Prediction, Words
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.tensors import Header, Part

_DENOISER_PREFIXES = (
    "model.diffusion_model.",
    "diffusion_model.",
    "model.",
    "net.",
    "unet.",
    "transformer.",
    "",
)
"""What a denoiser's names begin with in a file; the last: nothing."""

_SAYING = (
    "modelspec.title", "modelspec.architecture", "general.name", "general.basename",
    "ss_output_name", "ss_sd_model_name", "modelspec.resolution",
)  # fmt: skip
"""Entries of the metadata that name the model."""


_NAMELESS = frozenset(
    {
        "diffusion_pytorch_model",
        "diffusion_pytorch_model.fp16",
        "model",
        "model.fp16",
        "model_index",
        "pytorch_lora_weights",
        "diffusion_pytorch_model.safetensors.index",
        "model.safetensors.index",
    }
)
"""Names, without their ending, that every repository gives its files."""


def recognise_file(path: Path) -> Finding:
    """Return what a file is, from its header alone; never raises for what is in the file."""
    try:
        header = read_header(path)
    except WeightsRejected as error:
        return Finding(Kind.REFUSED, error.message)
    found = recognise(header, *names_of(path))
    return cut_short(found, header.missing, path.name) if header.missing else found


def recognise(header: Header, *names: str) -> Finding:
    """Return what the file with this header is; `names` are its own and its folder's.

    Names count only where tensors and metadata leave a choice.
    """
    said = header.metadata.get("modelspec.prediction_type", "")
    told = (header.metadata.get(key, "") for key in _SAYING)
    words = Words(*told, f"{_FORETOLD}{said}" if said else "", *names)
    found = _adapter(header, words) or _model(Part(header.tensors), words)
    return replace(found, precision=precision_of(header))


def names_of(path: Path) -> tuple[str, ...]:
    """Return the names that may say what a file is: its own, or its folders' where that says none.

    A hub cache keeps a repository's name in a folder above.
    """
    own = path.stem not in _NAMELESS
    named = (path.stem,) if own else (path.parent.name, path.parent.parent.name)
    hub = [part for part in path.parts if part.startswith("models--")]
    return (*named, *hub)


def cut_short(found: Finding, missing: int, name: str = "It") -> Finding:
    """Return a finding that says besides how much of the file (of this name) is not here."""
    much = f"{missing / 1e6:,.1f} MB" if missing >= 1e5 else f"{missing:,} bytes"
    reason = f"{found.reason} {name} was not copied whole: {much} are missing. Get it again."
    return replace(found, kind=Kind.REFUSED, reason=reason)


def _adapter(header: Header, words: Words) -> Finding | None:
    if "lora_controlnet" in header.tensors:
        return None
    found = adapters.identify(header.tensors, header.metadata, words)
    if found is None:
        return None
    fits = tuple(sorted(found.families or ARCHITECTURES, key=lambda one: one != found.named))
    whose = " or ".join(map(title_of, fits)) if found.families else "an unknown model"
    if found.named and not found.families:
        whose += f" ({title_of(found.named)}, by its name)"
    article = "An" if found.method.startswith("O") else "A"
    reason = f"{article} {found.method} for {whose}, in {found.layout} names"
    instead = adapters.instead_of(found.method)
    return Finding(
        Kind.OTHER if instead else Kind.ADAPTER,
        f"{reason}, which is not put on. {instead}" if instead else f"{reason}.",
        fits[0] if len(fits) == 1 else "",
        layout=found.layout,
        parts=("text encoder",) if found.text_encoders else (),
        fits=fits,
    )


def _model(part: Part, words: Words) -> Finding:
    found = parts.reference(part, words) or parts.control(part, words)
    if found is not None:
        return found
    for prefix in _DENOISER_PREFIXES:
        inner = part.under(prefix) if prefix else part
        denoiser = denoisers.identify(inner, words) if inner.tensors else None
        if denoiser is not None:
            return _denoiser(part, denoiser, prefix, words)
    return _lone_part(part, words)


def _lone_part(part: Part, words: Words) -> Finding:
    found = parts.autoencoder(part, words)
    if found is not None:
        return found
    encoder = parts.text_encoder(part)
    if encoder:
        return Finding(
            Kind.TEXT_ENCODER, f"A text encoder ({encoder}): a part, not a model.", parts=(encoder,)
        )
    return parts.other(part, words) or _unknown(part)


def _unknown(part: Part) -> Finding:
    names = [name[:60] for name in list(part.tensors)[:3]]
    if not names:
        return Finding(Kind.UNKNOWN, "Holds no tensors.")
    count = f"{len(part.tensors)} tensors" if len(part.tensors) != 1 else "one tensor"
    first = f"the first are {', '.join(names)}" if len(names) > 1 else f"its name is {names[0]}"
    return Finding(Kind.UNKNOWN, f"Holds {count} of an unknown kind; {first}.")


def _denoiser(part: Part, denoiser: Denoiser, prefix: str, words: Words) -> Finding:
    if not denoiser.drawable:
        reason = f"A denoiser of {denoiser.family}, which Limner does not draw with."
        return Finding(Kind.OTHER, reason, layout=denoiser.layout, prefix=prefix)
    title = title_of(denoiser.family)
    besides = _besides(part) if prefix else ()
    if besides:
        kind, reason = Kind.CHECKPOINT, f"{title} ({denoiser.variant}), with {', '.join(besides)}."
    else:
        kind = Kind.DENOISER
        reason = f"The denoiser of {title} ({denoiser.variant}), without the other parts."
    return Finding(
        kind,
        reason,
        denoiser.family,
        denoiser.variant,
        denoiser.layout,
        prefix,
        besides,
        _prediction(part, denoiser, words),
    )


ENCODER_PREFIXES = (
    "cond_stage_model.transformer.",
    "cond_stage_model.model.",
    "conditioner.embedders.0.transformer.",
    "conditioner.embedders.0.model.",
    "conditioner.embedders.1.model.",
    "text_encoders.clip_l.transformer.",
    "text_encoders.clip_g.transformer.",
    "text_encoders.t5xxl.transformer.",
    "text_encoders.qwen25_7b.transformer.",
    "text_encoders.qwen3_4b.transformer.",
    "text_encoder.",
    "text_encoder_2.",
    "text_encoder_3.",
)
"""What the names of text encoders begin with in files of everything."""

AUTOENCODER_PREFIXES = ("first_stage_model.", "vae.")
"""What those of the autoencoder begin with."""


def _besides(part: Part) -> tuple[str, ...]:
    """Return the other parts in a file: its text encoders in order, then its autoencoder."""
    found = [parts.text_encoder(part.under(prefix)) for prefix in ENCODER_PREFIXES]
    if part.under(*AUTOENCODER_PREFIXES).tensors:
        found.append("autoencoder")
    return tuple(dict.fromkeys(name for name in found if name))


_EPSILON = ("sd1", "sd2", "sdxl")

_FORETOLD = "predicts-"
"""What comes before the value of `modelspec.prediction_type` among the words."""


def _prediction(part: Part, denoiser: Denoiser, words: Words) -> Prediction:
    """Return what a denoiser predicts; empty where the header leaves it to the variant (SD 2)."""
    if denoiser.family == "pixart":
        return "epsilon"
    if denoiser.family not in _EPSILON:
        return "flow"
    said = ("v-pred", "vpred", "v-prediction", "768-v", "2-768", f"{_FORETOLD}v")
    if part.has("v_pred") or part.has("ztsnr") or words.say(*said):
        return "v"
    open_to = denoiser.family == "sd2" and not words.say("epsilon", "eps", "eps-pred")
    return "" if open_to else "epsilon"


_MARKS = (
    ("nf4", (".quant_state.bitsandbytes__nf4",)),
    ("fp4", (".quant_state.bitsandbytes__fp4",)),
    ("nvfp4", (".weight_scale_2",)),
    ("svdquant int4", (".wscales", ".smooth_factor")),
    ("SDNQ", (".svd_up", ".zero_point")),
    ("bitsandbytes int8", (".SCB",)),
    ("GPTQ", (".qzeros",)),
)
"""Quantised formats, and endings of tensor names that only they have."""

_SCALED = (".scale_weight", ".weight_scale", ".scale_input", "scaled_fp8", ".comfy_quant")


def precision_of(header: Header) -> str:
    """Return how most of the weights are kept: `BF16`, `F8_E4M3 scaled`, `nf4`, `Q4_K`."""
    names = tuple(header.tensors)
    for title, endings in _MARKS:
        if any(name.endswith(endings) for name in names):
            return title
    counted: Counter[str] = Counter()
    for tensor in header.tensors.values():
        counted[tensor.dtype] += math.prod(tensor.shape)
    if not counted:
        return ""
    most = counted.most_common(1)[0][0]
    if most in ("I8", "U8") and any(name.endswith(".scale") for name in names):
        return "SDNQ"
    if most in ("F8_E4M3", "F8_E5M2", "I8") and any(name.endswith(_SCALED) for name in names):
        return f"{most} scaled"
    return most
