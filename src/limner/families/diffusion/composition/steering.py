"""Controls: pictures as maps, given to the pipelines that take ControlNets."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from limner.domain.composition import Control, ControlKind
from limner.domain.errors import InvalidOption
from limner.families.diffusion.calls.arguments import takes, to_image
from limner.families.diffusion.composition.maps import lines_of
from limner.families.diffusion.composition.nets import Nets, is_union
from limner.families.diffusion.composition.seeing import Eyes
from limner.families.family import Order, Pixels

_MODES = {
    ControlKind.CANNY: 0,
    ControlKind.LINEART: 0,
    ControlKind.SOFT_EDGE: 0,
    ControlKind.SCRIBBLE: 0,
    ControlKind.TILE: 1,
    ControlKind.DEPTH: 2,
    ControlKind.BLUR: 3,
    ControlKind.POSE: 4,
    ControlKind.GREY: 5,
}
"""The number of each kind for ControlNets of FLUX.1 that were taught several; lines are one."""

_TYPES = {
    ControlKind.POSE: 0,
    ControlKind.DEPTH: 1,
    ControlKind.SOFT_EDGE: 2,
    ControlKind.SCRIBBLE: 2,
    ControlKind.CANNY: 3,
    ControlKind.LINEART: 3,
    ControlKind.TILE: 6,
    ControlKind.BLUR: 6,
}
"""The number of each kind for union ControlNets of SDXL (xinsir's, whose ProMax has eight)."""


@dataclass(frozen=True)
class Steering:
    """How the controls of an order reach a pipeline."""

    controls: Sequence[Control]
    maps: Sequence[Pixels]
    nets: Sequence[Any]

    @property
    def union(self) -> bool:
        """Whether its ControlNets take several pictures of several kinds each."""
        return any(map(is_union, self.nets))

    @property
    def controlnet(self) -> Any:
        """What a pipeline is put together with: a ControlNet, or one for each control."""
        alike = len({id(net) for net in self.nets}) == 1
        return self.nets[0] if len(self.nets) == 1 or (alike and self.union) else list(self.nets)

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Raise InvalidOption where a ControlNet answers in other shapes than the model has."""
        try:
            yield
        except RuntimeError as error:
            names = [one.model.name for one in self.controls if one.model is not None]
            if not names or "size of tensor" not in str(error):
                raise
            raise InvalidOption(
                f"{' or '.join(names)} does not fit this model: what it answers has another shape. "
                "Use a ControlNet that was made for this model."
            ) from error

    def arguments(self, pipeline: Any) -> dict[str, Any]:
        """Return the arguments of a pipeline's call: maps, weights, and from when to when."""
        if not self.controls:
            return {}
        taken = takes(pipeline)
        name = "control_image" if "control_image" in taken else "image"
        given: dict[str, list[Any]] = {
            name: [to_image(one) for one in self.maps],
            "controlnet_conditioning_scale": [one.weight for one in self.controls],
            "control_guidance_start": [one.start for one in self.controls],
            "control_guidance_end": [one.end for one in self.controls],
        }
        if self.union:
            pairs = zip(self.controls, self.nets, strict=True)
            types = [_number_of(one, _TYPES, net.config.num_control_type) for one, net in pairs]
            return {**given, "control_mode": types}
        if "control_mode" in taken:
            pairs = zip(self.controls, self.nets, strict=True)
            given["control_mode"] = [_mode_of(one, net) for one, net in pairs]
        if self.nets and "mask_image" in taken:
            _check_masks(self.controls, self.nets, pipeline)
        known = {key: value for key, value in given.items() if key in taken}
        if len(self.controls) > 1:
            return known
        return {key: value[0] for key, value in known.items()}


def steering_of(order: Order, nets: Nets, eyes: Eyes) -> Steering:
    """Return the steering of an order: its pictures as maps, and its ControlNets."""
    maps = []
    for control, picture in zip(order.recipe.controls, order.controls, strict=True):
        if control.prepared:
            maps.append(picture)
        elif control.preparer is not None:
            maps.append(eyes.see(control, picture, order.parts[control.preparer.sha256]))
        else:
            maps.append(lines_of(control.kind, picture))
    return Steering(order.recipe.controls, maps, _agreeing(order.recipe.controls, nets.of(order)))


def _agreeing(controls: Sequence[Control], nets: Sequence[Any]) -> Sequence[Any]:
    """Return ControlNets, which all are unions or none; raises InvalidOption for a mixture.

    Those of FLUX.1 mix, where all of them are told guidance or none, and all look alike: the
    pipeline asks the first one alone.
    """
    names = [one.model.name for one in controls if one.model is not None]
    unions = [name for name, net in zip(names, nets, strict=True) if is_union(net)]
    if unions and len(unions) < len(nets):
        other = next(name for name in names if name not in unions)
        raise InvalidOption(
            f"{unions[0]} learnt several kinds and takes all pictures by itself: it does not go "
            f"together with {other}. Name it for each control, as in canny@{unions[0]}=FILE."
        )
    for name, net in zip(names, nets, strict=True):
        if _told(net) != _told(nets[0]):
            raise InvalidOption(
                f"{names[0]} and {name} do not steer together: they were not taught alike, as to "
                "guidance or how pictures are read. Give controls for one of them alone."
            )
    return nets


def _check_masks(controls: Sequence[Control], nets: Sequence[Any], pipeline: Any) -> None:
    """Raise InvalidOption for ControlNets of Z-Image that read no mask and picture beside a map."""
    for control, net in zip(controls, nets, strict=True):
        read = net.config.get("control_in_dim")
        if read is not None and read <= 2 * pipeline.transformer.config.in_channels:
            name = "This ControlNet" if control.model is None else control.model.name
            raise InvalidOption(
                f"{name} knows nothing of masks. Take a Fun ControlNet Union of version 2.0 or "
                "newer, or leave the control out."
            )


def _told(net: Any) -> tuple[bool, bool]:
    """Return whether a ControlNet is told guidance, and whether its picture is encoded first."""
    guided = net.config.get("guidance_embeds")
    return bool(guided), net.config.get("conditioning_embedding_channels") is None


def _mode_of(control: Control, net: Any) -> int | None:
    """Return the number of a kind for a ControlNet of FLUX.1; None for one that learnt one kind."""
    taught = net.config.get("num_mode")
    return None if taught is None else _number_of(control, _MODES, taught)


def _number_of(control: Control, numbers: Mapping[ControlKind, int], taught: int) -> int:
    """Return the number of a kind for a ControlNet that was taught the first so many.

    Raises InvalidOption for a kind that it was not taught.
    """
    number = numbers.get(control.kind, taught)
    if number >= taught:
        name = "This ControlNet" if control.model is None else control.model.name
        known = ", ".join(kind for kind, one in numbers.items() if one < taught)
        raise InvalidOption(f"{name} was not taught {control.kind}. It was taught: {known}.")
    return number
