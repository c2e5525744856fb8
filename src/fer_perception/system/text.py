"""Text from others (messages, files, names) as it may be repeated: cut, and without control characters."""

from __future__ import annotations

#: Characters of a text that a log or a diagnostic repeats.
MOST_SHOWN = 2000


def printable(text: str, keep: str = "\n\t") -> str:
    r"""Text with escape sequences and other control characters spelled out.

    Args:
        text: from anywhere.
        keep: control characters that stay.

    Examples:
        >>> printable("a\nb\x1b[2J")
        'a\nb\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def shown(text: str, most: int = MOST_SHOWN) -> str:
    r"""One line of a log or a diagnostic: cut, with nothing in it that moves a cursor or ends the line.

    Args:
        text: from anywhere.
        most: characters of it that are repeated; behind them stands how many there were.

    Examples:
        >>> shown("a\nb")
        'a\\nb'
        >>> shown("x" * 1000, 3)
        'xxx... (1000 characters)'
    """
    return printable(text, "") if len(text) <= most else f"{printable(text[:most], '')}... ({len(text)} characters)"


def quoted(text: str, most: int = 100) -> str:
    """A value from others in quotation marks, cut and escaped as `shown` does.

    Args:
        text: the value.
        most: characters of it that are repeated.

    Examples:
        >>> quoted("bgr8"), quoted("x" * 1000, 3)
        ("'bgr8'", "'xxx'... (1000 characters)")
    """
    return repr(text) if len(text) <= most else f"{text[:most]!r}... ({len(text)} characters)"
