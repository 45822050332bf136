"""Which blocks wait by themselves is what diffusers itself makes of each part."""

from pathlib import Path
from typing import Any

import pytest

from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.planning.demand import Way, demand_of
from limner.families.diffusion.planning.inventory import Role, take_inventory

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.domain.recipe import Size  # noqa: E402
from limner.families.diffusion.loading.pipelines import parts_of, quiet  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402

MODELS = ("sd1", "sdxl", "sd3", "flux", "flux2", "z_image", "qwen_image", "sana", "krea2")


def groups(part: Any) -> list[Any]:
    """Let the blocks of a part wait, and return what is moved to the device at once."""
    from diffusers.hooks.group_offloading import apply_group_offloading

    here = torch.device("cpu")
    apply_group_offloading(part, here, here, "block_level", num_blocks_per_group=1)
    hooks = [getattr(module, "_diffusers_hook", None) for module in part.modules()]
    found = [hook.get_hook("group_offloading") for hook in hooks if hook is not None]
    return [one.group for one in found if one is not None]


def numbers(group: Any) -> int:
    """Return how many numbers of a file a group holds; those tied together are in it once."""
    kept = [one for module in group.modules for one in module.state_dict().values()]
    held = {one.data_ptr(): one for one in (*kept, *group.parameters)}
    return sum(one.numel() for one in held.values())


@pytest.mark.parametrize("name", MODELS)
def test_blocks_are_those_that_diffusers_moves_at_once(name: str, tmp_path: Path) -> None:
    with quiet():
        pipeline = getattr(tiny, name)()
        inventory = take_inventory(tiny.save(pipeline, tmp_path / name))
    modules = parts_of(pipeline)
    for part in inventory:
        if part.role not in (Role.TEXT_ENCODER, Role.DENOISER):
            continue
        every = groups(modules[part.name])
        blocks = [numbers(one) for one in every if one.onload_leader is not modules[part.name]]
        rest = [numbers(one) for one in every if one.onload_leader is modules[part.name]]
        assert part.block == max(blocks, default=0), part.name
        assert part.loose == sum(rest), part.name


def test_a_text_encoder_without_blocks_of_its_own_lies_on_the_device_as_a_whole(
    tmp_path: Path,
) -> None:
    with quiet():
        parts = take_inventory(tiny.save(tiny.flux(), tmp_path / "flux"))
    encoder = next(one for one in parts if one.class_name == "T5EncoderModel")
    work, way = Work(Size(width=64, height=64)), Way("bfloat16", offload="group")
    assert demand_of((encoder,), work, "cuda", way).weights == 2 * encoder.parameters
