"""Which plan is chosen where, and that senseless descriptions end in words, not in a crash."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from limner.domain.errors import OutOfMemory, WeightsRejected
from limner.domain.recipe import Size
from limner.families.diffusion.planning.activations import Work, of_denoiser, scale_of
from limner.families.diffusion.planning.demand import Machine, Way, demand_of, storage_of
from limner.families.diffusion.planning.inventory import Part, Role, take_inventory
from limner.families.diffusion.planning.planner import (
    _smaller_sizes,
    choose,
    describe,
    fits,
    plans,
    smaller,
    smallest,
)

GB = 2**30
MILLION = 1_000_000


def size(width: int = 1024, height: int = 1024) -> Size:
    return Size(width=width, height=height)


def processor(free: float, *, bf16: bool = False, bitsandbytes: bool = False) -> Machine:
    memory = round(free * GB)
    return Machine("cpu", "this processor", memory, memory, bf16, bitsandbytes=bitsandbytes)


def graphics(
    free: float,
    host: float = 128,
    *,
    bf16: bool = True,
    fp8: bool = False,
    bitsandbytes: bool = True,
) -> Machine:
    return Machine("cuda", "this GPU", round(free * GB), round(host * GB), bf16, fp8, bitsandbytes)


def part(
    name: str, kind: str, role: Role, millions: float, stored: str, **settings: object
) -> Part:
    numbers = round(millions * MILLION)
    width = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "fp8": 1.0}.get(stored, 0.56)
    convolved = "UNet" in kind or role is Role.AUTOENCODER
    whole = role is Role.TEXT_ENCODER
    return Part(
        name,
        kind,
        role,
        settings,
        stored,
        parameters=numbers,
        file_bytes=round(numbers * width),
        matrices=numbers // 4 if convolved else numbers * 98 // 100,
        kernels=numbers * 7 // 10 if convolved else 0,
        largest=min(numbers, 38 * MILLION),
        largest_kernel=min(numbers, 29 * MILLION) if convolved else 0,
        block=0 if whole else numbers // 50,
        loose=numbers if whole else numbers // 50,
    )


def flux(stored: str = "bfloat16") -> tuple[Part, ...]:
    return (
        part("transformer", "FluxTransformer2DModel", Role.DENOISER, 11_900, stored),
        part("text_encoder", "CLIPTextModel", Role.TEXT_ENCODER, 123, "bfloat16"),
        part("text_encoder_2", "T5EncoderModel", Role.TEXT_ENCODER, 4760, "bfloat16"),
        autoencoder("bfloat16"),
    )


def sd1(stored: str = "float16") -> tuple[Part, ...]:
    return (
        part("unet", "UNet2DConditionModel", Role.DENOISER, 860, stored),
        part("text_encoder", "CLIPTextModel", Role.TEXT_ENCODER, 123, stored),
        autoencoder(stored),
    )


def autoencoder(stored: str, **settings: object) -> Part:
    widths = {"block_out_channels": [128, 256, 512, 512], **settings}
    return part("vae", "AutoencoderKL", Role.AUTOENCODER, 84, stored, **widths)


def tiny() -> tuple[Part, ...]:
    """A model whose autoencoder takes nearly all of the memory."""
    return (
        part("unet", "UNet2DConditionModel", Role.DENOISER, 1, "float32"),
        autoencoder("float32"),
    )


WORK = Work(size())
SMALL = Work(size(512, 512))


def test_a_processor_without_bfloat16_computes_in_float32() -> None:
    found = plans(sd1("bfloat16"), SMALL, processor(16, bitsandbytes=True))
    assert {plan.way.dtype for plan in found} == {"float32"}
    assert found[0].way == Way("float32")
    assert "twice the memory" in found[0].reason


def test_weights_of_16_bits_take_twice_their_files_in_float32() -> None:
    unet, *_ = sd1("float16")
    demand = demand_of((unet,), SMALL, "cpu", Way("float32"))
    assert demand.weights == 2 * unet.file_bytes


def test_a_processor_with_bfloat16_takes_it_for_weights_of_16_bits() -> None:
    assert choose(sd1("float16"), SMALL, processor(16, bf16=True)).way.dtype == "bfloat16"
    plan = choose(sd1("float32"), SMALL, processor(16, bf16=True))
    assert plan.way.dtype == "float32"
    narrow = choose(sd1("float32"), SMALL, processor(4.2, bf16=True))
    assert narrow.way.dtype == "bfloat16"
    assert not narrow.exact


def test_a_processor_keeps_weights_as_stored_before_it_loses_any() -> None:
    plan = choose(sd1("float16"), SMALL, processor(5.5))
    assert (plan.way.quantisation, plan.way.dtype, plan.exact) == ("half", "float32", True)
    assert all(
        plan.way.quantisation != "half" for plan in plans(sd1("float32"), SMALL, processor(9))
    )


def test_a_processor_never_offloads() -> None:
    assert {plan.way.offload for plan in plans(flux(), WORK, processor(16))} == {"none"}


def test_a_large_gpu_draws_with_everything_at_hand() -> None:
    plan = choose(flux(), WORK, graphics(80))
    assert plan.way == Way("bfloat16")
    assert plan.exact
    assert plan.demand.host == 0


def test_a_gpu_without_bfloat16_computes_in_float16() -> None:
    plan = choose(sd1(), SMALL, graphics(12, bf16=False))
    assert plan.way.dtype == "float16"
    assert "no bfloat16" in plan.reason


@pytest.mark.parametrize(
    ("free", "quantisation", "offload"),
    [
        (40, "none", "none"),
        (28, "none", "model"),
        (14, "none", "group"),
    ],
)
def test_parts_then_blocks_wait_in_the_machines_memory(
    free: float, quantisation: str, offload: str
) -> None:
    plan = choose(flux(), WORK, graphics(free))
    assert (plan.way.quantisation, plan.way.offload) == (quantisation, offload)
    assert plan.exact
    assert plan.demand.host == (
        0 if offload == "none" else demand_of(flux(), WORK, "cuda", Way("bfloat16")).weights
    )


def test_weights_are_quantised_where_they_cannot_wait() -> None:
    """With little memory of its own, the machine cannot hold what the GPU does not."""
    at_22 = choose(flux(), WORK, graphics(24, host=8, fp8=True))
    assert (at_22.way.quantisation, at_22.way.offload) == ("fp8", "none")
    at_16 = choose(flux(), WORK, graphics(16, host=8))
    assert (at_16.way.quantisation, at_16.way.offload) == ("nf4", "none")
    assert not at_16.exact


def test_int8_comes_before_fp8_where_fp8_is_not_native() -> None:
    slow = graphics(24, host=8)
    assert choose(flux(), WORK, slow).way.quantisation == "int8"
    assert choose(flux(), WORK, replace(slow, bitsandbytes=False)).way.quantisation == "fp8"


def test_without_bitsandbytes_nothing_is_quantised_by_it() -> None:
    found = plans(flux(), WORK, graphics(80, bitsandbytes=False))
    assert {plan.way.quantisation for plan in found} <= {"none", "fp8"}


def test_only_large_text_encoders_are_quantised() -> None:
    way = Way("bfloat16", "nf4")
    stored = {one.name: storage_of(one, way) for one in flux()}
    assert stored == {
        "transformer": "nf4",
        "text_encoder": "bfloat16",
        "text_encoder_2": "nf4",
        "vae": "bfloat16",
    }


@pytest.mark.parametrize("stored", ["gguf", "nf4", "int8"])
def test_what_is_stored_quantised_stays_so(stored: str) -> None:
    found = plans(flux(stored), WORK, graphics(80))
    assert found[0].way == Way("bfloat16", "stored")
    assert found[0].exact
    transformer, *others = flux(stored)
    weights = sum(one.parameters * 2 for one in others) + transformer.file_bytes
    assert found[0].demand.weights == weights
    kept = {storage_of(transformer, plan.way) for plan in found}
    assert kept == {stored}
    assert all(plan.way.quantisation == "stored" for plan in found if plan.exact)


def test_fp8_files_are_no_loss_as_fp8() -> None:
    found = plans(flux("fp8"), WORK, graphics(80, fp8=True))
    ways = [(plan.way.quantisation, plan.exact) for plan in found]
    assert ("none", True) in ways
    assert ("fp8", True) in ways


def test_large_pictures_are_decoded_in_tiles_where_nothing_else_helps() -> None:
    work = Work(size(2048, 2048))
    assert not choose(sd1(), work, processor(32)).way.tiling
    tiled = choose(sd1(), work, processor(12))
    assert tiled.way.tiling
    assert not tiled.exact


def test_tiles_are_of_no_use_for_a_picture_of_one() -> None:
    assert not any(plan.way.tiling for plan in plans(sd1(), SMALL, processor(32)))


def test_in_tiles_several_pictures_are_decoded_one_by_one() -> None:
    stages = [
        dict(demand_of(sd1(), Work(size(1024, 1024), batch=count), "cuda", way).stages)["decode"]
        for way in (Way("float16"), Way("float16", tiling=True))
        for count in (1, 4)
    ]
    assert stages[1] > stages[0]
    assert stages[3] < stages[1] / 2


def test_an_autoencoder_that_overflows_decodes_in_float32() -> None:
    fragile = (*sd1()[:2], autoencoder("float16", force_upcast=True))
    half = dict(demand_of(sd1(), WORK, "cuda", Way("float16")).stages)["decode"]
    full = dict(demand_of(fragile, WORK, "cuda", Way("float16")).stages)["decode"]
    assert full > half + 1.5 * GB


@pytest.mark.parametrize("machine", [graphics(80, fp8=True), processor(80, bitsandbytes=True)])
@pytest.mark.parametrize("parts", [flux(), sd1(), flux("gguf")], ids=["flux", "sd1", "gguf"])
def test_each_plan_takes_less_than_the_one_before(
    parts: tuple[Part, ...], machine: Machine
) -> None:
    found = plans(parts, Work(size(), batch=2), machine)
    needed = [plan.demand.needed for plan in found]
    assert needed == sorted(set(needed), reverse=True)


def test_files_that_are_read_while_loading_need_not_fit() -> None:
    demand = demand_of(sd1("float16"), SMALL, "cpu", Way("float32"))
    assert demand.mapped == sd1("float16")[0].file_bytes
    assert demand.needed < demand.peak == dict(demand.stages)["load"]
    assert demand_of(sd1("float32"), SMALL, "cpu", Way("float32")).mapped == 0


def test_out_of_memory_the_next_smaller_plan_is_tried() -> None:
    machine = graphics(80)
    found = plans(flux(), WORK, machine)
    assert len(found) >= 4
    for plan, following in pairwise(found):
        assert smaller(plan.way, flux(), WORK, machine) == following
    with pytest.raises(OutOfMemory, match="choose a smaller model"):
        smaller(found[-1].way, flux(), WORK, machine)


def test_a_plan_that_fits_leaves_a_margin() -> None:
    plan = choose(sd1(), SMALL, graphics(80))
    exactly = replace(graphics(80), memory=plan.demand.needed)
    assert not fits(plan, exactly)
    assert fits(plan, replace(exactly, memory=round(plan.demand.needed * 1.2)))


def test_where_nothing_fits_the_size_that_would_is_named() -> None:
    machine = processor(4)
    with pytest.raises(OutOfMemory, match=r"4\.0 GB free.* (\d+)×\1 would fit") as failure:
        choose(sd1(), Work(size(4096, 4096)), machine)
    side = int(failure.value.message.split("×")[-1].split()[0])
    assert choose(sd1(), Work(size(side, side)), machine).demand.needed < 4 * GB
    larger = Work(size(side + 64, side + 64))
    with pytest.raises(OutOfMemory):
        choose(sd1(), larger, machine)


def test_a_size_that_is_made_of_a_larger_one_is_never_named() -> None:
    """Whoever asked for 256×256 of a model that draws 512×512 has no use for 256×256."""
    machine = processor(1.4)
    with pytest.raises(OutOfMemory, match="256×256 would fit"):
        choose(tiny(), Work(size(512, 512)), machine)
    with pytest.raises(OutOfMemory, match="No size would fit"):
        choose(tiny(), Work(size(512, 512), least=512 * 512), machine)


@pytest.mark.parametrize("asked", [size(300, 300), size(70, 1000), size(1000, 70), size(321, 257)])
def test_what_would_fit_is_smaller_than_what_was_asked_for(asked: Size) -> None:
    sizes = list(_smaller_sizes(Work(asked)))
    assert sizes
    for one in sizes:
        assert one.pixels < asked.pixels
        assert one.width <= asked.width
        assert one.height <= asked.height
    assert list(_smaller_sizes(Work(size(256, 256)))) == []


def test_the_smallest_plan_is_one_whose_weights_can_be_loaded() -> None:
    large = Work(size(4096, 4096))
    found = smallest(sd1(), large, processor(6))
    assert found == plans(sd1(), large, processor(6))[-1]
    assert found is not None
    assert not fits(found, processor(6))
    assert smallest(flux(), large, processor(6)) is None


def test_what_a_loaded_model_takes_beside_what_it_holds() -> None:
    kept = demand_of(sd1(), WORK, "cpu", Way("float32"))
    assert kept.held == kept.runtime + kept.weights
    assert kept.held + kept.more == max(size for name, size in kept.stages if name != "load")
    waiting = demand_of(flux(), WORK, "cuda", Way("bfloat16", offload="model"))
    assert waiting.held == waiting.runtime
    assert waiting.held + waiting.more == waiting.peak
    assert demand_of((), WORK, "cpu", Way("float32")).more == 0


def test_where_no_size_fits_a_smaller_model_is_advised() -> None:
    with pytest.raises(OutOfMemory, match=r"No size would fit.*smaller model"):
        choose(flux(), WORK, processor(6))


def test_the_plan_is_told_in_plain_words() -> None:
    text = "\n".join(describe(flux(), WORK, graphics(28)))
    assert "This GPU has 28.0 GB free. Computes in bfloat16, parts moved" in text
    assert "1024×1024" in text
    assert "to decode" in text
    assert "wait in the machine's own memory" in text
    assert "differ" not in text
    lossy = "\n".join(describe(flux(), WORK, graphics(16, host=8)))
    assert "4 bits" in lossy
    assert "differ a little" in lossy
    assert "No size would fit" in "\n".join(describe(flux(), WORK, processor(6)))


def test_an_unknown_architecture_is_said_to_be_unknown() -> None:
    parts = (part("transformer", "NewTransformer", Role.DENOISER, 900, "bfloat16"), *sd1()[1:])
    parts = (*parts[:2], replace(parts[2], class_name="NewAutoencoder"))
    plan = choose(parts, WORK, graphics(24))
    assert plan.demand.unknown == ("transformer", "vae")
    large = choose(parts, Work(size(2048, 2048)), graphics(24))
    assert large.demand.peak > plan.demand.peak
    assert "cannot be predicted" in "\n".join(describe(parts, WORK, graphics(24)))


def test_what_is_told_of_loading_leaves_out_files_that_need_not_stay() -> None:
    machine = processor(16)
    needed = choose(sd1(), SMALL, machine).demand.needed
    text = "\n".join(describe(sd1(), SMALL, machine))
    told = [float(found) for found in re.findall(r"(\d+\.\d) GB to ", text)]
    assert len(told) == 4
    assert max(told) == round(needed / GB, 1)


def test_a_reference_is_read_with_every_step() -> None:
    alone, beside = Work(size()), Work(size(), references=1)
    kontext = flux()[0]
    one, two = (of_denoiser(kontext, work, 8) for work in (alone, beside))
    assert one is not None
    assert two is not None
    assert 1.8 < two.numbers / one.numbers < 2


def test_guidance_doubles_where_both_prompts_go_through_at_once() -> None:
    guided, plain = Work(size()), Work(size(), guided=False)
    unet, transformer = sd1()[0], flux()[0]
    both, one = of_denoiser(unet, guided, 8), of_denoiser(unet, plain, 8)
    assert both is not None
    assert one is not None
    assert both.numbers == pytest.approx(2 * one.numbers)
    assert of_denoiser(transformer, guided, 8) == of_denoiser(transformer, plain, 8)


def test_descriptions_may_leave_out_everything() -> None:
    bare = (
        part("unet", "UNet2DConditionModel", Role.DENOISER, 860, "float16"),
        part("text_encoder", "CLIPTextModel", Role.TEXT_ENCODER, 123, "float16"),
        part("vae", "AutoencoderDC", Role.AUTOENCODER, 84, "float16"),
    )
    assert scale_of(bare) == 32
    assert choose(bare, WORK, processor(64)).demand.peak > 3 * GB


@pytest.mark.parametrize(
    ("which", "settings"),
    [
        (0, {"block_out_channels": []}),
        (0, {"block_out_channels": [0, -3]}),
        (0, {"block_out_channels": [10**30]}),
        (0, {"block_out_channels": "wide"}),
        (0, {"block_out_channels": [float("nan")] * 4}),
        (0, {"block_out_channels": [320] * 500}),
        (0, {"down_block_types": 7}),
        (0, {"layers_per_block": True}),
        (1, {"hidden_size": -5}),
        (1, {"hidden_size": float("inf")}),
        (1, {"hidden_size": {"a": 1}}),
        (2, {"block_out_channels": [None]}),
        (2, {"block_out_channels": {"a": 1}}),
    ],
)
def test_senseless_descriptions_are_refused(which: int, settings: dict[str, object]) -> None:
    parts = list(sd1())
    parts[which] = replace(parts[which], settings=settings)
    with pytest.raises(WeightsRejected, match="cannot be predicted"):
        plans(tuple(parts), SMALL, processor(16))


def test_planning_loads_no_runtime() -> None:
    program = (
        "import sys, limner.families.diffusion.planning.planner\n"
        "sys.exit(bool({'torch', 'diffusers', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_model_of_no_parts_has_a_plan() -> None:
    assert plans((), SMALL, processor(16))
    assert scale_of(()) == 8


def write(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    header, data = {}, b""
    for name, array in tensors.items():
        end = len(data) + array.nbytes
        kind = {"float32": "F32", "float16": "F16", "uint8": "U8"}[str(array.dtype)]
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [len(data), end],
        }
        data += array.tobytes()
    written = json.dumps(header).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "diffusion_pytorch_model.safetensors"
    path.write_bytes(len(written).to_bytes(8, "little") + written + data)


def model(folder: Path, config: dict[str, object], tensors: dict[str, np.ndarray]) -> Path:
    write(folder / "unet", tensors)
    (folder / "unet" / "config.json").write_text(json.dumps(config))
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_parts_are_weighed_by_their_headers(tmp_path: Path) -> None:
    half = np.float16
    tensors = {
        "conv_in.weight": np.zeros((8, 4, 3, 3), half),
        "down_blocks.0.resnets.0.conv1.weight": np.zeros((8, 8, 3, 3), half),
        "down_blocks.0.resnets.0.shortcut.weight": np.zeros((8, 8, 1, 1), half),
        "down_blocks.0.to_q.weight": np.zeros((8, 8), half),
        "down_blocks.1.to_q.weight": np.zeros((30, 30), half),
        "down_blocks.1.norm.weight": np.zeros((8,), half),
        "time_embedding.weight": np.zeros((8, 8), half),
    }
    found = take_inventory(model(tmp_path, {"sample_size": 8}, tensors))
    assert len(found) == 1
    unet = found[0]
    assert (unet.name, unet.role, unet.stored) == ("unet", Role.DENOISER, "float16")
    assert unet.parameters == sum(array.size for array in tensors.values())
    assert unet.matrices == 64 + 900
    assert unet.kernels == 288 + 576 + 64
    assert (unet.largest, unet.largest_kernel, unet.block) == (900, 576, 908)
    assert unet.loose == 288 + 64
    assert unet.file_bytes > 2 * unet.parameters


@pytest.mark.parametrize(
    ("described", "stored"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False}, "nf4"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8"),
    ],
)
def test_quantised_parts_are_told_by_their_description(
    described: dict[str, object], stored: str, tmp_path: Path
) -> None:
    packed = {"to_q.weight": np.zeros((32, 1), np.uint8)}
    folder = model(tmp_path, {"quantization_config": described}, packed)
    assert take_inventory(folder)[0].stored == stored


def test_quantisation_that_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    packed = {"to_q.weight": np.zeros((32, 1), np.uint8)}
    folder = model(tmp_path, {"quantization_config": {"quant_method": "strange"}}, packed)
    with pytest.raises(WeightsRejected, match="strange"):
        take_inventory(folder)
