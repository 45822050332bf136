"""From files on the disk to a pipeline of diffusers in memory."""

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from limner.domain.errors import ModelUnavailable, WeightsRejected
from limner.families.diffusion.recognition.folders import INDEX, read_pipeline

_SPARED: Mapping[str, object] = {"safety_checker": None, "requires_safety_checker": False}
"""What a pipeline is built without: pictures are judged once, after they are drawn."""


@dataclass(frozen=True)
class Device:
    """Where a pipeline computes, `cpu`, `cuda` or `mps`, and in which number format."""

    name: str
    dtype: str

    @property
    def torch_dtype(self) -> Any:
        """The number format as torch names it."""
        return getattr(libraries().torch, self.dtype)


@dataclass(frozen=True)
class Libraries:
    """The libraries that draw, imported when they are first needed."""

    torch: Any
    diffusers: Any
    transformers: Any

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """Their (name, version), as an Environment keeps them."""
        named = (
            ("diffusers", self.diffusers),
            ("torch", self.torch),
            ("transformers", self.transformers),
        )
        return tuple((name, str(module.__version__)) for name, module in named)


def libraries() -> Libraries:
    """Return torch, diffusers and transformers; raises ModelUnavailable where one is missing."""
    try:
        torch, transformers = import_module("torch"), import_module("transformers")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Libraries(torch, import_module("diffusers"), transformers)
    except ImportError as error:
        raise ModelUnavailable(
            f"This model runs on torch and diffusers, and {error.name} is not installed. Install "
            "them with: pip install 'limner[torch]'"
        ) from error


REMEDY = "Get the model again, or a newer Limner if the model is newer."
"""What to do about a model that could not be loaded."""


def load_pipeline(
    folder: Path,
    device: Device,
    changes: Mapping[str, Any] | None = None,
    moved: bool = True,
) -> Any:
    """Return the pipeline of a diffusers folder, on its device unless it is not to be `moved`.

    `changes` are options of `from_pretrained` that differ from the plain ones, parts that come
    from elsewhere among them. Nothing is
    fetched and no code of the folder is run. Raises WeightsRejected for weights that do not fit
    their description or hold numbers that are none.
    """
    described = read_pipeline(folder, tuple(changes or ()))
    used = libraries()
    with quiet():
        pipeline_class = getattr(used.diffusers, described.class_name)
    _check_parts(folder, described.settings)
    spared = {
        name: value
        for name, value in _SPARED.items()
        if name in described.settings and not (folder / name / "config.json").is_file()
    }
    options = {
        "torch_dtype": device.torch_dtype,
        "use_safetensors": True,
        "local_files_only": True,
        "variant": _variant(folder, tuple(described.components)),
        **(changes or {}),
    }
    with refusals(f"{folder.name} could not be loaded", REMEDY):
        pipeline = pipeline_class.from_pretrained(folder, **options, **spared)
    check_numbers(folder.name, pipeline, _IN_EVERY_PICTURE)
    return placed(pipeline, device) if moved else pipeline


def placed(part: Any, device: Device) -> Any:
    """Return a pipeline or network on its device; raises MemoryError where it does not fit."""
    with memory_told():
        return part.to(device.name)


_BAD = (OSError, ValueError, KeyError, RuntimeError, TypeError, ZeroDivisionError)
"""What the libraries raise for weights that are damaged or do not fit."""


@contextmanager
def refusals(what: str, remedy: str) -> Iterator[None]:
    """Turn what the libraries raise for bad weights into WeightsRejected, full memory told apart.

    `what` begins the message: what could not be done. `remedy` ends it.
    """
    damaged = import_module("safetensors").SafetensorError
    try:
        with quiet():
            yield
    except (*_BAD, damaged) as error:
        if _is_memory(error):
            raise MemoryError from error
        raise WeightsRejected(f"{what}: {_telling_line(error)} {remedy}") from error


def parts_of(pipeline: Any) -> dict[str, Any]:
    """Return the parts of a pipeline that hold weights, by name."""
    module = libraries().torch.nn.Module
    return {name: part for name, part in pipeline.components.items() if isinstance(part, module)}


def bytes_in(modules: Iterable[Any]) -> int:
    """Return the bytes that the weights of modules of torch take; shared ones count once."""
    tensors = {
        id(tensor): tensor.numel() * tensor.element_size()
        for module in modules
        for tensor in (*module.parameters(), *module.buffers())
    }
    return sum(tensors.values())


def choose_device() -> Device:
    """Return the fastest device of this machine and the number format it computes best in.

    On a CPU that is float32: without matrix units of its own for it, bfloat16 is ten times
    slower there.
    """
    torch = libraries().torch
    if torch.cuda.is_available():
        return Device(
            "cuda",
            "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16",
        )
    if torch.backends.mps.is_available():
        return Device("mps", "bfloat16")
    return Device("cpu", "float32")


_LOADERS = ("diffusers", "transformers")


def _check_parts(folder: Path, settings: Mapping[str, object]) -> None:
    """Refuse a description that would import something else than the two libraries' classes."""
    pipelines = import_module("diffusers.pipelines")
    for name, entry in settings.items():
        if not (isinstance(entry, list) and entry and isinstance(entry[0], str)):
            continue
        if entry[0] not in _LOADERS and not hasattr(pipelines, entry[0]):
            raise WeightsRejected(
                f"The {INDEX} of {folder.name} wants code of “{entry[0][:60]}” for its "
                f"part {name[:60]}. Only classes of diffusers and transformers are loaded."
            )


def _variant(folder: Path, parts: tuple[str, ...]) -> str | None:
    """Return the word between a weight file's name and its ending where only such files are here.

    `fp16` in `diffusion_pytorch_model.fp16.safetensors`.
    """
    for part in parts:
        names = sorted(path.name for path in (folder / part).glob("*.safetensors"))
        found = {_word(name) for name in names}
        if found and "" not in found:
            return min(found)
    return None


def _word(name: str) -> str:
    match = re.fullmatch(r"[^.]+\.(\w+?)(?:-\d{5}-of-\d{5})?\.safetensors", name)
    return match.group(1) if match else ""


_ALL = re.compile("")
_IN_EVERY_PICTURE = re.compile(
    r"(?!vae\.(encoder|quant_conv)\.)(?!.*\b(token_embedding|embed_tokens|shared|wte)\.weight$)"
)
"""Weights that every picture reads. Of the others, files need not lie in memory: what encodes
pictures, and the embeddings of words that a prompt does not say."""


def check_numbers(model: str, pipeline: Any, which: re.Pattern[str] = _ALL) -> None:
    """Refuse weights that hold NaN or infinity: every picture of theirs would be black.

    Reads those that `which` matches, by `part.name`. Raises WeightsRejected.
    """
    torch = libraries().torch
    for name, part in parts_of(pipeline).items():
        for key, tensor in part.state_dict().items():
            if tensor.is_meta and which is not _ALL:
                raise WeightsRejected(
                    f"“{key}” is missing in the part {name} of {model}: the file is not whole. Get "
                    "the model again."
                )
            if not (tensor.is_floating_point() and which.match(f"{name}.{key}")):
                continue
            # The sum is neither if any number is; it needs no copy of the tensor.
            if torch.isfinite(tensor.sum(dtype=torch.float32)):
                continue
            if not torch.isfinite(tensor.float()).all():
                raise WeightsRejected(
                    f"“{key}” in the part {name} of {model} holds numbers that are none "
                    "(NaN or infinity): the file is damaged. Get the model again."
                )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries say to their developers, and their bars, away from the maker."""
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers", "torchao")]
    levels = [logger.level for logger in loggers]
    bars = [_Bars(name) for name in ("diffusers.utils.logging", "transformers.utils.logging")]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        for bar in bars:
            bar.hide()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for bar in bars:
            bar.restore()


class _Bars:
    """The progress bars of a library, hidden for a while."""

    def __init__(self, name: str) -> None:
        self._switch: Any = import_module(name)
        self._shown = bool(self._switch.is_progress_bar_enabled())

    def hide(self) -> None:
        self._switch.disable_progress_bar()

    def restore(self) -> None:
        if self._shown:
            self._switch.enable_progress_bar()


@contextmanager
def memory_told() -> Iterator[None]:
    """Turn torch's ways of saying that memory is full into MemoryError."""
    try:
        yield
    except RuntimeError as error:
        if _is_memory(error):
            raise MemoryError from error
        raise


_FULL = ("not enough memory", "out of memory", "allocate memory", "bad_alloc", "alloc_failed")
"""What torch, its libraries and the system say when memory is full, in small letters."""


def _is_memory(error: BaseException) -> bool:
    said = str(error).lower()
    return any(one in said for one in _FULL)


def _telling_line(error: BaseException) -> str:
    """Return the first line of an error; the last, where the first only announces it."""
    lines = str(error).strip().split("\n")
    line = (lines[-1] if lines[0].endswith(":") else lines[0]).strip()[:300]
    return line if line.endswith((".", "!", "?")) else f"{line}."
