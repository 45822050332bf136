"""The rules of a workspace on the command line, and what they do."""

from pathlib import Path

import pytest

from limner.app import wiring

from .conftest import Limner

_REAL = wiring.open_models


def test_rules_are_shown_and_changed(limner: Limner) -> None:
    [before] = limner("workspace", "show", "--json").records
    assert before["commercial"] is False
    ran = limner(
        "workspace", "set", "--commercial", "--detail", "digest", "--label", "de", "--json"
    )
    assert ran.status == 0, ran.err
    [after] = limner("workspace", "show", "--json").records
    assert after == {**before, "commercial": True, "detail": "digest", "label": {"language": "de"}}
    limner("workspace", "set", "--label", "none", "--no-watermark")
    [last] = limner("workspace", "show", "--json").records
    assert (last["label"], last["watermark"], last["detail"]) == (None, False, "digest")
    assert "digest" in limner("workspace", "show").out


def test_a_prompt_rule_refuses_and_is_written_down(limner: Limner, folder: Path) -> None:
    limner("workspace", "set", "--prompt-rule", r"\bacme\b", "--message", "Our own name stays out.")
    ran = limner("generate", "an ACME rocket", "--json")
    assert ran.status != 0
    assert "Our own name stays out." in ran.error["message"]
    assert limner("generate", "a rocket").status == 0
    kinds = [line["kind"] for line in limner("workspace", "events", "--json").records]
    assert kinds == ["prompt_refused", "policy_changed"]
    assert "prompt refused" in limner("workspace", "events").out
    limner("workspace", "set", "--remove-prompt-rule", r"\bacme\b")
    assert limner("generate", "an ACME rocket").status == 0


def test_what_does_not_fit_is_refused(limner: Limner) -> None:
    for wrong in (("--detail", "much"), ("--label", "xx"), ("--safety", "on"), ("--mining", "yes")):
        assert limner("workspace", "set", *wrong).status == 2
    assert limner("workspace", "set", "--prompt-rule", "(").status == 2
    assert limner("workspace", "set", "--prompt-rule", "").status == 2
    assert limner("workspace", "set", "--message", "words").status == 2
    assert limner("workspace", "set", "--remove-prompt-rule", "never set").status == 2
    assert limner("workspace", "events").err == "Nothing is written down yet.\n"


def test_removals_are_written_down(limner: Limner) -> None:
    asset = limner("generate", "a fox", "--json").records[0]["asset"]
    limner("library", "remove", asset)
    [line] = limner("workspace", "events", "--json").records
    assert (line["kind"], line["asset"]) == ("asset_removed", asset)


def test_that_the_safety_check_fetches_a_model_is_said_at_once(
    limner: Limner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "open_models", _REAL)
    ran = limner("workspace", "set", "--safety", "refuse")
    assert ran.status == 0
    assert "limner models pull open-nsfw" in ran.err
    assert "open-nsfw" not in limner("workspace", "set", "--safety", "off").err
