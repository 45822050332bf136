"""The settings of a picture from another tool, in our words, with what has none."""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from limner.domain.errors import InvalidPrompt
from limner.domain.prompting import changing
from limner.domain.recipe import MAX_SEED, Draft, Recipe, Size
from limner.domain.sampling import is_left_open, read_sampler, read_schedule
from limner.domain.tags import read_tag, tags_in, without

_LONGEST_SHOWN = 200
_LONGEST_WORDS = 20_000
_SPACES = re.compile(r"[ \t]{2,}")
_NO_NUMBER = "it is no number"

CLIP_SKIP = "tools count differently; give --option clip_skip=N where the model has it (0: none)"
"""Why the layers of CLIP that are left out are not taken over.

A1111 says 2, ComfyUI -2 and InvokeAI 1 for the same, and for Stable Diffusion XL 2 means none.
"""

Table: TypeAlias = Mapping[str, Any]
"""A JSON object."""


@dataclass(frozen=True)
class ForeignModel:
    """A model or adapter as another tool names it; the hash is in that tool's own form.

    `text_weight` is an adapter's weight in the text encoders, where the tool has another there.
    """

    name: str
    hash: str | None = None
    weight: float | None = None
    text_weight: float | None = None

    def asked(self, name: str | None = None) -> str:
        """Return the adapter as a Draft names it, `NAME:WEIGHT[:TEXT_WEIGHT]`."""
        weight = 1.0 if self.weight is None else self.weight
        in_text = "" if self.text_weight is None else f":{self.text_weight:g}"
        return f"{name or self.name}:{weight:g}{in_text}"


@dataclass(frozen=True)
class Unmapped:
    """A setting that our Draft has no place for, or not for this value; and why."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True)
class ForeignSettings:
    """What a picture file says about how it was made.

    `draft` holds what can be said in our words, without the model: that is `model`, as the tool
    names it. `strength` is how far the tool went from a starting picture. `recipe` is there for
    our own files only, exactly as it was.
    """

    tool: str
    draft: Draft
    model: ForeignModel | None = None
    adapters: tuple[ForeignModel, ...] = ()
    strength: float | None = None
    unmapped: tuple[Unmapped, ...] = ()
    recipe: Recipe | None = None


@dataclass
class Collector:
    """Gathers the settings of one file; every value is checked here, whatever tool wrote it."""

    tool: str
    fields: dict[str, Any] = field(default_factory=dict)
    model: ForeignModel | None = None
    adapters: list[ForeignModel] = field(default_factory=list)
    strength: float | None = None
    unmapped: list[Unmapped] = field(default_factory=list)

    def settings(self) -> ForeignSettings:
        """Return what was gathered."""
        return ForeignSettings(
            tool=self.tool,
            draft=Draft(**self.fields, literal=True),
            model=self.model,
            adapters=tuple(self.adapters),
            strength=self.strength,
            unmapped=tuple(self.unmapped),
        )

    def leave(self, name: str, value: object, reason: str) -> None:
        """Report a setting that is not taken over."""
        self.unmapped.append(Unmapped(name, shown(value), reason))

    def words(self, name: str, value: object) -> None:
        """Take a prompt; adapters named in it (`<lora:name:weight>`) are taken out of it."""
        if not isinstance(value, str):
            return
        for written in tags_in(value):
            try:
                tag = read_tag(written)
            except InvalidPrompt as error:
                self.leave("words", written, error.message)
            else:
                self.adapter(tag.name, weight=tag.weight, text_weight=tag.text_weight)
        text = _SPACES.sub(" ", without(value))
        for piece in dict.fromkeys(changing(text)):
            self.leave("words", piece, "our words are the same in every step; this is drawn as is")
        if len(text) > _LONGEST_WORDS:
            self.leave(name, text, f"it has {len(text):,} characters")
        elif text:
            self.fields[name] = _legible(text)

    def adapter(
        self,
        name: object,
        hash_: object = None,
        weight: object = None,
        text_weight: object = None,
    ) -> None:
        """Take an adapter, once by its name."""
        if not isinstance(name, str) or not name.strip():
            return
        if name.strip() in {one.name for one in self.adapters}:
            return
        weighs, in_text = number(weight), number(text_weight)
        self.adapters.append(
            ForeignModel(
                name=shown(name.strip()),
                hash=_hash(hash_),
                weight=weighs,
                text_weight=None if in_text == weighs else in_text,
            )
        )

    def choose_model(self, name: object, hash_: object = None) -> None:
        """Take the model, if it has a name or a hash."""
        named = shown(name.strip()) if isinstance(name, str) else ""
        if named or _hash(hash_):
            self.model = ForeignModel(named, _hash(hash_))

    def seed(self, value: object) -> None:
        """Take the seed, or report one that we do not have."""
        seed = whole(value)
        if seed is None:
            self._leave_unread("seed", value)
        elif 0 <= seed <= MAX_SEED:
            self.fields["seed"] = seed
        elif seed == -1:
            self.leave("seed", seed, "it stands for any seed; which one drew is not in the file")
        else:
            self.leave("seed", seed, f"our seeds go from 0 to {MAX_SEED}")

    def size(self, width: object, height: object) -> None:
        """Take the size, or report one that no picture has."""
        sides = whole(width), whole(height)
        if sides[0] is None or sides[1] is None:
            for name, side, value in zip(("width", "height"), sides, (width, height), strict=True):
                if side is None:
                    self._leave_unread(name, value)
        elif all(1 <= side <= 65_535 for side in sides if side is not None):
            self.fields["size"] = Size(width=sides[0], height=sides[1])
        else:
            self.leave("size", f"{sides[0]}x{sides[1]}", "no picture has this size")

    def steps(self, value: object) -> None:
        """Take the number of steps."""
        steps = whole(value)
        if steps is not None and 1 <= steps <= 100_000:
            self.fields["steps"] = steps
        elif steps is not None:
            self.leave("steps", steps, "no model takes so many or so few")
        else:
            self._leave_unread("steps", value)

    def guidance(self, value: object) -> None:
        """Take the guidance (“CFG scale”)."""
        guidance = number(value)
        if guidance is not None:
            self.fields["guidance"] = guidance
        else:
            self._leave_unread("guidance", value)

    def sampler(self, name: object, schedule: object = None) -> None:
        """Take the sampler and the schedule, which may be in the sampler's name."""
        if isinstance(name, str) and not is_left_open(name):
            sampler, within = read_sampler(name)
            if sampler:
                self.fields["sampler"] = sampler.value
            else:
                self.leave("sampler", name, "we know no sampler of this name")
            if within:
                self.fields["schedule"] = within.value
        if isinstance(schedule, str) and not is_left_open(schedule):
            known = read_schedule(schedule)
            if known:
                self.fields["schedule"] = known.value
            else:
                self.leave("schedule", schedule, "we know no schedule of this name")

    def start(self, strength: object, picture: object = None) -> None:
        """Take how far the tool went from a starting picture, which the file does not hold."""
        self.strength = number(strength)
        where = f" ({shown(picture)})" if isinstance(picture, str) and picture else ""
        self.leave(
            "strength",
            "unknown" if self.strength is None else f"{self.strength:g}",
            f"the picture it started from{where} is not in the file; "
            "use limner edit with that picture",
        )

    def _leave_unread(self, name: str, value: object) -> None:
        """Report a value that is no number, unless there is none at all."""
        if value is not None and value != "":
            self.leave(name, value, _NO_NUMBER)


def shown(value: object) -> str:
    """Return a value as a short text of one line."""
    text = value if isinstance(value, str) else _plain_json(value)
    text = " ".join(_legible(text[: 4 * _LONGEST_SHOWN]).split())
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def number(value: object) -> float | None:
    """Return a finite number, given as one or as a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value) if not isinstance(value, str) else float(value.strip()[:40])
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def whole(value: object) -> int | None:
    """Return a whole number, given as one or as a text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() <= 128 else None
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,30}\s*", value):
        return int(value)
    read = number(value)
    return int(read) if read is not None and read.is_integer() and abs(read) < 2**53 else None


def read_table(text: str | None) -> Table | None:
    """Return the JSON object that a text is; None where it is none, or too deep to be read."""
    if text is None or not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return None
    try:
        # Some tools write NaN, which is no JSON; Python reads it.
        read = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def table_in(table: Table, name: str) -> Table:
    """Return the JSON object that a table has by a name, or an empty one."""
    inner = table.get(name)
    return inner if isinstance(inner, dict) else {}


def list_in(table: Table, name: str) -> list[Any]:
    """Return the JSON array that a table has by a name, or an empty one."""
    inner = table.get(name)
    return inner if isinstance(inner, list) else []


def _legible(text: str) -> str:
    """Return a text without control characters and the halves of broken ones."""
    return "".join(
        letter
        for letter in text
        if letter in "\t\n" or unicodedata.category(letter) not in ("Cc", "Cs")
    )


def _hash(value: object) -> str | None:
    return shown(value.strip()) if isinstance(value, str) and value.strip() else None


def _plain_json(value: object) -> str:
    if isinstance(value, dict | list):
        try:
            return json.dumps(value, ensure_ascii=False)
        except (ValueError, RecursionError):
            return "…"
    return f"{value:g}" if isinstance(value, float) else str(value)
