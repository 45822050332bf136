"""Draws once in a process of its own, and prints how much memory each stage held.

python -m tests.families.diffusion.peaks [FOLDER DTYPE WIDTHxHEIGHT]…
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from limner.families.diffusion.loading.pipelines import quiet
from tests.families.diffusion import tiny

_LIBRARIES: dict[str, Any] = {"diffusers": diffusers, "transformers": transformers}


def resident(entry: str) -> int:
    """Return what the kernel calls VmRSS or VmHWM, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(entry)


def forget() -> None:
    """Let the highest mark be what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def warm() -> None:
    """Have the code that every model uses in memory: draw once, tiny."""
    words = torch.zeros(1, 77, 16)
    pipeline = tiny.sd1()
    pipeline.set_progress_bar_config(disable=True)
    pipeline.text_encoder(torch.ones(1, 77, dtype=torch.long))
    pipeline(
        prompt_embeds=words,
        negative_prompt_embeds=words,
        width=16,
        height=16,
        num_inference_steps=1,
    )


def alone(*case: str) -> dict[str, int]:
    """Draw in a fork of this process, whose heap nothing was drawn in."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            warm()
            os.write(writing, json.dumps(draw(*case)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        stages: dict[str, int] = json.loads(told.read())
    os.waitpid(child, 0)
    return stages


class Gauge:
    """Keeps the most that was held in each stage, over what was held before anything was loaded."""

    def __init__(self) -> None:
        self.base = resident("VmRSS")
        self.stages: dict[str, int] = {}

    def note(self, stage: str) -> None:
        self.stages[stage] = max(self.stages.get(stage, 0), resident("VmHWM") - self.base)
        forget()

    def around(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            forget()
            result = call(*arguments, **named)
            self.note(stage)
            return result

        return measured


def draw(folder: str, dtype: str, size: str) -> dict[str, int]:
    """Load a model, draw once, and return the most each stage held."""
    index = json.loads(Path(folder, "model_index.json").read_text())
    kind: Any = getattr(diffusers, index["_class_name"])
    gauge = Gauge()
    forget()
    wanted = kind._get_signature_keys(kind)[0]
    absent = {name: None for name in wanted if not (index.get(name) or [None])[0]}
    pipeline = kind.from_pretrained(
        folder, **absent, torch_dtype=getattr(torch, dtype), local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):  # as loading does, to see that all are numbers
            for tensor in part.state_dict().values():
                tensor.sum(dtype=torch.float32)
    gauge.note("load")
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    denoiser.forward = gauge.around("draw", denoiser.forward)
    pipeline.vae.decode = gauge.around("decode", pipeline.vae.decode)
    words = gauge.around("read the prompt", embed)(pipeline)
    width, height = (int(side) for side in size.split("x"))
    pipeline(**words, width=width, height=height, num_inference_steps=1)
    return gauge.stages


def main(*asked: str) -> None:
    """Draw each `FOLDER DTYPE WIDTHxHEIGHT`."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    cases = [asked[start : start + 3] for start in range(0, len(asked), 3)]
    for case in cases:
        index = json.loads(Path(case[0], "model_index.json").read_text())
        for entry in index.values():
            if isinstance(entry, list) and entry[0]:
                getattr(_LIBRARIES[entry[0]], entry[1])
    with quiet():
        told = [alone(*case) for case in cases]
    sys.stdout.write(json.dumps(told))


def embed(pipeline: Any) -> dict[str, Any]:
    """Return what a pipeline takes instead of words."""

    def read(encoder: Any, tokens: int) -> Any:
        return encoder(torch.ones(1, tokens, dtype=torch.long), output_hidden_states=True)

    name = type(pipeline).__name__
    first = read(pipeline.text_encoder, 77)
    if name == "FluxPipeline":
        long = read(pipeline.text_encoder_2, 512)[0]
        return {"prompt_embeds": long, "pooled_prompt_embeds": first.pooler_output}
    if name == "StableDiffusionXLPipeline":
        second = read(pipeline.text_encoder_2, 77)
        both = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        pooled = second[0]
        return {
            "prompt_embeds": both,
            "negative_prompt_embeds": both,
            "pooled_prompt_embeds": pooled,
            "negative_pooled_prompt_embeds": pooled,
        }
    return {"prompt_embeds": first[0], "negative_prompt_embeds": first[0]}


if __name__ == "__main__":
    main(*sys.argv[1:])
