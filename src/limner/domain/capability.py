"""What a model can do, read by every door, and how a Draft becomes a Recipe."""

import math
import re
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from limner.domain.canonical import Frozen
from limner.domain.composition import Control, ControlKind, Purpose, Reference, Region
from limner.domain.errors import InvalidOption, InvalidPrompt, InvalidRequest, InvalidSize
from limner.domain.naming import close_to
from limner.domain.recipe import (
    AdapterRef,
    Draft,
    Extra,
    Extras,
    FileFormat,
    InputRole,
    ModelRef,
    Offset,
    Recipe,
    RecipeInput,
    Size,
    Task,
)
from limner.domain.sampling import NEAREST
from limner.domain.words import check_words

N = TypeVar("N", int, float)


class Range(Frozen, Generic[N]):
    """Numbers from `low` to `high`, with a default."""

    low: N
    high: N
    default: N


class ChoiceExtra(Frozen):
    """A family's own option with named values; `None` as default means: left open."""

    kind: Literal["choice"] = "choice"
    name: str
    summary: str
    choices: tuple[str, ...]
    default: str | None = None


class NumberExtra(Frozen):
    """A family's own option with a number for a value."""

    kind: Literal["number"] = "number"
    name: str
    summary: str
    low: float
    high: float
    default: float | None = None


ExtraSpec = Annotated[ChoiceExtra | NumberExtra, Field(discriminator="kind")]


class Sizes(Frozen):
    """The sizes a model draws by itself, and the largest picture we make of them.

    `native` lists what the model draws well; empty means the size of its input decides. A model
    that draws any size between two areas has `drawn`, least and most pixels, instead: its sides
    are multiples of `multiple`. `largest` bounds each side of the finished picture in pixels,
    `most_pixels` its area.
    """

    native: tuple[Size, ...] = ()
    default: Size | None = None
    drawn: tuple[int, int] | None = None
    multiple: int = 1
    smallest: int = 16
    largest: int = 8_192
    most_pixels: int = 36_000_000

    def check(self, size: Size) -> None:
        """Raise InvalidSize unless a picture of this size can be made."""
        sides = (size.width, size.height)
        if min(sides) < self.smallest or max(sides) > self.largest:
            raise InvalidSize(
                f"{size} cannot be drawn: each side must be {self.smallest} to {self.largest} "
                "pixels."
            )
        if size.pixels > self.most_pixels:
            raise InvalidSize(
                f"{size} is {size.pixels / 1e6:.0f} megapixels; the most is "
                f"{self.most_pixels / 1e6:.0f}. Ask for a smaller size."
            )

    def native_for(self, size: Size) -> Size:
        """Return the native size nearest in shape, then in area, to a finished size."""
        if self.drawn is not None:
            return self._within(size, *self.drawn)
        if not self.native:
            return size
        aspect = size.width / size.height
        return min(
            self.native,
            key=lambda one: (abs(one.width / one.height - aspect), abs(one.pixels - size.pixels)),
        )

    def shaped(self, shape: Size) -> Size:
        """Return the size of this shape with about the pixels of the default one."""
        usual = self.default or shape
        scale = math.sqrt(usual.pixels / shape.pixels)
        step = self.multiple
        width, height = (
            min(max(step, round(side * scale / step) * step), self.largest)
            for side in (shape.width, shape.height)
        )
        return Size(width=width, height=height)

    def _within(self, size: Size, least: int, most: int) -> Size:
        """Return the size of this shape whose area lies between, sides rounded to the multiple."""
        scale = math.sqrt(min(max(size.pixels, least), most) / size.pixels)
        rounded = math.floor if size.pixels * scale**2 >= most else math.ceil
        sides = (
            max(1, rounded(round(side * scale / self.multiple, 6))) * self.multiple
            for side in (size.width, size.height)
        )
        width, height = sides
        return Size(width=width, height=height)


class TaskInputs(Frozen):
    """The input roles a task needs, and those it may have besides."""

    task: Task
    required: tuple[InputRole, ...] = ()
    optional: tuple[InputRole, ...] = ()


class Company(Frozen):
    """What takes part in a picture besides the model that draws it."""

    upscaler: ModelRef | None = None
    adapters: tuple[AdapterRef, ...] = ()
    controls: tuple[Control, ...] = ()
    references: tuple[Reference, ...] = ()


_ALONE = Company()

_MOST_NAMED = 4
"""More families than this that an adapter may be for are as good as none."""


class Capability(Frozen):
    """What a model can do: the one source every door reads."""

    tasks: tuple[TaskInputs, ...]
    sizes: Sizes = Sizes()
    steps: Range[int] | None = None
    guidance: Range[float] | None = None
    guidance_meaning: str = ""
    text_encoders: tuple[str, ...] = ()
    """What reads the words."""
    prompt_tokens: int | None = None
    """How many tokens of a prompt are read at once, None where it is not known."""
    strength: Range[float] | None = None
    samplers: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    usual: tuple[str, str] | None = None
    """The sampler and the schedule that it is mostly drawn with, None where it needs its own."""
    negative_prompt: bool = False
    alpha: bool = False
    scale: int | None = None
    """For upscalers: how many times larger each side becomes."""
    refines: float | None = None
    """For models that upscale by redrawing tiles, by words if there are any: the usual strength."""
    upscaler: str | None = None
    """The name of the upscaler that suits its pictures, where nobody asks for another."""
    adapters: tuple[str, ...] = ()
    """The kinds of adapters it takes."""
    adapts: str = ""
    """For adapters: the family whose models it changes; empty where several are possible."""
    may_adapt: tuple[str, ...] = ()
    """For adapters of which that cannot be told: the families that it may be for, the likeliest
    first. The layers of the model that is to wear it decide."""
    controls: tuple[ControlKind, ...] = ()
    """The structure it follows, with ControlNets; for a ControlNet: what it was taught."""
    controlled: tuple[Task, ...] = ()
    """The tasks in which it follows controls."""
    most_controls: int = 8
    timed: bool = True
    """Whether controls may begin and end with a part of the steps."""
    follows: bool = False
    """Whether it follows one control by itself, and draws nothing without."""
    steers: str = ""
    """For ControlNets: the family whose models it steers."""
    prepares: tuple[ControlKind, ...] = ()
    """The maps it makes of pictures, for ControlNets to follow."""
    references: tuple[Purpose, ...] = ()
    """What it takes from reference pictures."""
    referred: tuple[Task, ...] = ()
    """The tasks in which it takes references."""
    most_references: int = 4
    sees: bool = False
    """Whether it sees references by itself, without an adapter and without weights."""
    refers: str = ""
    """For adapters that see references: the family whose models take them."""
    layout: tuple[Task, ...] = ()
    """The tasks in which parts of a picture may have prompts of their own."""
    trainable: bool = False
    judges: bool = False
    """Whether it draws nothing and says of finished pictures how unsafe they look."""
    extras: tuple[ExtraSpec, ...] = ()

    @property
    def uses(self) -> tuple[str, ...]:
        """What the model is for, in words: its tasks, and whether it judges."""
        judging = ("safety check",) if self.judges else ()
        parts = (("adapter", self._adapted), ("control", self.steers), ("references", self.refers))
        besides = tuple(f"{what} for {whose}" for what, whose in parts if whose)
        return (*(entry.task.value for entry in self.tasks), *judging, *besides)

    def resolve(
        self,
        draft: Draft,
        model: ModelRef,
        seed: int,
        company: Company = _ALONE,
    ) -> Recipe:
        """Complete a Draft into the Recipe that this model draws.

        `seed` is used where the draft leaves the seed open. Of `company`, the upscaler is used
        where the finished size is above the native one; the rest is what the draft names. Raises
        InvalidRequest (or a kind of it) naming what the model cannot do.
        """
        inputs = self._inputs_of(draft)
        self._check_words(draft)
        size = draft.size or self.sizes.default
        if size is None:
            raise InvalidSize(f"{model.name} takes its size from its input; give one.")
        self.sizes.check(size)
        # A part of a picture is drawn as a square, whatever the shape of the whole.
        refining = draft.task is Task.UPSCALE and self.refines is not None
        in_parts = draft.task in (Task.INPAINT, Task.OUTPAINT) or refining
        part = in_parts and self.sizes.default
        native = self.sizes.native_for(part or size)
        larger = refining or size.width > native.width or size.height > native.height
        file_format = draft.format or FileFormat.PNG
        transparent = file_format.has_alpha if draft.transparent is None else draft.transparent
        if transparent and not file_format.has_alpha:
            raise InvalidOption(
                f"{file_format.value} has no transparency. Use png or webp, or leave out "
                "“transparent”."
            )
        return Recipe(
            task=draft.task,
            model=model,
            adapters=self._checked(company.adapters, model),
            prompt=draft.prompt.strip(),
            negative_prompt=draft.negative_prompt.strip(),
            seed=seed if draft.seed is None else draft.seed,
            size=size,
            offset=_offset(draft),
            native_size=native,
            steps=_in_range("steps", draft.steps, self.steps, model),
            guidance=_in_range("guidance", draft.guidance, self.guidance, model),
            sampler=_one_of("sampler", draft.sampler, self.samplers, model),
            schedule=_one_of("schedule", draft.schedule, self.schedules, model),
            inputs=inputs,
            controls=self._controls_of(draft, company.controls, model),
            references=self._references_of(draft, company.references, model),
            layout=self._layout_of(draft, model),
            transparent=transparent,
            format=file_format,
            upscaler=company.upscaler if larger else None,
            extras=self._extras_of(draft, model),
        )

    @property
    def adapting(self) -> tuple[str, ...]:
        """For adapters: every family that it may be for, the likeliest first."""
        return (self.adapts,) if self.adapts else self.may_adapt

    @property
    def _adapted(self) -> str:
        """Whose models it changes, in words."""
        if len(self.adapting) > _MOST_NAMED:
            return "a family that is not known"
        return " or ".join(self.adapting)

    def supports(self, task: Task) -> bool:
        """Whether the model does this task."""
        return any(entry.task is task for entry in self.tasks)

    def _checked(self, adapters: tuple[AdapterRef, ...], model: ModelRef) -> tuple[AdapterRef, ...]:
        if adapters and not self.adapters:
            raise InvalidOption(f"{model.name} takes no adapters.")
        if len({one.sha256 for one in adapters}) < len(adapters):
            raise InvalidOption("An adapter is given twice. Give it once, with one weight.")
        return adapters

    def _controls_of(
        self, draft: Draft, controls: tuple[Control, ...], model: ModelRef
    ) -> tuple[Control, ...]:
        if self.follows and len(controls) != 1:
            kinds = " or ".join(self.controls)
            raise InvalidOption(
                f"{model.name} draws along a picture of one kind: give one control, {kinds}."
            )
        if self.follows and any((one.weight, one.start, one.end) != (1, 0, 1) for one in controls):
            raise InvalidOption(f"{model.name} follows its control fully. Leave the weight out.")
        if controls and not self.controlled:
            raise InvalidOption(f"{model.name} follows no controls. Leave them out.")
        if controls and draft.task not in self.controlled:
            can = ", ".join(task.value for task in self.controlled)
            raise InvalidOption(f"{model.name} follows controls in {can}, not in {draft.task}.")
        if len(controls) > self.most_controls:
            raise InvalidOption(
                f"{model.name} follows at most {self.most_controls} at once, not {len(controls)}. "
                "Leave the others out."
            )
        if not self.timed and any((one.start, one.end) != (0, 1) for one in controls):
            raise InvalidOption(
                f"{model.name} follows a control in every step. Leave its start and end out."
            )
        for one in controls:
            if one.kind not in self.controls:
                can = ", ".join(self.controls)
                raise InvalidOption(f"{model.name} does not follow {one.kind}; it follows: {can}.")
        return controls

    def _references_of(
        self, draft: Draft, references: tuple[Reference, ...], model: ModelRef
    ) -> tuple[Reference, ...]:
        if references and draft.task not in self.referred:
            can = f" (but in {', '.join(self.referred)})" if self.referred else ""
            raise InvalidOption(f"{model.name} takes no reference pictures in {draft.task}{can}.")
        if len(references) > self.most_references:
            raise InvalidOption(
                f"{model.name} takes at most {self.most_references} references, not "
                f"{len(references)}."
            )
        if self.sees and any(one.weight != 1 for one in references):
            raise InvalidOption(f"{model.name} knows no weights of references. Leave them out.")
        for one in references:
            if one.purpose not in self.references:
                can = ", ".join(self.references)
                instead = " Say in the prompt what is to be taken." if self.sees else ""
                raise InvalidOption(
                    f"{model.name} takes {can} from a reference, no {one.purpose}.{instead}"
                )
        return references

    def _layout_of(self, draft: Draft, model: ModelRef) -> tuple[Region, ...]:
        if draft.layout and draft.task not in self.layout:
            can = f" (but in {', '.join(self.layout)})" if self.layout else ""
            raise InvalidOption(
                f"{model.name} takes one prompt for the whole picture in {draft.task}{can}. Leave "
                "the layout out."
            )
        for one in draft.layout:
            check_words("prompt of a region", one.prompt)
        return draft.layout

    def _inputs_of(self, draft: Draft) -> tuple[RecipeInput, ...]:
        entry = next((entry for entry in self.tasks if entry.task is draft.task), None)
        if entry is None:
            can = ", ".join(one.task.value for one in self.tasks)
            raise InvalidRequest(f"This model does not do {draft.task.value}. It does: {can}.")
        given = [item.role for item in draft.inputs]
        missing = [role.value for role in entry.required if role not in given]
        if missing:
            raise InvalidRequest(f"{draft.task.value} needs a picture as {', '.join(missing)}.")
        allowed = (*entry.required, *entry.optional)
        for role in given:
            if role not in allowed or given.count(role) > 1:
                raise InvalidRequest(f"{draft.task.value} takes no (second) {role.value} picture.")
        return tuple(self._with_strength(item, draft.task) for item in draft.inputs)

    def _with_strength(self, item: RecipeInput, task: Task) -> RecipeInput:
        refining = task is Task.UPSCALE and self.refines is not None
        whole = (task is Task.IMAGE_TO_IMAGE or refining) and item.role is InputRole.INIT
        if self.strength is None or not whole:
            if item.strength is not None:
                raise InvalidOption(
                    "There is no strength to set here: it is for redrawing a whole picture, by a "
                    "model that can."
                )
            return item
        usual = (self.refines if refining else None) or self.strength.default
        strength = usual if item.strength is None else item.strength
        if not self.strength.low <= strength <= self.strength.high:
            raise InvalidOption(
                f"strength must be {self.strength.low:g} to {self.strength.high:g}, not "
                f"{strength:g}."
            )
        return item.model_copy(update={"strength": strength})

    def _check_words(self, draft: Draft) -> None:
        check_words("prompt", draft.prompt)
        check_words("negative prompt", draft.negative_prompt)
        if draft.task.takes_words and not draft.prompt.strip() and not draft.layout:
            raise InvalidPrompt("The prompt is empty. Say what to draw, for example “a red fox”.")
        refining = draft.task is Task.UPSCALE and self.refines is not None
        if draft.prompt.strip() and not (draft.task.takes_words or refining):
            raise InvalidOption(f"{draft.task.value} takes no prompt. Leave it out.")
        if draft.negative_prompt.strip() and not self.negative_prompt:
            raise InvalidOption("This model does not take negative words.")

    def _extras_of(self, draft: Draft, model: ModelRef) -> Extras:
        given = dict(draft.extras)
        specs = {spec.name: spec for spec in self.extras}
        for name in given:
            if name not in specs:
                known = ", ".join(specs) or "none"
                raise InvalidOption(f"{model.name} has no option “{name}”. It has: {known}.")
        chosen = ((spec.name, _extra(spec, given.get(spec.name))) for spec in self.extras)
        return tuple(sorted((name, value) for name, value in chosen if value is not None))


def _offset(draft: Draft) -> Offset | None:
    if (draft.task is Task.OUTPAINT) != (draft.offset is not None):
        raise InvalidOption(
            "Say where the picture lies on the larger one, with an offset."
            if draft.offset is None
            else f"{draft.task.value} has no offset to set."
        )
    return draft.offset


def _extra(spec: ChoiceExtra | NumberExtra, value: Extra | None) -> Extra | None:
    if value is None:
        return spec.default
    if isinstance(spec, ChoiceExtra):
        return _one_of(spec.name, str(value), spec.choices)
    if isinstance(value, str | bool) or not spec.low <= value <= spec.high:
        raise InvalidOption(f"{spec.name} must be {spec.low:g} to {spec.high:g}, not {value}.")
    return value


def _in_range(name: str, value: N | None, allowed: Range[N] | None, model: ModelRef) -> N | None:
    if allowed is None:
        if value is not None:
            raise InvalidOption(f"{model.name} has no {name} to set.")
        return None
    chosen = allowed.default if value is None else value
    if not allowed.low <= chosen <= allowed.high:
        raise InvalidOption(
            f"{name} must be {allowed.low:g} to {allowed.high:g} for {model.name}, not {chosen:g}."
        )
    return chosen


def _one_of(
    name: str, value: str | None, choices: tuple[str, ...], model: ModelRef | None = None
) -> str | None:
    if value is None:
        return choices[0] if choices else None
    if value not in choices:
        if not choices:
            raise InvalidOption(f"{model.name if model else 'It'} has no {name} to set.")
        if value in NEAREST:
            raise InvalidOption(_absent(name, value, choices))
        whose = f" for {model.name}" if model else ""
        close = close_to(re.sub(r"[^a-z0-9]+", "_", value.lower().replace("++", "pp")), choices)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise InvalidOption(
            f"{name} “{value}” is not known{whose}.{hint} Choose from: {', '.join(choices)}."
        )
    return value


def _absent(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return why a sampler or schedule is there for no model, and what to take."""
    nearest = NEAREST[value]
    instead = f"Choose {nearest}, which comes nearest to it."
    if nearest not in choices:
        instead = f"{nearest} comes nearest to it; this model has: {', '.join(choices)}."
    return f"Limner has no {name} “{value}”, for any model. {instead}"
