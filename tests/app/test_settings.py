"""Settings: what they are read from, what wins, what is refused."""

from pathlib import Path

import pytest

from limner.app.settings import PUBLIC_HUB, Settings, read_settings
from limner.domain.errors import InvalidOption

NAMES = ("LIMNER_HOME", "LIMNER_THREADS", "LIMNER_MEMORY_MB", "LIMNER_OFFLINE", "HF_ENDPOINT")

TOKENS = ("LIMNER_HUB_TOKEN", "HF_TOKEN")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *TOKENS):
        monkeypatch.delenv(name, raising=False)


def test_without_anything_set_the_platform_decides() -> None:
    settings = read_settings()
    assert settings.home.is_absolute()
    assert "limner" in settings.home.parts
    assert settings == Settings(home=settings.home, hub=PUBLIC_HUB)


def test_all_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = (str(tmp_path), "3", "500", "1", "https://hub.example/")
    for name, value in zip(NAMES, values, strict=True):
        monkeypatch.setenv(name, f" {value} ")
    assert read_settings() == Settings(
        home=tmp_path, threads=3, memory=500 * 1024**2, hub="https://hub.example", offline=True
    )


def test_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_settings()
    for name in NAMES:
        monkeypatch.setenv(name, " ")
    assert read_settings() == before


def test_the_caller_s_home_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "other"))
    assert read_settings(tmp_path).home == tmp_path


def test_homes_may_be_written_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings(Path("here")).home == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_settings(Path("~/there")).home == tmp_path / "there"


def test_a_home_of_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_HOME", "~nobody-of-that-name/limner")
    with pytest.raises(InvalidOption, match="nobody-of-that-name"):
        read_settings()


@pytest.mark.parametrize("name", ["LIMNER_THREADS", "LIMNER_MEMORY_MB"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "1e3", "²"])
def test_numbers_are_whole_and_from_1_up(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidOption, match=f"{name} is “{value}”"):
        read_settings()


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("TRUE", True), ("yes", True), ("0", False), ("no", False)]
)
def test_offline_is_yes_or_no(
    monkeypatch: pytest.MonkeyPatch, value: str, *, offline: bool
) -> None:
    monkeypatch.setenv("LIMNER_OFFLINE", value)
    assert read_settings().offline is offline


def test_a_token_of_the_hub_is_kept_to_oneself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "common")
    assert read_settings().hub_token == "common"
    monkeypatch.setenv("LIMNER_HUB_TOKEN", " own \n")
    settings = read_settings()
    assert settings.hub_token == "own"
    assert "own" not in repr(settings)


@pytest.mark.parametrize("token", ["two words", "a\nX-Evil: 1", "smörgås"])
def test_what_is_no_token_is_refused(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InvalidOption, match="HF_TOKEN holds characters") as caught:
        read_settings()
    assert token not in caught.value.message
