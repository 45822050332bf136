"""Dynamic prompts and wildcards."""

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.app import wildcards
from limner.app.wildcard_files import WildcardFiles
from limner.domain.errors import InvalidPrompt


def expand(prompt: str, seed: int, folder: Path) -> str:
    return wildcards.expand(prompt, seed, WildcardFiles(folder))


def expand_all(prompt: str, folder: Path, most: int = 1000) -> tuple[str, ...]:
    return wildcards.expand_all(prompt, WildcardFiles(folder), most)


FILES = {
    "animals": "fox # a remark\n  bird  \n\n# a comment\n#another\ncat\t#",
    "clothes/hats": "top hat\n{red|blue} cap",
    "scene": "a __animals__ in a __clothes/hats__",
    "rare": "0::never\n1::once",
    "marked": "\ufeffénorme | œuf",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("a fox", ["a fox"]),
        ("", [""]),
        ("{red|green} fox", ["red fox", "green fox"]),
        ("a {big |}fox", ["a big fox", "a fox"]),
        ("{a|b}{1|2}", ["a1", "a2", "b1", "b2"]),
        ("{a|{b|c}}", ["a", "b", "c"]),
        ("{a|a}", ["a"]),
        ("{0.5::a|2::b|.5::c}", ["a", "b", "c"]),
        ("{0::a|b}", ["b"]),
        ("{2$$a|b|c}", ["a, b", "a, c", "b, c"]),
        ("{2$$ a | b }", ["a, b"]),
        ("{2$$ and $$a|b}", ["a and b"]),
        ("{2$$ _ $$a|b}", ["a _ b"]),
        ("{2$$$$a|b}", ["ab"]),
        ("{1-2$$a|b}", ["a", "b", "a, b"]),
        ("{0-1$$a}", ["", "a"]),
        ("{2-$$a|b|c}", ["a, b", "a, c", "b, c", "a, b, c"]),
        ("{2-$$ and $$a|b}", ["a and b"]),
        ("{-2$$a|b|c}", ["a", "b", "c", "a, b", "a, c", "b, c"]),
        ("{2-$$__animals__}", ["fox, bird", "fox, cat", "bird, cat", "fox, bird, cat"]),
        ("{2$${a|b}|c}", ["a, c", "b, c"]),
        ("{2$$3::a|b|c}", ["a, b", "a, c", "b, c"]),
        ("a __animals__", ["a fox", "a bird", "a cat"]),
        ("{2$$__animals__}", ["fox, bird", "fox, cat", "bird, cat"]),
        ("{2$$__animals__|dog}", ["fox, dog", "bird, dog", "cat, dog"]),
        ("{__clothes/hats__|none}", ["top hat", "red cap", "blue cap", "none"]),
        ("__rare__", ["once"]),
        ("__clothes/*__", ["top hat", "red cap", "blue cap"]),
        ("__c*s/h*__", ["top hat", "red cap", "blue cap"]),
        ("__**ts__", ["top hat", "red cap", "blue cap"]),
        ("__a*s__", ["fox", "bird", "cat"]),
        ("__*ed__", ["énorme | œuf"]),
        ("__marked__", ["énorme | œuf"]),
    ],
)
def test_every_prompt_that_is_meant(folder: Path, prompt: str, prompts: list[str]) -> None:
    assert list(expand_all(prompt, folder)) == prompts
    drawn = {expand(prompt, seed, folder) for seed in range(200)}
    if "$$" not in prompt:
        assert drawn == set(prompts)
    else:
        assert {"".join(sorted(one)) for one in drawn} == {"".join(sorted(one)) for one in prompts}


@pytest.mark.parametrize(
    "prompt",
    [
        '{"scene": "a fox", "colours": ["red"], "deeper": {"a": 1}}',
        "{fox}",
        "{never closed | a",
        "a | b } c",
        "snake_case __init__.py is __ missing__ _ _",
        r"\(fox\) back\\slash \ alone",
        "(fox:1.3) [bird] BREAK",
        "costs 5$$ and {2$ more}",
    ],
)
def test_what_stays_as_it_is(tmp_path: Path, prompt: str) -> None:
    (tmp_path / "init.txt").write_text("__ init")
    prompt = prompt.replace("__init__", r"\__init\__")
    expected = prompt.replace(r"\__", "__")
    assert expand(prompt, 1, tmp_path) == expected
    assert expand_all(prompt, tmp_path) == (expected,)


def test_escapes(folder: Path) -> None:
    assert expand_all(r"\{a\|b\} \__animals\__ {a\|b|c}", folder) == (
        "{a|b} __animals__ a|b",
        "{a|b} __animals__ c",
    )


def test_a_seed_means_the_same_everywhere(folder: Path) -> None:
    prompt = "{red|green|blue} __scene__ {2$$a|b|c|d}"
    assert [expand(prompt, seed, folder) for seed in range(3)] == [
        expand(prompt, seed, folder) for seed in range(3)
    ]
    assert expand(prompt, 7, folder) == "red a bird in a red cap a, c"
    assert len({expand(prompt, seed, folder) for seed in range(50)}) > 20


def test_weights_say_how_often(folder: Path) -> None:
    drawn = Counter(expand("{3::a|0.5::b|0.5::c}", seed, folder) for seed in range(4000))
    assert drawn["a"] == pytest.approx(3000, abs=150)
    assert drawn["b"] == pytest.approx(500, abs=100)
    even = Counter(expand("__animals__", seed, folder) for seed in range(3000))
    assert all(count == pytest.approx(1000, abs=120) for count in even.values())


def test_nothing_is_picked_twice(folder: Path) -> None:
    for seed in range(100):
        assert len(set(expand("{3$$a|b|9::c|d}", seed, folder).split(", "))) == 3


def test_a_missing_wildcard_is_named_with_the_file_to_make(folder: Path) -> None:
    for prompt in ("a __clothes/shoes__", "{a|__clothes/shoes__}"):
        for seed in range(3):
            with pytest.raises(
                InvalidPrompt, match=r"no wildcard __clothes/shoes__\. Make"
            ) as told:
                expand(prompt, seed, folder)
            assert str(folder / "clothes" / "shoes.txt") in told.value.message
    with pytest.raises(InvalidPrompt, match="no wildcard __a__"):
        expand_all("__a__", folder / "not there")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "a//b", "C:"])
def test_no_wildcard_leaves_its_folder(folder: Path, name: str) -> None:
    (folder.parent / "secret.txt").write_text("secret")
    assert expand(f"__{name}__", 1, folder) == f"__{name}__"


@pytest.mark.parametrize(
    ("files", "loop"),
    [
        ({"a": "x\n__a__"}, "__a__ → __a__"),
        ({"a": "__b__", "b": "y\n{x|__c__}", "c": "__b__ z"}, "__b__ → __c__ → __b__"),
    ],
)
def test_loops_are_found_whatever_the_seed(
    tmp_path: Path, files: dict[str, str], loop: str
) -> None:
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text)
    for seed in range(4):
        with pytest.raises(InvalidPrompt, match=f"themselves: {loop}\\."):
            expand("__a__", seed, tmp_path)
    with pytest.raises(InvalidPrompt, match="themselves"):
        expand_all("__a__", tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no entries"),
        (b"# only\n\n  # this", "has no entries"),
        (b"\xff\xfe\x00a", "no text in UTF-8"),
        (b"x\n" * 2_000_001, "larger than 4,000,000 bytes"),
    ],
)
def test_files_that_are_no_wildcards(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InvalidPrompt, match=reason):
        expand("__a__", 1, tmp_path)


def test_a_folder_is_no_wildcard(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(InvalidPrompt, match="could not be read"):
        expand("__a__", 1, tmp_path)


@pytest.mark.parametrize("prompt", ["{3$$a|b}", "{1-3$$a|b}", "{4$$__animals__}", "{0::a|0::b}"])
def test_more_than_there_is_cannot_be_chosen(folder: Path, prompt: str) -> None:
    for attempt in (lambda: expand(prompt, 1, folder), lambda: expand_all(prompt, folder)):
        with pytest.raises(InvalidPrompt, match="are to be chosen from"):
            attempt()


def test_there_is_a_most(folder: Path) -> None:
    assert len(expand_all("{a|b|c}{1|2|3}", folder, most=9)) == 9
    for prompt in ("{a|b|c}{1|2|3}|{x|y}", "{2$$a|b|c|d|e|f}", "{{a|b|c}|{d|e|f}|{g|h|i}|j}"):
        with pytest.raises(InvalidPrompt, match="more than 9 prompts"):
            expand_all(prompt, folder, most=9)


def test_results_have_an_end(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("x" * 2_500)
    assert len(expand("__long__", 1, tmp_path)) == 2_500
    for attempt in (
        lambda: expand("__long__ __long__", 1, tmp_path),
        lambda: expand_all("__long__ __long__", tmp_path),
        lambda: expand("x" * 4_001, 1, tmp_path),
    ):
        with pytest.raises(InvalidPrompt, match="more than 4,000 characters"):
            attempt()
    with pytest.raises(InvalidPrompt, match="40,000 are the most"):
        expand("x" * 40_001, 1, tmp_path)


@pytest.mark.parametrize("leaf", ["x", "{1$$}", "{|}", "{0-1$$a}"])
def test_wildcards_that_grow_without_end_are_stopped(tmp_path: Path, leaf: str) -> None:
    for number in range(30):
        inner = f"__w{number + 1}____w{number + 1}__" if number < 29 else leaf
        (tmp_path / f"w{number}.txt").write_text(inner)
    started = time.perf_counter()
    with pytest.raises(InvalidPrompt):
        expand("__w0__", 1, tmp_path)
    if leaf != "{1$$}":
        with pytest.raises(InvalidPrompt):
            expand_all("__w0__", tmp_path)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "prompt", ["{" * 41, "{a|" * 50 + "b" + "}" * 50, "{1$$" * 45 + "b" + "}" * 45]
)
def test_braces_have_a_deepest(tmp_path: Path, prompt: str) -> None:
    with pytest.raises(InvalidPrompt, match="deep inside each other"):
        expand(prompt, 1, tmp_path)


def test_wildcards_have_a_deepest(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"w{number}.txt").write_text(f"__w{number + 1}__" if number < 59 else "end")
    assert expand("__w30__", 1, tmp_path) == "end"
    deep = "{a|" * 20 + "__w45__" + "}" * 20
    assert expand_all(deep, tmp_path) == ("a", "end")
    for prompt in ("__w0__", "{a|" * 30 + "__w35__" + "}" * 30):
        with pytest.raises(InvalidPrompt, match="deep inside each other"):
            expand_all(prompt, tmp_path)


@given(st.text(alphabet="{}|$:0.12_a\\/ -", max_size=60), st.integers(0, 2**32))
def test_every_text_has_an_answer(
    tmp_path_factory: pytest.TempPathFactory, text: str, seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    with suppress(InvalidPrompt):
        drawn = expand(text, seed, folder)
        every = expand_all(text, folder, most=5000)
        assert "".join(sorted(drawn)) in {"".join(sorted(one)) for one in every}


@pytest.mark.parametrize(
    "prompt", ["__" + "a_" * 15_000, "__a/" * 10_000, "{|}" * 13_000, "_" * 40_000, "|}" * 20_000]
)
def test_hostile_prompts_take_no_longer_than_others(tmp_path: Path, prompt: str) -> None:
    started = time.perf_counter()
    for attempt in (lambda: expand(prompt, 1, tmp_path), lambda: expand_all(prompt, tmp_path)):
        with suppress(InvalidPrompt):
            attempt()
    assert time.perf_counter() - started < 5


LISTS = """
clothes:
  shoes:
    - clog
    - 3::boot
    - {text: sandal, weight: 0.5}
  winter:
    coats: [parka, "{long|short} coat"]
numbers: [1, 2]
nothing:
"""


def test_lists_in_yaml_go_by_their_keys(folder: Path) -> None:
    (folder / "pack").mkdir()
    (folder / "pack" / "any.yaml").write_text(LISTS)
    (folder / "trees.yml").write_text("- oak\n- elm\n")
    for prompt, prompts in (
        ("__clothes/shoes__", ("clog", "boot", "sandal")),
        ("__clothes/winter/coats__", ("parka", "long coat", "short coat")),
        ("__numbers__", ("1", "2")),
        ("__trees__", ("oak", "elm")),
        ("__clothes/s*__", ("clog", "boot", "sandal")),
        ("__clothes/*__", ("top hat", "red cap", "blue cap", "clog", "boot", "sandal")),
    ):
        assert expand_all(prompt, folder) == prompts
    drawn = Counter(expand("__clothes/shoes__", seed, folder) for seed in range(900))
    assert drawn["boot"] == pytest.approx(600, abs=80)
    with pytest.raises(InvalidPrompt, match="no wildcard __clothes/gloves__"):
        expand("__clothes/gloves__", 1, folder)
    with pytest.raises(InvalidPrompt, match=r"no wildcard like __gloves/\*__"):
        expand("__gloves/*__", 1, folder)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "no YAML"),
        ("a: word", "“a” is no list"),
        ("word", "“word” is no list"),
        ("a: [[b]]", "lists in lists"),
        ("a: [{b: c}]", "has no text"),
        ("a: &a\n  b: *a", "deep"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{two}: &{two} {{" + ", ".join(f"k{n}: *{one}" for n in range(9)) + "}\n"
                for one, two in zip("abcdef", "bcdefg", strict=True)
            ),
            "more than 200,000",
        ),
        ("\x00", "no YAML"),
    ],
)
def test_yaml_that_is_no_list_of_wildcards(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "any.yaml").write_text(text)
    with pytest.raises(InvalidPrompt, match=reason) as told:
        expand("__c__", 1, tmp_path)
    assert str(tmp_path / "any.yaml") in told.value.message


def test_a_remark_stands_apart(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hair of #ff0000\nC# # a language\n  # nothing")
    assert expand_all("__a__", tmp_path) == ("hair of #ff0000", "C#")


@pytest.mark.parametrize(
    "prompt", ["${colour={red|blue}} a ${colour} fox", "a ${ colour } fox", "__season(when=now)__"]
)
def test_variables_are_refused(tmp_path: Path, prompt: str) -> None:
    with pytest.raises(InvalidPrompt, match="prompts have none here"):
        expand(prompt, 1, tmp_path)
    (tmp_path / "a.txt").write_text(prompt)
    with pytest.raises(InvalidPrompt, match="prompts have none here"):
        expand_all("__a__", tmp_path)
    assert expand("costs ${5|5} or $5", 1, tmp_path) == "costs $5 or $5"
