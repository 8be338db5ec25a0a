"""Documents: positions, YAML 1.2 words, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import FileProblem
from harness.inputs import documents
from harness.inputs.writing import written


def parsed(text: str, path: str = "file.yaml") -> Any:
    return documents.parse(text, path).plain()


def problem(text: str, path: str = "file.yaml") -> str:
    with pytest.raises(FileProblem) as caught:
        documents.parse(text, path)
    return str(caught.value)


def test_every_key_and_value_knows_its_place() -> None:
    """Lines and columns count from 1."""
    root = documents.parse("a: 1\nb:\n  - x\n  - {c: y}\n", "f")
    assert str(root.keys["b"]) == "f:2:1"
    assert [str(n.place) for n in root.members["b"].items] == ["f:3:5", "f:4:5"]
    assert str(root.members["b"].items[1].members["c"].place) == "f:4:9"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("~", None),
        ("True", True),
        ("'true'", "true"),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("2026-01-01", "2026-01-01"),
        ("1:30", "1:30"),
        ("!!str 5", "5"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    """No sexagesimals, no dates, no Norway problem."""
    assert parsed(f"a: {text}") == {"a": value}


def test_aliases_and_merge_keys() -> None:
    """Own keys win over merged ones; of several, the first."""
    text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nall: {<<: [*b, *m], x: 0}\nsame: *b"
    assert parsed(text)["all"] == {"x": 0, "y": 1, "z": 2}
    assert parsed(text)["same"] == {"x": 1, "y": 1}


EMPTY = "the file is empty\n  Was it saved? docs/target.md and docs/scenario.md have files to copy."
DEEP = "nested deeper than 60 levels\n  Is a bracket left open? Write it flatter; no file of qharness needs ten levels."
BOMB = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"file.yaml: {EMPTY}"),
        ("~", f"file.yaml: {EMPTY}"),
        ("a: 1\na: 2", "file.yaml:2:1: the key 'a' is given twice\n  It is given first on line 1. Keep one of them."),
        (
            "a: b: c",
            "file.yaml:1:5: not YAML: mapping values are not allowed in this context\n"
            '  A value that holds ": " must be in quotes; or the indentation is off.',
        ),
        (
            "a: {b: $.c[*]}",
            "file.yaml:1:11: not YAML: did not find expected ',' or '}'\n"
            "  Inside braces or brackets, put a value that holds [ ] { } or , in quotes.",
        ),
        (
            "\ta: 1",
            "file.yaml:1:1: not YAML: found character that cannot start any token\n"
            "  Indent with spaces, not tabs; quote values that begin with @, ` or %.",
        ),
        (
            "? [1]\n: 2",
            "file.yaml:1:3: a key must be a word or a number\n  Is a value in braces or brackets missing its quotes?",
        ),
        (
            "a: !!python/name:os.system x",
            "file.yaml:1:4: the tag 'tag:yaml.org,2002:python/name:os.system' is not understood\n  Remove it.",
        ),
        ("a\n---\nb", "file.yaml:2:1: a second document begins here\n  One file, one document."),
        (
            "a: *b",
            "file.yaml:1:4: the alias *b points at nothing before it\n"
            "  An alias (*name) needs its anchor (&name) earlier in the file.",
        ),
        (
            "a: &b [*b]",
            "file.yaml:1:8: the alias *b points at nothing before it\n"
            "  An alias (*name) needs its anchor (&name) earlier in the file.",
        ),
        ("- " * 61, f"file.yaml:1:121: {DEEP}"),
        ("[" * 5000, f"file.yaml:1:61: {DEEP}"),
        (
            BOMB,
            "file.yaml:6:55: more than 200000 values once aliases are written out\n"
            "  Write the values out where they are used, without aliases of aliases.",
        ),
        ("a: \x01", "file.yaml:1:4: a control character\n  Remove it, or write it as an escape in quotes."),
        ("<<: 3", "file.yaml:1:5: << takes a mapping, or a list of mappings\n  Write <<: *name of a mapping."),
    ],
)
def test_refused(text: str, message: str) -> None:
    """Each with its place and what to do."""
    assert problem(text) == message


def test_json() -> None:
    """JSON keeps its positions, and its own words for what is wrong."""
    assert str(documents.parse('{"a":\n [1]}', "f.json").members["a"].place) == "f.json:2:2"
    assert problem('{"a": 1,\n "b" 2}', "f.json") == "f.json:2:6: not JSON: expecting ':' delimiter"
    assert problem("[" * 100_000, "f.json").startswith("f.json: nested deeper than 60 levels")
    assert problem(" \n", "f.json") == f"f.json: {EMPTY}"
    assert parsed('{"a": "\\ud83d\\ude00"}', "f.json") == {"a": "\U0001f600"}


def test_files(tmp_path: Path) -> None:
    """What is no file, too large, or no text."""
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_text("a" * (documents.MAX_BYTES + 1))
    binary.write_bytes(b"a: 1\nb: \xff")
    messages = {}
    for path in (tmp_path / "none.yaml", tmp_path, large, binary):
        with pytest.raises(FileProblem) as caught:
            documents.load(path)
        messages[path.name] = str(caught.value).removeprefix(f"{path}")
    assert messages == {
        "none.yaml": ": there is no such file\n  Paths are from where qharness is started.",
        tmp_path.name: ": this is a folder, not a file\n  Name a file in it, e.g. target.yaml.",
        "large.yaml": ": larger than 5 MB\n  Split it, or leave generated parts out.",
        "binary.yaml": ":2:4: not UTF-8 text\n  Save the file as UTF-8.",
    }


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text().filter(lambda t: t != "<<"), DATA, max_size=5))
def test_what_is_written_is_read_back(data: dict[str, Any]) -> None:
    """writing and documents are inverse."""
    text = written({"top": data})
    assert parsed(text) == {"top": data}


@given(st.text(alphabet="ab:-[]{}&*#|>'\"!%@ \n\t0.,?<~", max_size=60))
def test_no_text_gives_anything_but_a_file_problem(text: str) -> None:
    """Any text is a document, or has one problem."""
    with suppress(FileProblem):
        documents.parse(text, "file.yaml").plain()
