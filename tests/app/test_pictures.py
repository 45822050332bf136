"""The pictures of a request are read once, however many Recipes are drawn from them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from limner.app.pictures import Pictures
from limner.app.settings import Settings
from limner.domain.recipe import InputRole, RecipeInput, Task
from tests.fakes import fake_desk


def kept(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("L", (64, 48), colour).save(file, "PNG")
    return file.getvalue()


def test_masks_are_read_once_too(tmp_path: Path) -> None:
    with fake_desk(Settings(home=tmp_path)) as desk:
        picture, mask = (desk.bring(kept(colour)) for colour in ("grey", "white"))
        (made,) = desk.generate("a fox", seed=1)
        inputs = (
            RecipeInput(asset=picture.id, role=InputRole.INIT, strength=1.0),
            RecipeInput(asset=mask.id, role=InputRole.MASK),
        )
        inpaint = made.recipe.model_copy(update={"task": Task.INPAINT, "inputs": inputs})
        recipes = [inpaint.model_copy(update={"seed": seed}) for seed in range(3)]
        orders = Pictures(desk.studio.library, desk.workspace).orders(recipes)
    for role in (InputRole.INIT, InputRole.MASK):
        assert len({id(order.inputs[role]) for order in orders}) == 1
    assert np.all(orders[0].inputs[InputRole.MASK] == 255)
