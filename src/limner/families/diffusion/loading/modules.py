"""Parts of a model as modules of diffusers and transformers, from tensors under any of their names.

Those of the original code, of ComfyUI, of diffusers and of transformers, up to 4 and from 5 on.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from limner.families.diffusion.loading.numbers import converters
from limner.families.diffusion.loading.pipelines import libraries
from limner.families.diffusion.recognition.folders import DENOISERS

_LATENT_DIFFUSION = ("cond_stage_model.", "conditioner.")
"""What the names of text encoders begin with in files of everything of Stable Diffusion."""

_UNUSED = "lm_head.weight"
"""What only those need who let a language model speak."""


class Incomplete(Exception):
    """Tensors of a part are missing."""


def module_of(
    kind: Any, name: str, tensors: dict[str, Any], prefix: str, options: dict[str, Any]
) -> Any:
    """Return the part `name` of class `kind`; its tensors' names begin with `prefix`.

    `options` are those of `from_single_file`. Raises Incomplete, and what the libraries do.
    """
    if issubclass(kind, libraries().transformers.PreTrainedModel):
        if prefix.startswith(_LATENT_DIFFUSION):
            return _checked(_clip(kind, tensors, options))
        bare = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
        return _text_encoder(kind, bare, options)
    if name in DENOISERS:
        tensors = _as_converted(tensors, prefix)
    else:
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
        if kind.__name__ in _CONVERTED:
            return _converted(kind, tensors, options)
    try:
        return _checked(kind.from_single_file(tensors, local_files_only=True, **options))
    except NotImplementedError as error:  # no device takes what has no numbers
        raise Incomplete from error


def _checked(part: Any) -> Any:
    if any(tensor.is_meta for tensor in part.state_dict().values()):
        raise Incomplete
    return part


def _as_converted(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return a denoiser under the names that the converters of diffusers expect."""
    bare = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    if "input_blocks.0.0.weight" in bare:
        return {f"model.diffusion_model.{name}": tensor for name, tensor in bare.items()}
    return bare


def _clip(kind: Any, tensors: dict[str, Any], options: dict[str, Any]) -> Any:
    headed = {_headed(key): tensor for key, tensor in tensors.items()}
    return converters().create_diffusers_clip_model_from_ldm(
        kind, headed, local_files_only=True, **options
    )


def _headed(key: str) -> str:
    """Return the name of a tensor of CLIP with the head that some writers leave out."""
    for inner in ("embeddings.", "encoder.", "final_layer_norm."):
        key = key.replace(f"transformer.{inner}", f"transformer.text_model.{inner}")
    return key


def _text_encoder(kind: Any, tensors: dict[str, Any], options: Mapping[str, Any]) -> Any:
    """Return a text encoder whose tensors have a name that transformers has given them."""
    folder = Path(options["config"]) / options["subfolder"]
    config = kind.config_class.from_pretrained(folder, local_files_only=True)
    if kind.__name__.endswith("WithProjection") and "text_projection.weight" not in tensors:
        # CLIP-L as ComfyUI keeps it has none; diffusers then leaves its words as they are, too.
        tensors["text_projection.weight"] = libraries().torch.eye(config.hidden_size)
    part, told = kind.from_pretrained(
        None,
        config=config,
        state_dict=tensors,
        dtype=options["torch_dtype"],
        output_loading_info=True,
    )
    if set(told["missing_keys"]) - {_UNUSED}:
        raise Incomplete
    return part


def _converted(kind: Any, tensors: dict[str, Any], options: Mapping[str, Any]) -> Any:
    """Return an autoencoder of a class that `from_single_file` does not know."""
    config = kind.load_config(options["config"], subfolder=options["subfolder"])
    part = kind.from_config(config).to(options["torch_dtype"])
    wanted = {key for key in part.state_dict() if not key.endswith(".num_batches_tracked")}
    if not wanted <= tensors.keys():
        tensors = _CONVERTED[kind.__name__](tensors, config)
    if not wanted <= tensors.keys():
        raise Incomplete
    part.load_state_dict({key: tensors[key] for key in wanted}, strict=False)
    return part.eval()


def _wan(tensors: dict[str, Any], _: Any) -> dict[str, Any]:
    converted: dict[str, Any] = converters().convert_wan_vae_to_diffusers(tensors)
    return converted


def _flux2(tensors: dict[str, Any], config: Any) -> dict[str, Any]:
    """Two of its convolutions are within what they come after or before; latents are normed."""
    outer = {
        key.replace("encoder.quant_conv.", "quant_conv.").replace(
            "decoder.post_quant_conv.", "post_quant_conv."
        ): tensor
        for key, tensor in tensors.items()
    }
    norms = {key: tensor for key, tensor in outer.items() if key.startswith("bn.")}
    return {**converters().convert_ldm_vae_checkpoint(outer, config), **norms}


_CONVERTED: Mapping[str, Callable[[dict[str, Any], Any], dict[str, Any]]] = MappingProxyType(
    {"AutoencoderKLQwenImage": _wan, "AutoencoderKLFlux2": _flux2}
)
"""What turns the original names of an autoencoder, by its class."""

AUTOENCODERS = frozenset({"AutoencoderKL", *_CONVERTED})
"""Classes of autoencoders that are read from single files."""
