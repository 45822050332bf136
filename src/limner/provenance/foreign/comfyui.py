"""The graph that ComfyUI writes: JSON in the PNG text `prompt`, elsewhere in EXIF.

The graph is walked from where the picture is saved back to the sampler that began it. Nodes are
known by the inputs they have more than by their class, so that many custom ones are understood.
"""

import re
from collections.abc import Iterator
from typing import Any

from limner.provenance.foreign.graph import Graph, Node
from limner.provenance.foreign.settings import (
    Collector,
    ForeignSettings,
    number,
    read_table,
)

TOOL = "ComfyUI"

_TEXT = re.compile(
    r"(text|string|prompt|value|wildcard_text|populated_text|clip_[gl]|t5xxl)"
    r"_?(\w|positive|negative)?"
)
"""The inputs by which nodes hold the words of a prompt."""

_TO_WORDS = (
    "positive", "negative", "conditioning", "text", "string", "prompt", "t5xxl", "clip_l",
    "value", "input", "any",
)  # fmt: skip
"""How the inputs begin that lead on to words."""

_PARTS = frozenset({"noise", "guider", "sampler", "sigmas", "sigmas_override", "basic_pipe"})
"""The inputs through which the newer samplers take their settings from other nodes."""

_LATENTS = ("latent_image", "latent", "samples", "optional_latent", "init_latent")
_PICTURES = ("image", "images", "pixels")
_MODELS = ("ckpt_name", "unet_name", "model_name", "base_ckpt_name", "gguf_name")
_UNUSUAL = ("controlnet", "ipadapter", "adetailer", "facedetailer", "styleModelApply", "upscale")
_REASONS = {
    "controlnet": "its picture is not in the file; give it with --control KIND=FILE",
    "ipadapter": "its picture is not in the file; give it with --reference FILE",
    "upscale": "limner enlarges with its own upscaler; see limner upscale",
}

_ENDLESS = "the nodes that it comes from hold none"


def read_comfyui(text: str) -> ForeignSettings | None:
    """Return the settings that a graph holds; None where the text is no such graph."""
    table = read_table(text)
    graph = Graph.read(table) if table is not None else None
    if graph is None:
        return None
    found = Collector(TOOL)
    passes = _passes(graph)
    if not passes:
        found.leave("graph", f"{len(graph.nodes)} nodes", "no node in it is a sampler that we know")
        return found.settings()
    _take_sampler(found, graph, passes[-1])
    for later in passes[:-1]:
        found.leave(
            "second pass", later.kind, "limner draws once and enlarges with its own upscaler"
        )
    _tell_unusual(found, graph)
    return found.settings()


def read_workflow(text: str) -> ForeignSettings | None:
    """Report a picture that carries only the editor's own form of the graph."""
    table = read_table(text)
    if table is None or not isinstance(table.get("nodes"), list):
        return None
    found = Collector(TOOL)
    found.leave(
        "workflow",
        f"{len(table['nodes'])} nodes",
        "only the editor's form of the graph is in the file, which does not name its values; "
        "open it in ComfyUI and save with the API format",
    )
    return found.settings()


def _is_sampler(node: Node) -> bool:
    steered = "positive" in node.inputs or "guider" in node.inputs
    return steered and any(name in node.inputs for name in ("latent_image", "latent", "samples"))


def _passes(graph: Graph) -> list[Node]:
    """Return the samplers on the way back from a saved picture, the last pass first."""
    savers = [node for node in graph.nodes.values() if "images" in node.inputs]
    saved = [node for node in savers if node.kind.lower().startswith("save")]
    ends = [*saved, *savers] or [node for node in graph.nodes.values() if _is_sampler(node)]
    for end in ends:
        passes = [node for node in _drawn(graph, end) if _is_sampler(node)]
        if passes:
            return passes
    lone = [node for node in graph.nodes.values() if _is_sampler(node)]
    return lone[:1]


def _drawn(graph: Graph, end: Node) -> Iterator[Node]:
    """Yield the nodes that a picture passed through, last first."""
    ways = {*_LATENTS, *_PICTURES}
    return graph.upstream(
        end, lambda name: name in ways or name.startswith(("image", "latent", "samples"))
    )


def _take_sampler(found: Collector, graph: Graph, sampler: Node) -> None:
    def setting(*names: str) -> Any:
        value = graph.first(sampler, names, lambda name: name in _PARTS)
        if value is None and graph.has(sampler, names, lambda name: name in _PARTS):
            found.leave(names[0], "another node's", _ENDLESS)
        return value

    found.seed(setting("seed", "noise_seed"))
    found.steps(setting("steps"))
    found.sampler(setting("sampler_name"), setting("scheduler"))
    guider = graph.behind(sampler.inputs.get("guider")) or sampler
    for wish in ("positive", "negative"):
        single = "conditioning" if wish == "positive" else ""
        start = guider.inputs.get(wish, guider.inputs.get(single))
        texts = dict.fromkeys(_texts(graph, start, wish))
        field = "prompt" if wish == "positive" else "negative_prompt"
        found.words(field, "\n".join(filter(None, texts)))
        if start is not None and not texts:
            found.leave(field, "another node's", _ENDLESS)
    _take_guidance(found, graph, guider, setting("cfg"))
    _take_model(found, graph, guider if "model" in guider.inputs else sampler)
    _take_canvas(found, graph, sampler, setting("denoise"))


def _take_guidance(found: Collector, graph: Graph, guider: Node, cfg: object) -> None:
    """Take the guidance: of distilled models that which a node of its own brings."""
    ways = ("positive", "conditioning")
    for node in graph.upstream(guider, lambda name: name.startswith(ways)):
        if "guidance" in node.inputs and "conditioning" in node.inputs:
            found.guidance(graph.value(node, "guidance"))
            return
    found.guidance(cfg)


def _texts(graph: Graph, start: object, wish: str) -> Iterator[str]:
    """Yield the texts that a conditioning is made of; `wish` chooses where a node has both.

    What is left empty, or zeroed, is an empty text.
    """
    node = graph.behind(start)
    if node is None:
        if isinstance(start, str):
            yield start.strip()
        return
    other = "negative" if wish == "positive" else "positive"
    waiting, met = [node], {node.id}
    while waiting and len(met) < 500:
        node = waiting.pop(0)
        if "zeroout" in node.kind.lower():
            yield ""
            continue
        for name, value in node.inputs.items():
            if other in name:
                continue
            if isinstance(value, str) and (name == wish or _TEXT.fullmatch(name)):
                yield value.strip()
            behind = graph.behind(value) if name.startswith(_TO_WORDS) else None
            if behind is not None and behind.id not in met:
                met.add(behind.id)
                waiting.append(behind)


def _take_model(found: Collector, graph: Graph, start: Node) -> None:
    """Take the model and, on the way to it, the adapters."""
    for node in graph.upstream(start, lambda name: name in ("model", "base_model", "pipe")):
        if "lora_name" in node.inputs:
            found.adapter(
                graph.value(node, "lora_name"),
                weight=graph.value(node, "strength_model"),
                text_weight=graph.value(node, "strength_clip"),
            )
        for value in node.inputs.values():
            if isinstance(value, dict) and "lora" in value and value.get("on", True):
                found.adapter(
                    value["lora"],
                    weight=value.get("strength"),
                    text_weight=value.get("strengthTwo"),
                )
        named = next((name for name in _MODELS if name in node.inputs), None)
        if named is not None and found.model is None:
            found.choose_model(graph.value(node, named))


def _take_canvas(found: Collector, graph: Graph, sampler: Node, denoise: object) -> None:
    """Take the size of the canvas, or report the picture that drawing started from."""
    for node in _drawn(graph, sampler):
        if node is sampler:
            continue
        width, height = graph.value(node, "width"), graph.value(node, "height")
        if number(width) is not None and number(height) is not None:
            found.size(width, height)
            return
        if node.kind.startswith("LoadImage") or "pixels" in node.inputs:
            picture = graph.first(
                node, ("image",), lambda name: name.startswith(("pixels", "image"))
            )
            found.start(denoise if denoise is not None else 1.0, picture)
            return


def _tell_unusual(found: Collector, graph: Graph) -> None:
    kinds = dict.fromkeys(node.kind for node in graph.nodes.values())
    for kind in kinds:
        word = next((word for word in _UNUSUAL if word.lower() in kind.lower()), None)
        if word and not kind.lower().endswith("loader"):
            found.leave("node", kind, _REASONS.get(word, "we have nothing like it"))
