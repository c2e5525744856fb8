"""The examples in docstrings run and give what they say."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for folder in ("src", "training") for path in sorted((ROOT / folder).rglob("*.py"))]


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts)


WITH_EXAMPLES = [dotted(path) for path in SOURCES if ">>> " in path.read_text(encoding="utf-8")]

#: The classes that a user of the library meets first.
MAIN_CLASSES = {
    "fer_perception.pipeline": "Pipeline",
    "fer_perception.tracking.tracker": "Tracker",
    "fer_perception.temporal.smoother": "Smoother",
    "fer_perception.settings.pipeline_settings": "PipelineSettings",
    "fer_perception.inference.network": "Network",
    "fer_perception.timing": "RateLimit",
}


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name: str) -> None:
    if name.startswith("fer_training") and importlib.util.find_spec("torch") is None:
        pytest.skip("no PyTorch here: `make training` installs it")
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("name", MAIN_CLASSES)
def test_main_classes_have_an_example(name: str) -> None:
    documented = getattr(importlib.import_module(name), MAIN_CLASSES[name]).__doc__ or ""
    assert ">>> " in documented


def test_arguments_of_constructors_stand_in_the_docstring_of_the_class() -> None:
    """In one place, everywhere; a dataclass names its fields as attributes."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                    arguments = [*part.args.args[1:], *part.args.kwonlyargs]
                    where = f"{path.relative_to(ROOT)}:{part.lineno}: {node.name}"
                    if ast.get_docstring(part) is not None:
                        found.append(f"{where}: __init__ has a docstring")
                    elif arguments and not node.name.startswith("_") and "Args:" not in (ast.get_docstring(node) or ""):
                        found.append(f"{where}: no Args")
    assert found == []
