"""YAML of any kind gives values or a ValueError of one line."""

from __future__ import annotations

import pytest

from fer_perception.system.files import MAX_YAML_CHARACTERS, parse_yaml

#: Each list holds the one before ten times: 10^9 values in 300 bytes.
LISTS = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]" for n in range(9))
#: The same with merged mappings.
MERGED = "a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9))
LONG_TEXT = f"a: &a {'x' * 900}\nb: [{', '.join(['*a'] * 9000)}]"


def test_plain_values():
    assert parse_yaml("a: [1, 2.5, yes]\nb:\n") == {"a": [1, 2.5, True], "b": None}
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    "text", ["a: [", "!!timestamp x", '!!int ""', "2026-13-45", "[" * 5000, "!!python/object:os.system x"]
)
def test_what_cannot_be_read_is_one_line(text):
    with pytest.raises(ValueError, match=r"^[^\n]*$"):
        parse_yaml(text)


@pytest.mark.parametrize("text", [LISTS, MERGED, LONG_TEXT, "&a [*a]", "a: &a {b: {c: *a}}"])
def test_aliases_may_not_multiply(text):
    with pytest.raises(ValueError, match=r"unfolds to more than \d+ values; write it without aliases"):
        parse_yaml(text)


def test_aliases_may_repeat():
    assert parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1},
    }


def test_a_long_list_without_aliases_is_read():
    assert len(parse_yaml("- {a, b, c}\n" * 5000)) == 5000


def test_what_would_take_minutes_is_refused():
    with pytest.raises(ValueError, match="500001 characters"):
        parse_yaml(" " * (MAX_YAML_CHARACTERS + 1))
