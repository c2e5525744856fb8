"""YAML from anybody: values, or one error, whatever the reader trips over."""

from __future__ import annotations

from typing import Any

import yaml


def parse_yaml(text: str) -> Any:
    """The plain values a YAML text holds (mappings, lists, text, numbers, dates, None).

    Raises:
        ValueError: it is no YAML, or holds values that cannot be made; the words are one line.
    """
    try:
        return yaml.safe_load(text)
    except Exception as err:
        # Beside its own errors it passes on whatever impossible dates, numbers and endless nesting lead to.
        raise ValueError(" ".join(str(err).split())) from err
