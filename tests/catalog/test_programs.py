"""The folders that `extra_model_paths.yaml` lists, as ComfyUI reads them."""

from pathlib import Path

import pytest

from limner.catalog.programs import folders_of, roots_of
from limner.domain.errors import InvalidRequest


def listed(tmp_path: Path, text: str, *folders: str) -> tuple[list[str], Path]:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    path = tmp_path / "extra_model_paths.yaml"
    path.write_text(text.replace("HERE", tmp_path.as_posix()), encoding="utf-8")
    return [one.relative_to(tmp_path).as_posix() for one in folders_of(path)], path


def test_several_folders_of_a_key_below_a_base(tmp_path: Path) -> None:
    text = """
a111:
    base_path: HERE/webui/
    checkpoints: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS  # of old
         models/absent
    custom_nodes: nodes
"""
    wanted = ["webui/models/Stable-diffusion", "webui/models/Lora", "webui/models/LyCORIS"]
    assert listed(tmp_path, text, *wanted, "webui/nodes")[0] == wanted


def test_the_folders_of_a_default_section_come_first_and_each_once(tmp_path: Path) -> None:
    text = """
one:
    base_path: HERE/one
    vae: models
two:
    base_path: HERE
    is_default: true
    vae: two
    loras: one/models/../models
"""
    assert listed(tmp_path, text, "one/models", "two")[0] == ["two", "one/models"]


def test_bases_are_below_the_file_and_may_be_absent(tmp_path: Path) -> None:
    text = "a:\n  base_path: sub\n  vae: x\nb:\n  vae: y\nc:\n  vae: HERE/z\n"
    assert listed(tmp_path, text, "sub/x", "y", "z")[0] == ["sub/x", "y", "z"]


def test_homes_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_OF_MINE", str(tmp_path / "v"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    text = "a:\n  base_path: $MODELS_OF_MINE\n  vae: x\nb:\n  base_path: ~/h\n  vae: y\n"
    assert listed(tmp_path, text, "v/x", "h/y")[0] == ["v/x", "h/y"]
    assert listed(tmp_path, "a:\n  base_path: ~nobody-of-that-name/h\n  vae: y\n")[0] == []


def test_a_folder_may_hold_a_number_sign(tmp_path: Path) -> None:
    assert listed(tmp_path, "a:\n  vae: |\n    x #1\n", "x", "x #1")[0] == ["x #1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing but remarks\n",
        "a:\n",
        "a: text\n",
        "a:\n  base_path: 7\n  vae: [x]\n",
        "a:\n  vae: {x: y}\n",
        "a:\n  vae: |\n\n\n",
        '"a\\0b":\n  vae: "x\\0y"\n',
    ],
)
def test_lists_that_name_no_folder(tmp_path: Path, text: str) -> None:
    assert listed(tmp_path, text, "x")[0] == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "line 2|line 1"),
        ("- a\n- b\n", "no sections"),
        ("a: !!python/object/apply:os.system ['true']\n", "no YAML"),
        ("a: \x01\n", "no YAML"),
        ("[" * 100_000, "no YAML"),
        ("#" * 200_001, "too long"),
    ],
    ids=["open", "list", "program", "control", "deep", "long"],
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        listed(tmp_path, text)


def test_bytes_of_another_encoding_and_an_absent_file(tmp_path: Path) -> None:
    path = tmp_path / "extra_model_paths.yaml"
    path.write_bytes(b"a:\n  vae: \xe9t\xe9\n")
    with pytest.raises(InvalidRequest, match="no YAML"):
        folders_of(path)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        folders_of(tmp_path / "absent.yaml")


def nested(line: str) -> str:
    inner = (line.format(", ".join([f"*a{number}"] * 9)) for number in range(29))
    lines = (f"b{number}: &a{number} {one}" for number, one in enumerate(inner, 1))
    return "\n".join(["a: &a0 {vae: x}", *lines])


def test_aliases_within_aliases_fill_no_memory(tmp_path: Path) -> None:
    assert listed(tmp_path, nested("[{}]"), "x")[0] == ["x"]
    with pytest.raises(InvalidRequest, match="aliases"):
        listed(tmp_path, nested("{{<<: [{}]}}"))


def test_a_few_aliases_are_read(tmp_path: Path) -> None:
    text = "a: &a\n  base_path: sub\n  vae: x\nb:\n  <<: *a\n  loras: y\n"
    assert listed(tmp_path, text, "sub/x", "sub/y")[0] == ["sub/x", "sub/y"]


def test_roots_of_a_folder_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert roots_of(tmp_path) == (tmp_path,)
    (tmp_path / "launch.py").touch()
    assert roots_of(tmp_path) == (tmp_path / "models",)
