"""What a diffusers folder is, from its descriptions and the headers of its weights.

The layout: https://huggingface.co/docs/diffusers/using-diffusers/other-formats.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.known.facts import title_of
from limner.families.diffusion.recognition.finding import Finding, Kind, Prediction, Words
from limner.families.diffusion.recognition.headers import PICKLES, read_header
from limner.families.diffusion.recognition.layouts import cut_short, names_of, recognise
from limner.families.diffusion.recognition.lenders import described_by
from limner.families.diffusion.recognition.tensors import Header, Tensor

INDEX = "model_index.json"
"""The file that makes a folder a diffusers folder."""

SHARDS = re.compile(r".+\.safetensors\.index(\.\w+)?\.json")
"""The name of a list of shards; a variant as `fp16` stands before the ending."""

_LONGEST = 20_000_000
"""Bytes of a description. A list of shards has a line for each tensor."""

_MOST_SHARDS = 1_000

DENOISERS = ("transformer", "unet")
"""What the part that draws is called in a folder."""


@dataclass(frozen=True)
class Component:
    """A part of a diffusers folder that has weights: its class, its settings, its files."""

    class_name: str
    settings: Mapping[str, object]
    weights: tuple[Path, ...]


@dataclass(frozen=True)
class Pipeline:
    """A diffusers folder: its class, its own settings, its parts by name, what is predicted."""

    class_name: str
    settings: Mapping[str, object]
    components: Mapping[str, Component]
    prediction: str


def recognise_folder(folder: Path) -> Finding:
    """Return what a diffusers folder is; never raises for what is in it."""
    try:
        lacking = lacking_parts(folder)
        if lacking:
            return _lender(folder, lacking)
        pipeline = read_pipeline(folder)
        name = next((one for one in DENOISERS if one in pipeline.components), None)
        if name is None:
            return _other(pipeline)
        header = read_weights(pipeline.components[name].weights)
        found = recognise(header, *_words(folder, pipeline))
        if found.kind is not Kind.DENOISER:
            return _other(pipeline)
        encoders = _encoders(pipeline)
        _check_others(folder, pipeline, name)
    except WeightsRejected as error:
        return Finding(Kind.REFUSED, error.message)
    title = found.reason.removeprefix("The denoiser of ").removesuffix(", without the other parts.")
    found = replace(
        found,
        kind=Kind.PIPELINE,
        reason=f"{title}, a folder with all its parts.",
        parts=(*encoders, *(("autoencoder",) if "vae" in pipeline.components else ())),
        prediction=_prediction(pipeline, found),
    )
    return cut_short(found, header.missing) if header.missing else found


def lacking_parts(folder: Path) -> tuple[str, ...]:
    """Return the parts that a folder describes and has no weights of, pickled ones neither.

    Raises WeightsRejected where its description cannot be read.
    """
    return tuple(
        name
        for name, entry in read_table(folder / INDEX).items()
        if _is_part(entry)
        and _has_weights(folder, name)
        and not any(path.suffix in (".safetensors", *PICKLES) for path in _entries(folder / name))
    )


def recognise_shards(index: Path) -> Finding:
    """Return what the shards that a list names are together; never raises for what is in them."""
    try:
        header = read_weights(_shards(index))
    except WeightsRejected as error:
        return Finding(Kind.REFUSED, error.message)
    found = recognise(header, *names_of(index))
    return cut_short(found, header.missing) if header.missing else found


def read_pipeline(folder: Path, given: Collection[str] = ()) -> Pipeline:
    """Return what a diffusers folder holds; raises WeightsRejected where a part is missing.

    Parts that are `given` come from elsewhere and are passed over.
    """
    index = read_table(folder / INDEX)
    class_name = index.get("_class_name")
    if not isinstance(class_name, str):
        raise WeightsRejected(f"{folder.name} has a {INDEX} that names no pipeline. Get it again.")
    components = {
        name: _component(folder, name, entry[1])
        for name, entry in index.items()
        if _is_part(entry) and name not in given and _has_weights(folder, name)
    }
    scheduler = folder / "scheduler" / "scheduler_config.json"
    predicted = read_table(scheduler).get("prediction_type") if scheduler.is_file() else ""
    return Pipeline(class_name, index, components, str(predicted or ""))


def read_weights(paths: tuple[Path, ...]) -> Header:
    """Return the headers of one model's files as one; raises WeightsRejected as `read_header`."""
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    missing = 0
    for path in paths:
        header = read_header(path)
        tensors.update(header.tensors)
        metadata.update(header.metadata)
        missing += header.missing
    return Header("safetensors", tensors, metadata, missing)


WEIGHTLESS = re.compile(r"(tokenizer|scheduler|feature_extractor|image_processor|processor)(_\d)?")
SPARED = ("safety_checker",)
"""Parts whose weights nobody misses."""


def _has_weights(folder: Path, name: str) -> bool:
    return bool(re.fullmatch(r"\w{1,60}", name)) and (
        not WEIGHTLESS.fullmatch(name) and (name not in SPARED or (folder / name).is_dir())
    )


def _is_part(entry: object) -> TypeGuard[list[str]]:
    """Whether a line of the description names a part: a library and a class of it."""
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and all(isinstance(one, str) and one for one in entry)
    )


def _component(folder: Path, name: str, class_name: str) -> Component:
    inner = folder / name
    settings = inner / "config.json"
    weights = _weights(inner)
    if not weights:
        pickled = any(path.suffix in PICKLES for path in _entries(inner))
        reason = (
            "has only pickled weights, which can run any program and are never opened. Get the "
            "same model with .safetensors"
            if pickled
            else "has no weights here. Get the whole folder"
        )
        raise WeightsRejected(f"The part “{name}” of {folder.name} {reason}.")
    return Component(class_name, read_table(settings) if settings.is_file() else {}, weights)


def _weights(folder: Path) -> tuple[Path, ...]:
    """Return the files of a part: those without a variant in their name before `.fp16.` ones."""
    found = sorted(_entries(folder), key=lambda path: (path.name.count("."), path.name))
    index = next((path for path in found if SHARDS.fullmatch(path.name)), None)
    lone = [
        path
        for path in found
        if path.suffix == ".safetensors" and not re.search(r"-\d{5}-of-\d{5}", path.name)
    ]
    if lone and (index is None or lone[0].name.count(".") + 2 <= index.name.count(".")):
        return (lone[0],)
    return _shards(index) if index else ()


def _entries(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        try:
            yield from folder.iterdir()
        except OSError as error:
            raise WeightsRejected(f"{folder} cannot be read: {error.strerror}.") from error


def _shards(index: Path) -> tuple[Path, ...]:
    listed = read_table(index).get("weight_map")
    names = {str(one) for one in listed.values()} if isinstance(listed, dict) else set()
    if not names or len(names) > _MOST_SHARDS or any(Path(name).name != name for name in names):
        raise WeightsRejected(f"{index.name} lists no shards that could be read. Get it again.")
    paths = tuple(index.parent / name for name in sorted(names))
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        raise WeightsRejected(
            f"{index.name} lists {len(paths)} shards, and {len(absent)} of them are not here: "
            f"{', '.join(absent[:3])}. Get them too."
        )
    return paths


def read_table(path: Path) -> Mapping[str, object]:
    """Return a JSON table of bounded length; raises WeightsRejected where it is none."""
    try:
        if path.stat().st_size > _LONGEST:
            raise WeightsRejected(f"{path.name} is longer than any description. It was not read.")
        table = json.loads(path.read_bytes())
    except OSError as error:
        raise WeightsRejected(f"{path.name} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise WeightsRejected(f"{path.name} is damaged. Get it again.") from error
    if not isinstance(table, dict):
        raise WeightsRejected(f"{path.name} is damaged: it is no table. Get it again.")
    return table


def _words(folder: Path, pipeline: Pipeline) -> tuple[str, ...]:
    """Return what names the variant: the folder, the class, and what the parts were made from."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", pipeline.class_name)
    # FLUX.2 klein and Krea 2 say here whether they are the distilled model or its base.
    distilled = pipeline.settings.get("is_distilled")
    said = (
        {True: "distilled turbo", False: "base"}.get(distilled)
        if distilled in (True, False)
        else ""
    )
    return (
        *names_of(folder / INDEX),
        spaced,
        said or "",
        str(pipeline.settings.get("_name_or_path", "")),
    )


def _check_others(folder: Path, pipeline: Pipeline, denoiser: str) -> None:
    """Refuse a folder where another part than the denoiser is cut short, or words have no table."""
    for name, part in pipeline.components.items():
        missing = read_weights(part.weights).missing if name != denoiser else 0
        if missing:
            raise WeightsRejected(
                f"The part “{name}” of {folder.name} was not copied whole: {missing / 1e6:,.1f} MB "
                "are missing. Get it again."
            )
    read = [name for name, entry in pipeline.settings.items() if _is_part(entry)]
    for name in read:
        if re.fullmatch(r"tokenizer(_\d)?", name) and not any(_entries(folder / name)):
            raise WeightsRejected(
                f"The part “{name}” of {folder.name} is not here. Get the whole folder."
            )


def _encoders(pipeline: Pipeline) -> tuple[str, ...]:
    names = sorted(name for name in pipeline.components if name.startswith("text_encoder"))
    found = [recognise(read_weights(pipeline.components[name].weights)) for name in names]
    return tuple(part for one in found if one.kind is Kind.TEXT_ENCODER for part in one.parts)


def _prediction(pipeline: Pipeline, found: Finding) -> Prediction:
    if found.prediction == "flow":
        return "flow"
    return "v" if pipeline.prediction == "v_prediction" else "epsilon"


def _lender(folder: Path, lacking: tuple[str, ...]) -> Finding:
    """Return what a folder is that lacks weights; raises WeightsRejected as `read_pipeline`."""
    pipeline = read_pipeline(folder, lacking)
    words = Words(*_words(folder, pipeline))
    unet = folder / "unet" / "config.json"
    width = read_table(unet).get("cross_attention_dim") if unet.is_file() else None
    described = described_by(pipeline.class_name, width, words)
    if described is None:
        return _other(pipeline)
    family, variant = described
    name = next((one for one in DENOISERS if one in pipeline.components), None)
    if name is not None:
        header = read_weights(pipeline.components[name].weights)
        variant = recognise(header, *_words(folder, pipeline)).variant
    parts = " and ".join(f"“{one}”" for one in lacking)
    return Finding(
        Kind.LENDER,
        f"{title_of(family)} ({variant or 'any variant'}), a folder that describes it. {parts} of "
        f"{folder.name} {'has' if len(lacking) == 1 else 'have'} no weights here. Denoisers in one "
        "file draw with what it has; get the whole folder to draw with it by itself.",
        family,
        variant,
        prediction=_PREDICTIONS.get(pipeline.prediction, "flow"),
    )


_PREDICTIONS: Mapping[str, Prediction] = {"v_prediction": "v", "epsilon": "epsilon"}
"""What schedulers call it; those of flow models call it nothing."""


def _other(pipeline: Pipeline) -> Finding:
    return Finding(
        Kind.OTHER,
        f"A diffusers folder of the kind {pipeline.class_name[:60]}, which Limner does not draw "
        "with.",
    )
