"""Text of others in logs, diagnostics and messages."""

from __future__ import annotations

import pytest

from fer_perception.errors import ImageError
from fer_perception.imaging.encodings import decode_compressed, decode_raw
from fer_perception.system.text import printable, quoted, shown

LONG = "x" * 3_000_000


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x00", "\x7f", "\x9b", "\u2028", "\u202e", "\ud800"])
def test_control_characters_are_spelled_out(char: str) -> None:
    for told in (shown(f"a{char}b"), quoted(f"a{char}b"), printable(f"a{char}b", "")):
        assert char not in told
        assert told.isprintable()


def test_text_of_people_stays() -> None:
    assert shown("B\u00e4rbel \u2192 \u7b11") == "B\u00e4rbel \u2192 \u7b11"


def test_a_long_one_is_cut_and_its_length_told() -> None:
    assert shown(LONG).endswith("... (3000000 characters)")
    assert len(shown(LONG)) < 2100
    assert len(quoted(LONG)) < 200


@pytest.mark.parametrize("name", [LONG, LONG + "16", "a\nb", "compressedDepth" + LONG, "mono16" + LONG + ";"])
def test_names_of_encodings_and_formats_are_cut_where_they_are_repeated(name: str) -> None:
    for decode in (
        lambda: decode_raw(encoding=name, width=4, height=4, step=4, data=bytes(16)),
        lambda: decode_compressed(format=name, data=b"not an image"),
        lambda: decode_compressed(format="jpeg" + name, data=b"not an image"),
    ):
        with pytest.raises(ImageError) as caught:
            decode()
        assert len(str(caught.value)) < 1000
        assert "\n" not in str(caught.value)
