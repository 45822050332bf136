"""Draw the sheet at the top of the README: `python docs/sheet.py`."""

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import limner

CELL, COLUMNS, LABEL = 150, 8, 22
PROMPTS = (
    ("a fox", "flat"), ("a penguin", "3d"), ("a slice of pizza", "flat"), ("a rocket", "flat"),
    ("a sunflower", "soft"), ("a koala", "flat"), ("a doughnut", "3d"), ("a red heart", "3d"),
    ("a frog", "blob"), ("a hamburger", "flat"), ("a house", "simple"), ("a strawberry", "3d"),
    ("a gift", "flat"), ("a cactus", "flat"), ("a ghost", "simple"), ("a rainbow", "flat"),
    ("a lion", "classic"), ("a watermelon", "flat"), ("an alarm clock", "3d"), ("a whale", "3d"),
    ("a mushroom", "flat"), ("a crown", "3d"), ("a light bulb", "flat"), ("a panda", "simple"),
    ("a purple octopus", "3d"), ("a cat on a pink background", "flat"), ("a tree", "soft"),
    ("a birthday cake", "flat"), ("a robot", "flat"), ("a crab", "3d"), ("a car", "flat"),
    ("a cup of coffee", "flat"), ("a bear wearing a top hat", "3d"), ("a dog and a fox", "flat"),
    ("a sun behind a cloud", "3d"), ("a lion wearing a crown", "flat"),
    ("twelve strawberries", "flat"), ("a rocket above the earth", "3d"),
    ("a ghost holding a pumpkin", "3d"), ("a dog wearing glasses", "flat"),
)  # fmt: skip


def main() -> None:
    """Draw every prompt with seed 7 and lay the pictures out with their words."""
    rows = -(-len(PROMPTS) // COLUMNS)
    sheet = Image.new("RGB", (CELL * COLUMNS, (CELL + LABEL) * rows), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    with limner.open() as desk:
        for number, (prompt, style) in enumerate(PROMPTS):
            [made] = desk.generate(prompt, seed=7, style=style)
            picture = Image.open(io.BytesIO(made.file)).resize((CELL - 10, CELL - 10))
            left, top = number % COLUMNS * CELL, number // COLUMNS * (CELL + LABEL)
            sheet.paste(picture, (left + 5, top + 2), picture)
            words = f"{prompt}, {style}"
            pen.text((left + CELL // 2, top + CELL), words[:32], "#444", font, anchor="mm")
    sheet.save(Path(__file__).with_name("sheet.png"), optimize=True)


if __name__ == "__main__":
    main()
