"""References: pictures whose subject or style is taken up, by models that see or by IP-Adapters.

IP-Adapter: arXiv 2308.06721. What of a picture is style is seen by one block of SDXL alone:
InstantStyle, arXiv 2404.02733.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from limner.domain.composition import Purpose, Reference
from limner.domain.errors import WeightsRejected
from limner.domain.prompting import plain
from limner.domain.recipe import InputRole
from limner.families.diffusion.calls.arguments import to_image
from limner.families.diffusion.companions.reference import ENCODER, ENCODER_CONFIG, REDUX
from limner.families.diffusion.loading.pipelines import (
    Device,
    bytes_in,
    libraries,
    memory_told,
    placed,
    quiet,
    refusals,
)
from limner.families.family import Order

_STYLE_BLOCK, _STYLE_LAYER = 0, 1
"""Which attention of which block of SDXL on its way up sees style."""


def shown(order: Order) -> dict[str, Any]:
    """Return the argument by which a model that sees by itself is shown references.

    The picture that is edited comes first.
    """
    if not order.references:
        return {}
    init = order.inputs.get(InputRole.INIT)
    pictures = (*(() if init is None else (init,)), *order.references)
    images = [to_image(one) for one in pictures]
    return {"image": images if len(images) > 1 else images[0]}


class Spectacles:
    """The IP-Adapters that a pipeline wears, one for each reference."""

    def __init__(self, pipeline: Any, device: Device) -> None:
        self._pipeline = pipeline
        self._device = device
        self.worn: tuple[str, ...] = ()
        """The digests of those that it wears."""

    def look(self, order: Order, guided: bool) -> dict[str, Any]:
        """Return the arguments that tell what is seen in an order's references.

        `guided`: there is a prediction without words beside that with them. What is worn and not
        needed is taken off. Raises WeightsRejected for an adapter that does not fit.
        """
        references = [one for one in order.recipe.references if one.model is not None]
        wanted = tuple(one.model.sha256 for one in references if one.model is not None)
        if wanted != self.worn:
            self._take_off()
        if not wanted:
            return {}
        if not self.worn:
            self._put_on([order.parts[digest] for digest in wanted])
            self.worn = wanted
        pipeline = self._pipeline
        pipeline.set_ip_adapter_scale([_scale(one, pipeline.unet) for one in references])
        with memory_told(), quiet():
            seen = pipeline.prepare_ip_adapter_image_embeds(
                [[to_image(one)] for one in order.references],
                None,
                pipeline._execution_device,  # noqa: SLF001 - none is public
                1,
                guided,
            )
        return {"ip_adapter_image_embeds": seen}

    def spare(self, order: Order) -> None:
        """Take off what an order has no use for: layers are only joined where nothing is worn."""
        if not any(one.model for one in order.recipe.references):
            self._take_off()

    def _take_off(self) -> None:
        if self.worn:
            with quiet():
                self._pipeline.unload_ip_adapter()
            self.worn = ()

    def _put_on(self, adapters: Sequence[Mapping[str, Path]]) -> None:
        encoder = adapters[0][ENCODER_CONFIG].parent
        files = [next(path for name, path in one.items() if "/" not in name) for one in adapters]
        used = libraries()
        try:
            with refusals(
                f"{files[0].name} with its {ENCODER} could not be put on", "Get both anew."
            ):
                eyes = used.transformers.CLIPVisionModelWithProjection.from_pretrained(
                    encoder,
                    dtype=self._device.torch_dtype,
                    local_files_only=True,
                    use_safetensors=True,
                )
                self._pipeline.register_modules(image_encoder=eyes.to(self._device.name).eval())
                self._pipeline.load_ip_adapter(
                    [str(path.parent) for path in files],
                    subfolder=[""] * len(files),
                    weight_name=[path.name for path in files],
                    image_encoder_folder=None,
                    local_files_only=True,
                )
        except (WeightsRejected, MemoryError):
            self._pipeline.register_modules(image_encoder=None)
            raise


class Redux:
    """FLUX.1 Redux beside a pipeline of FLUX.1: pictures are told to it as words are."""

    def __init__(self, pipeline: Any, device: Device) -> None:
        self._pipeline = pipeline
        self._device = device
        self._held: tuple[str, Any, Any, Any] | None = None

    @property
    def digest(self) -> str:
        """The digest of the one in memory; empty where there is none."""
        return "" if self._held is None else self._held[0]

    @property
    def bytes(self) -> int:
        """The bytes that the weights of what sees take."""
        return 0 if self._held is None else bytes_in(self._held[2:])

    def look(self, order: Order, limit: int | None) -> dict[str, Any]:
        """Return the words of an order followed by what its references tell, as embeddings.

        Their weights say how loud each is. Raises WeightsRejected for parts that do not fit.
        """
        references = [one for one in order.recipe.references if one.model is not None]
        if not references or references[0].model is None:
            return {}
        digest = references[0].model.sha256
        if self._held is None or self._held[0] != digest:
            self._held = (digest, *self._loaded(order.parts[digest]))
        _, extractor, eyes, embedder = self._held
        torch = libraries().torch
        with memory_told(), quiet(), torch.no_grad():
            options = {} if limit is None else {"max_sequence_length": limit}
            words, pooled, _ = self._pipeline.encode_prompt(
                prompt=plain(order.recipe.prompt), prompt_2=None, **options
            )
            told = [words]
            for one, picture in zip(references, order.references, strict=True):
                shown = extractor.preprocess(images=[to_image(picture)], return_tensors="pt")
                seen = eyes(shown["pixel_values"].to(eyes.device, eyes.dtype)).last_hidden_state
                told.append(embedder(seen).image_embeds.to(words.device) * one.weight)
            return {
                "prompt_embeds": torch.cat(told, dim=1),
                "pooled_prompt_embeds": pooled.clone(),
            }

    def _loaded(self, files: Mapping[str, Path]) -> tuple[Any, Any, Any]:
        folder = files[REDUX[0]].parent.parent
        used, dtype = libraries(), self._device.torch_dtype
        options = {"local_files_only": True, "use_safetensors": True}
        modeling: Any = import_module("diffusers.pipelines.flux.modeling_flux")
        with refusals(f"{folder.name} could not be loaded", "Get it again."):
            extractor = used.transformers.SiglipImageProcessor.from_pretrained(
                folder / "feature_extractor", local_files_only=True
            )
            eyes = used.transformers.SiglipVisionModel.from_pretrained(
                folder / ENCODER, dtype=dtype, **options
            )
            embedder = modeling.ReduxImageEncoder.from_pretrained(
                folder / "image_embedder", torch_dtype=dtype, **options
            )
        return extractor, *(placed(one, self._device).eval() for one in (eyes, embedder))


def _scale(reference: Reference, unet: Any) -> Any:
    """Return how much a reference counts, by block where only its style does."""
    if reference.purpose is not Purpose.STYLE:
        return reference.weight
    layers = [0.0] * len(unet.up_blocks[_STYLE_BLOCK].attentions)
    layers[_STYLE_LAYER] = reference.weight
    return {"up": {f"block_{_STYLE_BLOCK}": layers}}
