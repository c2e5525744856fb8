"""YAML of any kind gives values or a ValueError of one line."""

from __future__ import annotations

import pytest

from fer_perception.system.files import parse_yaml


def test_plain_values():
    assert parse_yaml("a: [1, 2.5, yes]\nb:\n") == {"a": [1, 2.5, True], "b": None}
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    "text", ["a: [", "!!timestamp x", '!!int ""', "2026-13-45", "[" * 5000, "!!python/object:os.system x"]
)
def test_what_cannot_be_read_is_one_line(text):
    with pytest.raises(ValueError, match=r"^[^\n]*$"):
        parse_yaml(text)
