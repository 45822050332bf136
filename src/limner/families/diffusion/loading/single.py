"""A model in one file: what is in it, and its parts as diffusers has them.

The names of tensors are those of the original code; diffusers' own converters turn them.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.known.facts import facts_of
from limner.families.diffusion.known.stable_parts import INSIDE, PARTS, UNDESCRIBED, noise_of
from limner.families.diffusion.loading.clip_words import write_clip
from limner.families.diffusion.loading.modules import Incomplete, module_of
from limner.families.diffusion.loading.numbers import reading, tensors_of
from limner.families.diffusion.loading.pipelines import libraries, quiet
from limner.families.diffusion.planning.inventory import Part, weigh
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.folders import INDEX, Component
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.diffusion.recognition.tensors import Header
from limner.families.diffusion.recognition.tensors import Part as Tensors

ENDINGS = frozenset({".safetensors", ".sft", ".gguf"})
"""What the names of weight files end with."""


_AUTOENCODER = "first_stage_model."
"""What the names of the autoencoder begin with in a file of everything."""


def _none() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Single:
    """A file with some parts of a model: `inside` has what their names begin with there.

    `settings` are those of a part that differ from its description, `beside` parts without
    weights that are not those of the description either; `others` are files with more parts.
    """

    path: Path
    inside: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=_none)
    beside: Mapping[str, Any] = field(default_factory=_none)
    others: tuple["Single", ...] = ()

    def inventory(self, folder: Path) -> tuple[Part, ...]:
        """Return what the parts weigh; `folder` describes them."""
        header = read_header(self.path)
        own = tuple(self._part(header, folder, name) for name in self.inside)
        return (*own, *chain.from_iterable(one.inventory(folder) for one in self.others))

    def read(self, folder: Path, dtype: Any) -> dict[str, Any]:
        """Return the parts by name, as modules of diffusers and transformers.

        `folder` describes them; `dtype` is a number format of torch, or one for each part by name
        with a `default`. Raises WeightsRejected where tensors are missing or do not fit.
        """
        formats = dtype if isinstance(dtype, dict) else {"default": dtype}
        read = {
            name: self._read(folder, name, formats.get(name, formats["default"]))
            for name in self.inside
        }
        for other in self.others:
            read.update(other.read(folder, dtype))
        return {**read, **self.beside}

    def _part(self, header: Header, folder: Path, name: str) -> Part:
        prefix = self.inside[name]
        inner = {
            key.removeprefix(prefix): tensor
            for key, tensor in header.tensors.items()
            if key.startswith(prefix)
        }
        settings = _read_json(folder / name / "config.json")
        component = Component(_class_of(folder, name)[1], settings, ())
        part = weigh(name, component, replace(header, tensors=inner))
        share = part.parameters / max(1, weigh("all", component, header).parameters)
        return replace(part, file_bytes=round(self.path.stat().st_size * share))

    def _read(self, folder: Path, name: str, dtype: Any) -> Any:
        library, class_name = _class_of(folder, name)
        kind = getattr(getattr(libraries(), library), class_name)
        tensors = tensors_of(self.path, self.inside[name], dtype)
        options = {"config": str(folder), "subfolder": name, "torch_dtype": dtype}
        options.update(self.settings.get(name, {}))
        if self.path.suffix.lower() == ".gguf":
            packed = libraries().diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
            options["quantization_config"] = packed
        with reading(self.path.name), quiet():
            try:
                return module_of(kind, name, tensors, self.inside[name], options)
            except Incomplete as error:
                raise WeightsRejected(
                    f"{self.path.name} lacks tensors of the part {name}. Get the model again."
                ) from error


def recognise_single(path: Path) -> Finding | None:
    """Return what a weight file is; None for a file of another kind."""
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        return None
    return recognise_file(path)


def describes_itself(found: Finding) -> bool:
    """Whether a file of everything needs no folder: its family's descriptions are known."""
    return found.kind is Kind.CHECKPOINT and _key(found) in PARTS


def check_single(path: Path, found: Finding) -> None:
    """Raise WeightsRejected where a file that describes itself cannot be drawn with."""
    wanted = facts_of(found.family, found.variant).text_encoders
    missing = [part for part in wanted if part not in found.parts]
    if missing:
        raise WeightsRejected(
            f"{path.name} is a {found.reason.rstrip('.')}; {' and '.join(missing)} are not in it. "
            "Get the file that has everything, or the folder of the model."
        )
    if found.variant in UNDESCRIBED:
        raise WeightsRejected(
            f"{path.name} is {facts_of(found.family, found.variant).title} in one file, which "
            "Limner draws with only as a folder of diffusers. Get that one."
        )
    if found.layout != "original":
        raise WeightsRejected(
            f"The names in {path.name} are not those of a file of everything. Get the folder of "
            "the model."
        )


@contextmanager
def whole(path: Path, found: Finding) -> Iterator[tuple[Path, Single]]:
    """Give a folder that describes a file of everything, and the file's parts, for a while.

    An autoencoder that is not in it is not among them.
    """
    check_single(path, found)
    header = read_header(path)
    with TemporaryDirectory(prefix="limner-") as written:
        folder = Path(written) / path.stem
        describe(folder, found, header)
        inside = {"unet": found.prefix, **INSIDE[_key(found)]}
        if "autoencoder" in found.parts:
            inside["vae"] = _AUTOENCODER
        yield folder, Single(path, inside)


def _key(found: Finding) -> str:
    return found.variant if found.variant in PARTS else found.family


def describe(folder: Path, found: Finding, header: Header) -> None:
    """Write the descriptions of a Stable Diffusion, as diffusers has them beside the weights."""
    parts = {name: dict(settings) for name, settings in PARTS[_key(found)].items()}
    tensors = Tensors(header.tensors)
    parts["unet"]["in_channels"] = tensors.inputs(f"{found.prefix}input_blocks.0.0") or (
        tensors.inputs(f"{found.prefix}conv_in")
    )
    facts = facts_of(found.family, found.variant)
    predicted = found.prediction or facts.prediction
    noise = noise_of(found.family, found.variant, predicted, "ztsnr" in header.tensors)
    index: dict[str, object] = {
        "_class_name": next(iter(facts.pipelines.values())),
        "scheduler": ["diffusers", noise["_class_name"]],
    }
    for name, settings in parts.items():
        clip = settings.get("architectures")
        index[name] = ["transformers", clip[0]] if isinstance(clip, list) else _diffusers(settings)
        _write_json(folder / name / "config.json", settings)
    _write_json(folder / "scheduler" / "scheduler_config.json", noise)
    for name in ("text_encoder", "text_encoder_2"):
        if name in parts:
            tokenizer = name.replace("text_encoder", "tokenizer")
            index[tokenizer] = ["transformers", "CLIPTokenizer"]
            write_clip(folder / tokenizer, **_padding(parts[name]))
    _write_json(folder / INDEX, {**index, **_ABSENT.get(_key(found), _UNWATCHED)})


def _diffusers(settings: Mapping[str, object]) -> list[object]:
    return ["diffusers", settings["_class_name"]]


def _padding(encoder: Mapping[str, object]) -> dict[str, str]:
    return {} if encoder["hidden_act"] == "quick_gelu" else {"pad": "!"}


_NONE = [None, None]

_UNWATCHED: Mapping[str, object] = {
    "feature_extractor": _NONE,
    "safety_checker": _NONE,
    "requires_safety_checker": False,
}

_ABSENT: Mapping[str, Mapping[str, object]] = {
    "sdxl": {"force_zeros_for_empty_prompt": True},
    "refiner": {
        "force_zeros_for_empty_prompt": False,
        "requires_aesthetics_score": True,
        "text_encoder": _NONE,
        "tokenizer": _NONE,
    },
}
"""What else the description of a pipeline says, by the key of its parts."""


def _class_of(folder: Path, name: str) -> tuple[str, str]:
    entry = _read_json(folder / INDEX)[name]
    return entry[0], entry[1]


def _read_json(path: Path) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(path.read_bytes())
    return table


def _write_json(path: Path, table: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table), encoding="utf-8")
