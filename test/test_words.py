"""Words that may not come back: British spellings, and words where the field has another one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (
    *("benchmarks", "config", "docs", "examples", "launch", "models"),
    *("src", "test", "tools", "training", ".ci"),
)
SUFFIXES = {"", ".py", ".md", ".rst", ".yaml", ".yml", ".toml", ".cfg", ".xml", ".msg", ".cff", ".txt"}

#: Pattern -> the word of this repository.
WORDS = {
    r"pictur\w*": "image",
    r"mend(s|ed|ing|able)?": "fix",
    r"foreign\w*": "third-party, unknown",
    r"(dis)?(col|behavi|neighb|fav|hon|flav|lab|harb|rum|vap)our\w*": "-or",
    r"(\w*centre|\w*metre|fibre|litre)[sd]?": "-er",
    r"(\w*normal|standard|initial|quant|optim|regular|organ|recogn|serial|general|\w*synchron|summar|visual|minim|maxim"
    r"|discret|\w*parametr|categor|\w*symmetr|orthogonal|util|custom|random|special|local|character|memor|final|equal"
    r"|central|penal|author|critic|token|vector|stabil)is(e|es|ed|er|ers|ing|ation|ations)": "-ize",
    r"\w*(label|model|travel|cancel|signal|level|channel|tunnel|total|dial|fuel)l(ed|ing|er|ers)": "one l",
    r"(analys|catalys|paralys)(e|es|ed|ing)": "-yze",
    r"grey\w*": "gray",
    r"licen(ce|ces|ced)": "license",
    r"catalogues?|analogues?": "catalog, analog",
    r"judgements?|artefacts?|programmes?|whilst|amongst|learnt|spelt|burnt": "judgment, artifact, program, learned",
    r"usual_?pauses?": "interval",
    r"shortcomings?": "warnings",
    r"tell_choices|tell_what_is_missing": "log, print",
    r"ascended": "perturbed",
}

#: Keys of shipped model files and of metrics.json, which keep their spelling.
ALLOWED = {
    "fer.normalisation",
    '"normalisation"',
    "per_image_standardisation",
    "train_pictures",
    "_MULTI_PICTURE",
    "Multi-Picture",
}

#: Parts of the text whose words are history, or not ours.
KEPT = {"test/test_words.py", "training/EXPERIMENTS.md", "CHANGELOG.rst", "LICENSE"}


def pages() -> list[Path]:
    """Text files of the repository."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    found += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(
        path
        for path in found
        if path.suffix in SUFFIXES and "__pycache__" not in path.parts and str(path.relative_to(ROOT)) not in KEPT
    )


@pytest.fixture(scope="module")
def places() -> dict[str, list[str]]:
    """Where each word occurs; of `an_identifier` and `AnIdentifier` the parts, and the whole too."""
    allowed = re.compile("|".join(map(re.escape, ALLOWED)))
    found: dict[str, list[str]] = {}
    assert len(pages()) > 400
    for path in pages():
        text = f"{path.name}\n{path.read_text(encoding='utf-8', errors='replace')}"
        for number, line in enumerate(text.splitlines()):
            for whole in re.findall(r"[A-Za-z_]+", allowed.sub("", line)):
                parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", whole)
                for word in {whole.lower().strip("_"), *map(str.lower, parts)}:
                    found.setdefault(word, []).append(f"{path.relative_to(ROOT)}:{number}")
    return found


@pytest.mark.parametrize("pattern", WORDS)
def test_words_that_may_not_come_back(pattern: str, places: dict[str, list[str]]) -> None:
    said = re.compile(pattern)
    found = {word: where for word, where in places.items() if said.fullmatch(word)}
    assert found == {}, f"say {WORDS[pattern]!r}"


def test_docstrings_begin_with_the_noun_or_the_verb() -> None:
    """ "Rate limiter for ...", "Publishes ...", never "What ..." or "Where ..."."""
    riddle = re.compile(r"(?:What|Where|Who|Whom|Whose|Which|How|Whether|When|Why|From|So|If|As)\b")
    found = []
    for path in (path for folder in ("src", "training") for path in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node) or ""
                if riddle.match(text):
                    found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}")
    assert found == []
