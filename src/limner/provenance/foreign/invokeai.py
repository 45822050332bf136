"""The metadata that InvokeAI writes: a JSON object in the PNG text `invokeai_metadata`."""

from limner.provenance.foreign.settings import (
    CLIP_SKIP,
    Collector,
    ForeignSettings,
    Table,
    list_in,
    number,
    read_table,
    table_in,
)

TOOL = "InvokeAI"

_TAKEN = frozenset(
    {
        "positive_prompt", "negative_prompt", "seed", "width", "height", "cfg_scale", "guidance",
        "steps", "scheduler", "model", "loras", "strength", "init_image", "generation_mode",
    }
)  # fmt: skip
_OF_NO_CONSEQUENCE = frozenset(
    {"app_version", "metadata_version", "rand_device", "canvas_v2_metadata"}
)
_REASONS = {
    "positive_style_prompt": "we have one prompt, not two",
    "negative_style_prompt": "we have one prompt, not two",
    "vae": "a model brings its own autoencoder",
    "clip_skip": CLIP_SKIP,
    "controlnets": "their pictures are not in the file; give them with --control KIND=FILE",
    "ipAdapters": "their pictures are not in the file; give them with --reference FILE",
    "t2iAdapters": "their pictures are not in the file; give them with --control KIND=FILE",
    "ref_images": "their pictures are not in the file; give them with --reference FILE",
}
_UNKNOWN = "we have no setting like it"


def read_invokeai(text: str) -> ForeignSettings | None:
    """Return the settings that a text holds; None where it is no such metadata."""
    table = read_table(text)
    if table is None or not _TAKEN & table.keys():
        return None
    found = Collector(TOOL)
    found.words("prompt", table.get("positive_prompt"))
    found.words("negative_prompt", table.get("negative_prompt"))
    found.seed(table.get("seed"))
    found.size(table.get("width"), table.get("height"))
    found.steps(table.get("steps"))
    # Distilled models have a guidance of their own beside a “CFG scale” of 1.
    scale = table.get("guidance")
    found.guidance(table.get("cfg_scale") if number(scale) is None else scale)
    found.sampler(table.get("scheduler"))
    model = table_in(table, "model")
    found.choose_model(model.get("name", model.get("model_name")), model.get("hash"))
    for lora in list_in(table, "loras"):
        if isinstance(lora, dict):
            _take_lora(found, lora)
    mode = table.get("generation_mode")
    if isinstance(mode, str) and not mode.endswith("txt2img"):
        found.start(table.get("strength"), table.get("init_image"))
    for name, value in table.items():
        if name in _TAKEN or name in _OF_NO_CONSEQUENCE or value in (None, [], {}, "", 0, False):
            continue
        found.leave(name, value, _REASONS.get(name, _UNKNOWN))
    return found.settings()


def _take_lora(found: Collector, lora: Table) -> None:
    model = table_in(lora, "model") or table_in(lora, "lora")
    found.adapter(model.get("name", model.get("model_name")), model.get("hash"), lora.get("weight"))
