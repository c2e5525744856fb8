"""Sphinx configuration of the pages in docs/ and of the main classes: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# rosdoc2 installs nothing.
sys.path[:0] = [str(ROOT / "src")]

from fer_perception import __version__  # noqa: E402

project = "fer_perception"
author = "The fer_perception maintainers"
copyright = f"{author}; Apache-2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "build"]
html_theme = "alabaster"

# The pages are written to be read on a Git host too: headings get the anchors that it gives them.
myst_heading_anchors = 4
# Scripts, model cards and the like that pages link to lie outside of docs/.
suppress_warnings = ["myst.xref_missing"]

# Names in single backticks are code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
