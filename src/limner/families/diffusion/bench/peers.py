"""Other programs that draw with the same models, measured beside Limner where they are installed.

OpenVINO (`pip install openvino`) draws what diffusers draws: its pipeline, with the denoiser and
the decoder compiled by OpenVINO. stable-diffusion.cpp (`pip install stable-diffusion-cpp-python`)
is a program of its own and reads the folder itself. Each is measured in a process of its own, as
`python -m limner.families.diffusion.bench.peers` with JSON in and out; Limner never draws by them.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from limner.domain.errors import InvalidOption
from limner.families.diffusion.bench.compare import Asked, Plain, most_held, order_of, timed
from limner.families.diffusion.loading.pipelines import choose_device, libraries, quiet

_MODULES = {"OpenVINO": "openvino", "stable-diffusion.cpp": "stable_diffusion_cpp"}
_READ_BY_CPP = ("StableDiffusion", "StableDiffusionXL")


@dataclass(frozen=True)
class PeerFigures:
    """Seconds to load, to draw first and to draw again (median); the most bytes held."""

    load: float
    first: float
    picture: float
    peak: int


def installed() -> tuple[str, ...]:
    """Return the names of the peers that are installed here."""
    return tuple(name for name, module in _MODULES.items() if find_spec(module) is not None)


def measure(name: str, asked: Asked, rounds: int) -> PeerFigures:
    """Load and draw with one peer; the process should have done nothing before.

    Raises InvalidOption for a model that the peer cannot draw with, KeyError for an unknown peer.
    """
    began = time.perf_counter()
    draw = {"OpenVINO": _openvino, "stable-diffusion.cpp": _cpp}[name](asked)
    loaded = time.perf_counter()
    draw()
    first = time.perf_counter() - loaded
    again = median(timed(draw) for _ in range(rounds))
    return PeerFigures(loaded - began, first, again, most_held())


def _openvino(asked: Asked) -> Callable[[], object]:
    # It would report each conversion to its maker; without this package it cannot.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    plain = Plain(asked, None)
    pipeline = plain.pipeline
    denoiser = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    decoder = getattr(pipeline.vae, "decoder", None)
    if denoiser is None or decoder is None:
        raise InvalidOption(f"OpenVINO is not tried on {type(pipeline).__name__}.")
    with quiet():
        _compile((denoiser, decoder), plain.draw, asked.threads)
    return plain.draw


def _compile(modules: Sequence[Any], draw: Callable[[], object], threads: int) -> None:
    """Let each module compute by OpenVINO from now on, as `draw` has been seen to call it."""
    calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def seen(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        calls.setdefault(id(module), (given, named))

    hooks = [one.register_forward_pre_hook(seen, with_kwargs=True) for one in modules]
    draw()
    for hook in hooks:
        hook.remove()
    for one in modules:
        given, named = calls[id(one)]
        one.forward = _compiled(one, given, named, threads)


def _compiled(
    module: Any, given: tuple[Any, ...], named: Mapping[str, Any], threads: int
) -> Callable[..., Any]:
    """Return a forward of OpenVINO's; what is no tensor in the call seen becomes fixed in it."""
    import openvino

    torch = libraries().torch
    plain = module.forward
    example = _tensors(torch, given, named)

    class Flat(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: Any) -> Any:
            left = iter(tensors)
            drawn = plain(*_filled(torch, given, left), **_filled(torch, dict(named), left))
            return drawn[0] if isinstance(drawn, tuple) else drawn

    with torch.no_grad():
        converted = openvino.convert_model(Flat(), example_input=tuple(example))
    precision = "bf16" if choose_device().torch_dtype == torch.bfloat16 else "f32"
    hints = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    run = openvino.Core().compile_model(converted, "CPU", hints)

    def forward(*given: Any, **named: Any) -> Any:
        told = [one.detach().contiguous().numpy() for one in _tensors(torch, given, named)]
        drawn = torch.from_numpy(run(told)[0].copy())
        return (drawn,) if "return_dict" in named else drawn

    return forward


def _tensors(torch: Any, given: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
    """Return the tensors of a call in a settled order, those inside dictionaries included."""
    found = [one for one in given if torch.is_tensor(one)]
    for value in named.values():
        inner = value.values() if isinstance(value, dict) else (value,)
        found += [one for one in inner if torch.is_tensor(one)]
    return found


def _filled(torch: Any, given: Any, tensors: Any) -> Any:
    """Return what was given with each tensor replaced by the next of `tensors`."""
    if torch.is_tensor(given):
        return next(tensors)
    if isinstance(given, dict):
        return {name: _filled(torch, one, tensors) for name, one in given.items()}
    if isinstance(given, tuple):
        return tuple(_filled(torch, one, tensors) for one in given)
    return given


def _cpp(asked: Asked) -> Callable[[], object]:
    named = json.loads((Path(asked.folder) / "model_index.json").read_text())["_class_name"]
    if not any(named == f"{one}Pipeline" for one in _READ_BY_CPP):
        raise InvalidOption(f"stable-diffusion.cpp reads no folder of {named}.")
    from stable_diffusion_cpp import StableDiffusion

    guidance = order_of(asked).recipe.guidance
    model = StableDiffusion(
        model_path=asked.folder, n_threads=asked.threads, wtype="f32", verbose=False
    )

    def draw() -> object:
        try:
            return model.generate_image(
                prompt=asked.prompt,
                width=asked.width,
                height=asked.height,
                sample_steps=asked.steps,
                sample_method="euler",
                cfg_scale=1.0 if guidance is None else guidance,
                seed=asked.seed,
            )
        except ValueError as error:
            # It has no other sign for a folder in which it did not know the names of the weights.
            raise InvalidOption(
                "stable-diffusion.cpp does not know this folder's names."
            ) from error

    return draw


def main() -> None:
    """Read {"peer": …, "asked": …, "rounds": …}, write `PeerFigures` to standard output."""
    given = json.load(sys.stdin)
    with _told_apart() as answer:
        figures = measure(given["peer"], Asked(**given["asked"]), given["rounds"])
        answer.write(json.dumps(asdict(figures)) + "\n")


@contextlib.contextmanager
def _told_apart() -> Any:
    """Yield standard output, and send what native code prints there to standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(kept, "w") as answer:
        yield answer


if __name__ == "__main__":
    main()
