"""The licences that published weights come with.

Those with no SPDX identifier have a LicenseRef, as SPDX writes it. `commercial` is True where
anybody may: a licence that is free up to some revenue alone is not, and says so.
"""

from limner.domain.card import Licence

_CARDS = "https://huggingface.co/"


def apache(attribution: str, url: str) -> Licence:
    """Return Apache-2.0 for the weights of these makers."""
    return Licence(spdx="Apache-2.0", commercial=True, attribution=attribution, url=url)


def mit(attribution: str, url: str) -> Licence:
    """Return the MIT licence for the weights of these makers."""
    return Licence(spdx="MIT", commercial=True, attribution=attribution, url=url)


OPEN_RAIL = Licence(
    spdx="LicenseRef-CreativeML-Open-RAIL-M",
    commercial=True,
    attribution="Stable Diffusion 1, by Robin Rombach, Patrick Esser and contributors. Some uses "
    "are forbidden (attachment A).",
    url=_CARDS + "spaces/CompVis/stable-diffusion-license",
)

OPEN_RAIL_PP = Licence(
    spdx="LicenseRef-CreativeML-Open-RAIL++-M",
    commercial=True,
    attribution="By Stability AI. Some uses are forbidden (attachment A).",
    url=_CARDS + "stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
)

PIXART = Licence(
    spdx="LicenseRef-CreativeML-Open-RAIL++-M",
    commercial=True,
    attribution="PixArt, by Huawei Noah’s Ark Lab and others. Some uses are forbidden "
    "(attachment A).",
    url=_CARDS + "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
)

STABILITY = Licence(
    spdx="LicenseRef-Stability-AI-Community",
    commercial=False,
    attribution="By Stability AI Ltd. Commercial use is free below one million US dollars of "
    "yearly revenue, after registering.",
    url="https://stability.ai/license",
)

DMD2 = Licence(
    spdx="CC-BY-NC-4.0",
    commercial=False,
    attribution="DMD2, by Tianwei Yin and others.",
    url=_CARDS + "tianweiy/DMD2",
)

PLAYGROUND = Licence(
    spdx="LicenseRef-Playground-v2.5-Community",
    commercial=False,
    attribution="By Playground. Commercial use is free below a number of monthly users.",
    url=_CARDS + "playgroundai/playground-v2.5-1024px-aesthetic/blob/main/LICENSE.md",
)

FLUX1_DEV = Licence(
    spdx="LicenseRef-FLUX-1-dev-Non-Commercial",
    commercial=False,
    attribution="By Black Forest Labs, who sell licences for commercial use.",
    url=_CARDS + "black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md",
)

FLUX1_KREA = FLUX1_DEV.model_copy(
    update={
        "attribution": "By Black Forest Labs and Krea. Black Forest Labs sell licences for "
        "commercial use.",
        "url": _CARDS + "black-forest-labs/FLUX.1-Krea-dev/blob/main/LICENSE.md",
    }
)

FLUX1_SCHNELL = apache(
    "FLUX.1 [schnell], by Black Forest Labs", _CARDS + "black-forest-labs/FLUX.1-schnell"
)

FLUX2 = Licence(
    spdx="LicenseRef-FLUX-Non-Commercial",
    commercial=False,
    attribution="By Black Forest Labs, who sell licences for commercial use.",
    url=_CARDS + "black-forest-labs/FLUX.2-dev/blob/main/LICENSE.txt",
)

KREA2 = Licence(
    spdx="LicenseRef-Krea-2-Community",
    commercial=False,
    attribution="By Krea. Commercial use is free below one million US dollars of yearly revenue.",
    url="https://www.krea.ai/krea-2-licensing",
)

QWEN_RESEARCH = Licence(
    spdx="LicenseRef-Qwen-Research",
    commercial=False,
    attribution="By Alibaba Cloud, for research and other non-commercial use.",
    url=_CARDS + "Qwen/Qwen-Image-2.1/blob/main/LICENSE",
)

SANA = Licence(
    spdx="LicenseRef-NVIDIA-NSCL-v2-custom",
    commercial=False,
    attribution="SANA, by NVIDIA and MIT, for non-commercial use; its text encoder comes under the "
    "Gemma Terms of Use.",
    url=_CARDS + "Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers/blob/main/LICENSE.txt",
)
