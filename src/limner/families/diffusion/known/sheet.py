"""The sheets of facts that every family and every variant of it has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from limner.domain.capability import Range
from limner.domain.card import Licence
from limner.domain.composition import Purpose
from limner.domain.recipe import Size, Task
from limner.domain.sampling import Sampler, Schedule

GuidanceKind = Literal["classifier-free", "embedded", "none"]
"""How a model is guided: by a second look without the words, by a number it was given, or not."""

_MEANINGS: Mapping[GuidanceKind, str] = MappingProxyType(
    {
        "classifier-free": "how far to lean from a picture of nothing (or of the negative words) "
        "towards the words; {off:g} is off, and twice as fast",
        "embedded": "how closely to follow the words, as the model learnt it; it costs no time",
        "none": "",
    }
)

HOME = "https://huggingface.co/"
"""What the address of a repository begins with."""


NONE: Mapping[Task, str] = MappingProxyType({})
"""The classes of diffusers that do what a variant does not do."""


@dataclass(frozen=True)
class Repository:
    """A repository of the model hub; a gated one asks for an account and consent."""

    name: str
    gated: bool = False


@dataclass(frozen=True)
class Architecture:
    """What all variants of a family share: their networks, and what works with these.

    `title` is what its makers call it. `denoiser`, `controlnet` and `union` name classes of
    diffusers: `controlnet` is empty where no ControlNet steers it, `union` that of those that
    learnt several kinds and take several pictures, where that is another. It follows
    `most_controls` of them at once, for a part of the steps where `timed_controls`. `ip_adapter` is
    what IP-Adapters take from references for it. `clip`: prompts are read by CLIP, whose last
    layers may be left out. `regions`: its denoiser is told words by the arguments that layouts are
    drawn with. `first_block_tells`: its first block says whether a step changes much.
    `large_layers`: it spends its time in large layers of blocks that repeat. `tiny_decoder` is what
    the tiny decoder of its latents is called. `shared_parts` are the variants that have the same
    other parts. `autoencoder` is the family whose autoencoder it has, empty where it is its own.
    """

    family: str
    title: str
    denoiser: str
    controlnet: str = ""
    union: str = ""
    most_controls: int = 8
    timed_controls: bool = True
    ip_adapter: tuple[Purpose, ...] = ()
    clip: bool = False
    regions: bool = False
    first_block_tells: bool = False
    large_layers: bool = False
    tiny_decoder: str = ""
    shared_parts: tuple[str, ...] = ()
    autoencoder: str = ""


@dataclass(frozen=True)
class Facts:
    """What is published of one variant: what it draws well, how it is asked, on which terms.

    `area` is the least and the most pixels of a picture it draws well by itself, `multiple` what
    its sides are multiples of: the scale of its autoencoder times its patch. `sampler` and
    `schedule` are those that it is mostly drawn with, None where it needs its own. `pipelines`
    names the classes of diffusers that do a task, `controls` those that take a control picture
    besides, `unions` those that take union ControlNets; a variant without either is known, and not
    drawn with. `prompt_tokens` is how much of a prompt is read. `told_pictures`: references reach
    it as words do, by FLUX.1 Redux. In the tasks `sees_in` it sees references by itself,
    `most_seen` of them. `sides` are those of the squares that models of it were published for,
    where that is not `size` alone. The licence is that of the published weights; what others made
    of them may have stricter terms.
    """

    family: str
    variant: str
    title: str
    size: Size
    area: tuple[int, int]
    multiple: int
    steps: Range[int]
    licence: Licence
    text_encoders: tuple[str, ...]
    prompt_tokens: int
    prediction: Literal["epsilon", "v", "flow"] = "flow"
    sampler: Sampler | None = Sampler.EULER
    schedule: Schedule | None = Schedule.SIMPLE
    guidance: Range[float] | None = None
    guidance_kind: GuidanceKind = "none"
    guidance_argument: str = ""
    guidance_off: float = 1.0
    negative_prompt: bool = False
    strength: float = 0.6
    pipelines: Mapping[Task, str] = field(default_factory=lambda: NONE)
    controls: Mapping[Task, str] = field(default_factory=lambda: NONE)
    unions: Mapping[Task, str] = field(default_factory=lambda: NONE)
    told_pictures: bool = False
    sees_in: tuple[Task, ...] = ()
    most_seen: int = 0
    sides: tuple[int, ...] = ()
    repositories: tuple[Repository, ...] = ()

    @property
    def guidance_meaning(self) -> str:
        """What guidance means here, in words; empty where there is none."""
        return _MEANINGS[self.guidance_kind].format(off=self.guidance_off)

    @property
    def homepage(self) -> str:
        """Where the model was published; empty where nobody published this variant."""
        return HOME + self.repositories[0].name if self.repositories else ""


def square(side: int) -> Size:
    """Return a square of this side."""
    return Size(width=side, height=side)


def steps(default: int, high: int = 100) -> Range[int]:
    """Return the range of steps with this default."""
    return Range(low=1, high=high, default=default)


def lean(default: float, low: float = 1.0, high: float = 20.0) -> Range[float]:
    """Return the range of guidance with this default."""
    return Range(low=low, high=high, default=default)


ONE_MEGAPIXEL = (802_816, 1_310_720)
"""About a megapixel: from 896 × 896 to 1280 × 1024."""
