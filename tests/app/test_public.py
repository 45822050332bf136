"""The names that others build on: this test fails when one goes or changes."""

import inspect
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import limner
from limner.app import wiring
from limner.app.bench import run_bench
from limner.app.desk import Desk
from limner.app.settings import Settings
from limner.domain.errors import InvalidOption, LimnerError
from limner.domain.recipe import Draft, Recipe
from limner.engine import machine
from limner.engine.local import EngineSettings
from limner.provenance.signing import CallbackSigner
from tests.fakes import FakeEngine, fake_desk
from tests.provenance.signed import signer_in

METHODS = {
    "bring": "(self, picture)",
    "close": "(self)",
    "cutout": "(self, picture, *, progress=None, **options)",
    "combinations": "(self, prompt)",
    "draw": "(self, draft, count=1, progress=None, *, every=False)",
    "draw_set": "(self, prompts, *, progress=None, **options)",
    "edit": "(self, picture, prompt, *, mask=None, strength=None, progress=None, **options)",
    "erase": "(self, picture, mask, *, progress=None, **options)",
    "generate": "(self, prompt, *, count=1, every=False, size=None, progress=None, **options)",
    "import_picture": "(self, picture, model=None)",
    "lineage": "(self, picture)",
    "perform": "(self, recipes, progress=None)",
    "replay": "(self, picture, progress=None)",
    "verify": "(self, picture)",
    "vary": "(self, picture, prompt=None, *, count=4, strength=0.5, progress=None, **options)",
    "outpaint": "(self, picture, prompt, *, margins, progress=None, **options)",
    "drafted": "(self, options)",
    "upscale": "(self, picture, *, size=None, strength=None, progress=None, **options)",
}


def bare(function: object) -> str:
    """Return a signature without its annotations."""
    assert callable(function)
    signature = inspect.signature(function)
    parameters = [
        one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


def test_the_package_has_these_names() -> None:
    assert limner.__all__ == ["LimnerError", "__version__", "open"]
    assert bare(limner.open) == "(home=None, signer=None)"
    assert limner.LimnerError is LimnerError
    assert limner.__version__


def test_a_desk_can_do_this() -> None:
    methods = {
        name: bare(value)
        for name, value in vars(Desk).items()
        if not name.startswith("_") and inspect.isfunction(value)
    }
    assert methods == METHODS
    assert [field.name for field in fields(Desk)] == ["studio", "actor", "workspace"]


def test_drafts_and_recipes_have_these_fields() -> None:
    shared = ["task", "model", "adapters", "prompt", "negative_prompt", "literal"]
    shared += ["seed", "size", "offset", "steps"]
    shared += ["guidance", "sampler", "schedule", "inputs", "controls", "references", "layout"]
    shared += ["transparent", "format", "upscaler", "label", "extras"]
    assert list(Draft.model_fields) == shared
    assert set(Recipe.model_fields) == {*shared, "version", "native_size", "watermark"} - {
        "literal"
    }


def test_open_is_a_desk_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_OFFLINE", "1")
    with limner.open(tmp_path / "one") as desk:
        assert (desk.actor.id, desk.workspace.id) == ("local", "local")
        assert desk.studio.models.offline
    assert (tmp_path / "one" / "library.sqlite").is_file()
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "two"))
    limner.open().close()
    limner.open(str(tmp_path / "three")).close()
    assert (tmp_path / "two" / "library.sqlite").is_file()
    assert (tmp_path / "three" / "library.sqlite").is_file()
    monkeypatch.setenv("LIMNER_THREADS", "none")
    with pytest.raises(InvalidOption, match="LIMNER_THREADS"):
        limner.open()


def test_open_takes_a_signer_of_ones_own(tmp_path: Path) -> None:
    keys = signer_in(tmp_path / "elsewhere")
    asked: list[bytes] = []

    def sign(content: bytes) -> bytes:
        asked.append(content)
        return keys.sign(content)

    with limner.open(tmp_path / "home", CallbackSigner(sign, keys.certificates)) as desk:
        (made,) = desk.generate("a fox", seed=1, steps=1, size="128x128")
        assert len(asked) == 1
        assert not (tmp_path / "home" / "keys").exists()
        verdict = desk.verify(made.file)
        assert verdict.manifest is not None
        assert verdict.manifest.issuer == "Test studio"


def test_the_engine_gets_its_slice_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def build(families: dict[str, object], _: object, settings: EngineSettings) -> FakeEngine:
        given.extend((sorted(families), settings))
        return FakeEngine()

    monkeypatch.setattr(wiring, "LocalEngine", build)
    wiring.open_studio(Settings(home=tmp_path, threads=3, memory=123)).close()
    assert given == [
        sorted(entry.name for entry in entry_points(group="limner.families")),
        EngineSettings(memory=123, threads=3),
    ]


def test_the_bench_measures_all_it_names(tmp_path: Path) -> None:
    told: list[str] = []
    with fake_desk(Settings(home=tmp_path, offline=True)) as desk:
        measures = {one.name: one for one in run_bench(desk, told.append)}
    assert {"first native picture", "one of eight in a batch", "cutout", "erase"} <= set(measures)
    switch = measures.pop("switch between models in memory")  # a difference, so it may be less
    assert switch.unit == "ms"
    assert all(one.value > 0 for one in measures.values())
    assert told[0] == "start-up"
    assert 0.02 < measures["start: limner --help"].value < 20
    assert 10 < measures["peak memory"].value < 100_000
    assert all(one.unit in ("s", "cores", "×", "MB") for one in measures.values())
    assert measures["free cores"].note == machine.processor()
