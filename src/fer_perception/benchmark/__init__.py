"""The parts of `fer benchmark`: one module each, with the same `run`.

A part is a module of this package with

    def run(*, quick: bool, progress: Callable[[str], None]) -> dict[str, float]

that returns flat figures, every key beginning with the part's name and ending with the unit
("detector.yunet_ort.vga.ms", "classifier.arch1.batch8.ms_per_face", "pipeline.node_start.s"). `quick` asks for a
result within about 30 s, else the part takes what it needs; `progress` gets one readable line whenever something new is
measured (it goes to stderr). What cannot be measured on this machine (a model that is not there, a missing package) is
left out, said through `progress`; a part that can measure nothing at all raises a `FerError`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol, cast

#: The parts in the order in which they are run.
PARTS: tuple[str, ...] = ("classifier", "crops", "detector", "pipeline", "temporal", "ros")

Progress = Callable[[str], None]


class Part(Protocol):
    """`run` of one part."""

    def __call__(self, *, quick: bool, progress: Progress) -> dict[str, float]:
        """Measure and return flat figures."""


def load_part(name: str) -> Part:
    """The `run` function of one part; its module, and what it needs, is imported only now.

    Args:
        name: one of `PARTS`.

    Raises:
        KeyError: there is no such part.
        ImportError: the part needs a package that is not installed.
    """
    if name not in PARTS:
        raise KeyError(name)
    module = "temporal.compare" if name == "temporal" else name
    return cast(Part, importlib.import_module(f"{__package__}.{module}").run)
