"""Fast paths by name: what may be changed for speed, and taken back.

exact    nothing: the pixels of plain diffusers
fast     the same numbers in another order: channels last in memory, projections of attention
         fused where no adapter lies beside them; on a GPU repeated blocks compiled, and attention
         by cuDNN where that is the fastest kernel there is
faster   and steps whose first block changes little take the rest from the step before
         (first-block cache), where the denoiser is made of blocks that allow it; on a GPU that
         multiplies in 8 bits, the large layers of its blocks do
"""

from collections.abc import Iterator
from enum import StrEnum
from importlib import import_module
from typing import Any

from limner.families.diffusion.known.facts import ARCHITECTURES, architecture_of
from limner.families.diffusion.loading.hardware import has_fp8
from limner.families.diffusion.loading.pipelines import libraries


class Profile(StrEnum):
    """How far drawing may differ from plain diffusers, for speed."""

    EXACT = "exact"
    FAST = "fast"
    FASTER = "faster"


_TELLING = frozenset(one.denoiser for one in ARCHITECTURES.values() if one.first_block_tells)
"""Denoisers that tell by their first block whether a step changes much."""

_THRESHOLD = 0.08
"""How much the first block's answer may change, relative to itself, for the rest to be kept."""

_FLAT = frozenset({"AutoencoderKL", "AutoencoderKLFlux2", "AutoencoderDC", "UNet2DConditionModel"})
"""Networks of flat pictures, in whose memory channels come last."""


def profiles_of(family: str) -> tuple[str, ...]:
    """Return the profiles that a family has."""
    slow, shared = (Profile.EXACT, Profile.FAST), architecture_of(family)
    quickened = shared.first_block_tells or shared.large_layers
    faster = (Profile.FASTER,) if quickened else ()
    return tuple(one.value for one in (*slow, *faster))


def multiplies_fp8(device: str) -> bool:
    """Whether a device multiplies in 8 bits (fp8) faster than in 16."""
    return device == "cuda" and has_fp8(libraries().torch)


def attention_kernel(device: str) -> str | None:
    """Return the fastest kernel for attention on a device, as diffusers calls it; None: its own.

    cuDNN's is the fastest that comes with torch from Hopper on, where it computes at all.
    """
    if device != "cuda":
        return None
    torch = libraries().torch
    if torch.cuda.get_device_capability() < (9, 0):
        return None
    attention: Any = import_module("torch.nn.attention")
    tried = torch.zeros(1, 2, 256, 64, device=device, dtype=torch.bfloat16)
    try:
        with attention.sdpa_kernel(attention.SDPBackend.CUDNN_ATTENTION):
            torch.nn.functional.scaled_dot_product_attention(tried, tried, tried)
    except RuntimeError:
        return None
    return "_native_cudnn"


def is_whole(denoiser: Any) -> bool:
    """Whether weights are plain numbers that stay where they compute."""
    plain = libraries().torch.nn.Parameter
    for module in denoiser.modules():
        hooks = getattr(module, "_diffusers_hook", None)
        if hooks is not None and any(hooks.get_hook(name) for name in _WAITING):
            return False
        if module is not denoiser and hasattr(module, "_hf_hook"):
            return False
        for weight in module.parameters(recurse=False):
            if type(weight) is not plain or not weight.is_floating_point() or weight.is_meta:
                return False
    return True


_WAITING = ("layerwise_casting", "group_offloading")
"""Hooks of diffusers under which weights lie elsewhere, or in another format, between uses."""


class Tuning:
    """What was changed in the parts of a pipeline for speed.

    Nothing is changed in weights that are packed, or that wait elsewhere while others compute.
    """

    def __init__(self, pipeline: Any, device: str) -> None:
        self._pipeline = pipeline
        self._device = device
        self._laid = self._fused = self._compiled = self._cached = self._forgone = False
        self._narrowed: list[Any] = []
        self._kernel: str | None = None

    @property
    def kernel(self) -> str | None:
        """The kernel that attention was given to, as diffusers calls it; None for its own."""
        return self._kernel

    @property
    def forgoable(self) -> bool:
        """Whether something is done that a machine may not be able to; see `forgo`."""
        return self._compiled or bool(self._narrowed) or self._kernel is not None

    def forgo(self) -> None:
        """Take back, for good, what this machine cannot do: compiling, a kernel, 8 bits."""
        self._forgone = True
        self._narrow(False)
        self._attend(None)
        self._compile(False)

    def tune(self, profile: Profile, plain: bool) -> None:
        """Make the parts draw by a profile; `plain` says that nothing lies beside their weights.

        What is compiled knows nothing of adapters that are put on later, so with them nothing is.
        """
        fast = profile is not Profile.EXACT
        whole = fast and is_whole(self._denoiser)
        able = fast and not self._forgone
        eight = profile is Profile.FASTER and multiplies_fp8(self._device)
        self._lay(whole)
        self._compile(False if not (whole and plain) else self._compiled)
        self._fuse(whole and plain)
        self._narrow(able and whole and plain and eight)
        self._attend(attention_kernel(self._device) if able else None)
        self._compile(able and whole and plain and self._device == "cuda")
        self._cache(profile is Profile.FASTER and type(self._denoiser).__name__ in _TELLING)

    @property
    def _denoiser(self) -> Any:
        return getattr(self._pipeline, "unet", None) or self._pipeline.transformer

    def _lay(self, wanted: bool) -> None:
        if wanted is self._laid:
            return
        torch = libraries().torch
        layout = torch.channels_last if wanted else torch.contiguous_format
        for part in self._pipeline.components.values():
            if type(part).__name__ in _FLAT:
                part.to(memory_format=layout)
        self._laid = wanted

    def _fuse(self, wanted: bool) -> None:
        denoiser = self._denoiser
        if wanted is self._fused or not hasattr(denoiser, "fuse_qkv_projections"):
            return
        if wanted:
            denoiser.fuse_qkv_projections()
        else:
            denoiser.unfuse_qkv_projections()
        self._fused = wanted

    def _attend(self, wanted: str | None) -> None:
        """Give attention to a kernel. diffusers' own way would change that of all models."""
        if wanted == self._kernel:
            return
        names: Any = import_module("diffusers.models.attention_dispatch")
        kernel = None if wanted is None else names.AttentionBackendName(wanted)
        found: Iterator[Any] = (getattr(one, "processor", None) for one in self._denoiser.modules())
        processors = [one for one in found if hasattr(one, "_attention_backend")]
        for processor in processors:
            processor._attention_backend = kernel  # noqa: SLF001 - none is public
        self._kernel = wanted if processors else None

    def _narrow(self, wanted: bool) -> None:
        if wanted is bool(self._narrowed):
            return
        bits: Any = import_module("limner.families.diffusion.drawing.eight_bits")
        if wanted:
            self._narrowed = bits.narrow(self._denoiser)
        else:
            bits.widen(self._narrowed)
            self._narrowed = []

    def _compile(self, wanted: bool) -> None:
        denoiser = self._denoiser
        names = getattr(denoiser, "_repeated_blocks", None) or ()
        if wanted is self._compiled or not names:
            return
        if wanted:
            denoiser.compile_repeated_blocks()
        else:
            for block in denoiser.modules():
                if type(block).__name__ in names:
                    block._compiled_call_impl = None  # noqa: SLF001 - torch has no other way back
        self._compiled = wanted

    def _cache(self, wanted: bool) -> None:
        denoiser = self._denoiser
        if wanted and self._cached:
            denoiser._reset_stateful_cache()  # noqa: SLF001 - what one picture left is no other's
        if wanted is self._cached:
            return
        if wanted:
            hooks: Any = import_module("diffusers.hooks")
            denoiser.enable_cache(hooks.FirstBlockCacheConfig(threshold=_THRESHOLD))
        else:
            denoiser.disable_cache()
        self._cached = wanted
