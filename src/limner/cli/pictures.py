"""The commands that make pictures: generate, edit, vary, erase, upscale, cutout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from limner.cli.command import command
from limner.cli.production import produce_table
from limner.cli.work import Finishing, at_work
from limner.domain.errors import InvalidOption, InvalidPrompt


@dataclass(frozen=True, kw_only=True)
class Drawing(Finishing):
    """Options of commands that draw by words."""

    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Same seed, same picture. Left out: a new one."),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            "-s",
            metavar="WxH",
            help="Width and height in pixels, like 512x512. Above what the model draws by itself, "
            "the picture is enlarged.",
        ),
    ] = None
    style: Annotated[
        str | None, typer.Option(metavar="S", help="A style of the model's; see models show.")
    ] = None
    negative: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the picture should not show.")
    ] = None
    transparent: Annotated[
        bool | None,
        typer.Option("--transparent/--opaque", metavar="", help="With or without a background."),
    ] = None
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="How often the model goes over the picture.")
    ] = None
    guidance: Annotated[
        float | None, typer.Option(metavar="N", help="How closely the words are followed.")
    ] = None
    sampler: Annotated[
        str | None, typer.Option(metavar="NAME", help="The algorithm that draws.")
    ] = None
    schedule: Annotated[
        str | None, typer.Option(metavar="NAME", help="The noise levels it goes through.")
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="exact, or fast and faster, which may change pixels a little; see models show.",
        ),
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="An option of the model's own, see models show; may be given several times.",
            show_default=False,
        ),
    ] = None
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:WEIGHT[:TEXT_WEIGHT]]",
            help=(
                "A LoRA or one of its kin for this model, with its weight and, if another, that "
                "in the text encoders; may be given several times."
            ),
            show_default=False,
        ),
    ] = None
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=FILE[:WEIGHT]",
            help="Follow the lines of a picture (canny, lineart, softedge, scribble), its depth or "
            "its tiles with a ControlNet; KIND-map=FILE for a finished map. From one part of the "
            "steps to another: canny=room.jpg:0.8:0-0.6. May be given several times.",
            show_default=False,
        ),
    ] = None
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:ROLE]",
            help="Take up the subject or the style of a picture: shoe.png:subject, "
            "shoe.png:style:0.6. May be given several times.",
            show_default=False,
        ),
    ] = None
    layout: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Parts of the picture with prompts of their own: a JSON or YAML list of "
            '{"prompt": …, "box": [left, top, right, bottom]}, sides from 0 to 1.',
            show_default=False,
        ),
    ] = None

    def options(self) -> dict[str, object]:
        """These options as the app room names them; raises InvalidOption for a broken one."""
        return {
            "model": self.model,
            "seed": self.seed,
            "size": self.size,
            "style": self.style,
            "negative_prompt": self.negative,
            "transparent": self.transparent,
            "steps": self.steps,
            "guidance": self.guidance,
            "sampler": self.sampler,
            "schedule": self.schedule,
            "profile": self.profile,
            "adapters": tuple(self.adapter) if self.adapter else None,
            "controls": tuple(self.control) if self.control else None,
            "references": tuple(self.reference) if self.reference else None,
            "layout": self.layout,
            "label": self.label,
            **own_options(self.option or ()),
        }


@dataclass(frozen=True, kw_only=True)
class Generate(Drawing):
    """Options of `generate`."""

    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to draw.", show_default=False)
    ] = None
    count: Annotated[
        int,
        typer.Option("--count", "-n", metavar="N", help="How many pictures, with rising seeds."),
    ] = 1
    every: Annotated[
        bool,
        typer.Option(
            "--every",
            metavar="",
            help="Draw each combination of the choices in the prompt, {red|blue} or __WILDCARD__, "
            "instead of one by the seed.",
        ),
    ] = False
    table: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="PROMPTS.CSV",
            help="Draw every row of a table with a column “prompt”. Run it again to go on where "
            "it stopped.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Set(Drawing):
    """Options of `set`."""

    prompts: Annotated[
        list[str],
        typer.Argument(metavar="PROMPT PROMPT…", help="What each picture of the set shows."),
    ]


@dataclass(frozen=True, kw_only=True)
class Edit(Drawing):
    """Options of `edit`."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The picture to start from.")]
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What it should become.")]
    mask: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Redraw only where this picture is white."),
    ] = None
    strength: Annotated[
        float | None,
        typer.Option(metavar="0..1", help="From 0 (keep the picture) to 1 (draw it anew)."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Outpaint(Drawing):
    """Options of `outpaint`."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The picture.")]
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the whole shows.")]
    left: Annotated[int, typer.Option(metavar="N", help="Pixels to add at the left.")] = 0
    right: Annotated[int, typer.Option(metavar="N", help="… at the right.")] = 0
    top: Annotated[int, typer.Option(metavar="N", help="… above.")] = 0
    bottom: Annotated[int, typer.Option(metavar="N", help="… below.")] = 0


@dataclass(frozen=True, kw_only=True)
class Vary(Drawing):
    """Options of `vary`."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The picture to vary.")]
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What it shows. Left out: the words it was drawn from."),
    ] = None
    count: Annotated[
        int,
        typer.Option("--count", "-n", metavar="N", help="How many pictures, with rising seeds."),
    ] = 4
    strength: Annotated[
        float,
        typer.Option(metavar="0..1", help="How different: 0 not at all, 1 drawn anew."),
    ] = 0.5


@dataclass(frozen=True, kw_only=True)
class Erase(Finishing):
    """Options of `erase`."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The picture.")]
    mask: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A picture of the same size: white = erase."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Upscale(Drawing):
    """Options of `upscale`: those of drawing are for a model that redraws."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The picture.")]
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            "-s",
            metavar="WxH",
            help="The size to reach; left out: 4 times, 2 times by a model that redraws.",
        ),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What it shows, for a model that redraws by words."),
    ] = None
    strength: Annotated[
        float | None,
        typer.Option(metavar="0..1", help="How much such a model redraws; left out: 0.3."),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Same seed, same picture. Left out: 0."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Cutout(Finishing):
    """Options of `cutout`."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The picture.")]


def own_options(given: Sequence[str]) -> dict[str, object]:
    """Return options of a model's own, given as NAME=VALUE, numbers as numbers."""
    options: dict[str, object] = {}
    for text in given:
        name, sign, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name or name in options:
            reason = "is given twice" if name in options else "is not NAME=VALUE"
            raise InvalidOption(f"--option “{text}” {reason}. Write it like clip_skip=1.")
        options[name] = _number(value.strip())
    return options


def _number(text: str) -> object:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def generate(asked: Generate) -> None:
    """Draw a picture from words."""
    prompt = " ".join(asked.prompt or ())
    if asked.table is not None:
        if prompt:
            raise InvalidOption("Give either a prompt or --from with a table, not both.")
        if asked.every:
            raise InvalidOption("--every goes with a prompt; rows of a table choose by their seed.")
        produce_table(asked.table, asked, asked.options(), asked.count)
        return
    if not prompt.strip():
        raise InvalidPrompt("Say what to draw, for example: limner generate “a red fox”.")
    from limner.app.files import file_stem

    with at_work(asked, asked.count) as work:
        asking = {**asked.options(), "prompt": prompt, "format": work.target.format}
        draft = work.desk.drafted(asking)
        if asked.every:
            work.expect(asked.count * len(work.desk.combinations(prompt)))
        work.check_target()
        for made in work.desk.draw(draft, asked.count, work.progress, every=asked.every):
            named = made.recipe.prompt if asked.every else prompt
            work.write(made, f"{file_stem(named)}-{made.recipe.seed}")


def draw_set(asked: Set) -> None:
    """Draw a set of pictures that share subject and style, each from words of its own."""
    from limner.app.files import file_stem

    with at_work(asked, len(asked.prompts)) as work:
        work.check_target()
        drawn = work.desk.draw_set(
            asked.prompts,
            progress=work.progress,
            **asked.options(),
            format=work.target.format,
        )
        for number, made in enumerate(drawn, 1):
            work.write(made, f"{file_stem(asked.prompts[number - 1])}-{number}")


def edit(asked: Edit) -> None:
    """Change a picture by words, all of it or where a mask is white."""
    with at_work(asked) as work:
        work.check_target()
        made = work.desk.edit(
            asked.file,
            asked.prompt,
            mask=asked.mask,
            strength=asked.strength,
            progress=work.progress,
            **asked.options(),
            format=work.target.format,
        )
        work.write(made, f"{asked.file.stem}-edited")


def outpaint(asked: Outpaint) -> None:
    """Draw more around a picture; the picture itself stays as it is."""
    if asked.size is not None:
        raise InvalidOption("The margins decide the size: leave out --size.")
    from limner.app.desk import Margins

    margins = Margins(asked.left, asked.right, asked.top, asked.bottom)
    with at_work(asked) as work:
        work.check_target()
        made = work.desk.outpaint(
            asked.file,
            asked.prompt,
            margins=margins,
            progress=work.progress,
            **asked.options(),
            format=work.target.format,
        )
        work.write(made, f"{asked.file.stem}-larger")


def vary(asked: Vary) -> None:
    """Draw a picture several times anew, alike but different."""
    with at_work(asked, asked.count) as work:
        work.check_target()
        for made in work.desk.vary(
            asked.file,
            asked.prompt,
            count=asked.count,
            strength=asked.strength,
            progress=work.progress,
            **asked.options(),
            format=work.target.format,
        ):
            work.write(made, f"{asked.file.stem}-varied-{made.recipe.seed}")


def erase(asked: Erase) -> None:
    """Take something out of a picture and fill the place."""
    if asked.mask is None:
        raise InvalidOption(
            "Say what to erase with --mask: a picture of the same size, white where something is "
            "to go and black elsewhere."
        )
    with at_work(asked) as work:
        work.check_target()
        made = work.desk.erase(
            asked.file,
            asked.mask,
            progress=work.progress,
            model=asked.model,
            label=asked.label,
            format=work.target.format,
        )
        work.write(made, f"{asked.file.stem}-erased")


def upscale(asked: Upscale) -> None:
    """Make a picture larger, with new detail."""
    with at_work(asked) as work:
        work.check_target()
        options = {name: value for name, value in asked.options().items() if name != "size"}
        made = work.desk.upscale(
            asked.file,
            size=asked.size,
            prompt=asked.prompt,
            strength=asked.strength,
            progress=work.progress,
            **options,
            format=work.target.format,
        )
        work.write(made, f"{asked.file.stem}-upscaled")


def cutout(asked: Cutout) -> None:
    """Cut the main thing out of a picture; the rest becomes transparent."""
    with at_work(asked) as work:
        work.check_target()
        made = work.desk.cutout(
            asked.file,
            progress=work.progress,
            model=asked.model,
            label=asked.label,
            format=work.target.format,
        )
        work.write(made, f"{asked.file.stem}-cutout")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    command(
        app,
        Generate,
        'limner generate "a red fox"',
        'limner generate "a rocket, flat" --count 4 --size 512x512 --out rockets/',
        'limner generate "a {red|blue|green} {fox|owl}" --every --seed 7 --out animals/',
        'limner generate "a cactus" --style sticker --seed 7 --out cactus.svg',
        "limner generate --from prompts.csv --out products/",
        'limner generate "a hotel room" --model sdxl/ --control canny=room.jpg:0.8',
    )(generate)
    command(
        app,
        Set,
        'limner set "a fox reads" "the fox cooks" "the fox sleeps" --model flux.2-klein/',
        name="set",
    )(draw_set)
    command(
        app,
        Edit,
        'limner edit fox.png "a blue fox" --strength 0.6',
        'limner edit room.png "a cactus" --mask corner.png',
    )(edit)
    command(
        app,
        Outpaint,
        'limner outpaint fox.png "a fox in tall grass" --left 128 --right 128',
    )(outpaint)
    command(
        app,
        Vary,
        "limner vary fox.png",
        'limner vary logo.png --prompt "a fox" --strength 0.3 --count 8 --out foxes/',
    )(vary)
    command(app, Erase, "limner erase photo.jpg --mask stranger.png --out clean.png")(erase)
    command(
        app,
        Upscale,
        "limner upscale fox.png",
        "limner upscale fox.png --size 2000x2000 --out poster.png",
        'limner upscale fox.png --model sdxl/ --prompt "a fox in the snow" --strength 0.25',
        "limner upscale fox.png --model sdxl/ --control tile=fox.png --strength 0.6",
    )(upscale)
    command(app, Cutout, "limner cutout photo.jpg --out thing.png")(cutout)
