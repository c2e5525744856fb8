"""Cross-fitting of teachers: each image is answered by teachers that were not trained on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_perception.system.files import parse_yaml
from fer_training.recipe import RecipeError, recipe_from_mapping

#: Hexadecimal digits of a hash that decide the part: 65,536 values, far more than parts.
_DIGITS = 4


def part_of_images(hashes: Sequence[str] | NDArray[np.str_], parts: int) -> NDArray[np.int64]:
    """Deal images out by their pixels, so that exact repeats stay together and no order matters.

    Args:
        hashes: N SHA-256 of the raw pixels, hexadecimal.
        parts: number of parts, at least 2.

    Returns:
        (N,) int64 in [0, parts).
    """
    return np.array([int(h[:_DIGITS], 16) % parts for h in hashes], dtype=np.int64)


def may_answer(recipe: str, hashes: Sequence[str] | NDArray[np.str_]) -> NDArray[np.bool_]:
    """The images a network may be asked about.

    Args:
        recipe: YAML text of the recipe it was trained with, "" where unknown.
        hashes: N SHA-256 of the raw pixels, hexadecimal.

    Returns:
        (N,) bool: the part that a cross-fitted network has not seen; all images for any other network.

    Raises:
        RecipeError: the text is no recipe.
    """
    try:
        values = parse_yaml(recipe) if recipe else {}
    except ValueError as err:
        msg = f"the model's recipe is not readable YAML: {err}"
        raise RecipeError(msg) from err
    if not isinstance(values, dict) or not values.get("cross_fit_parts"):
        return np.ones(len(hashes), dtype=np.bool_)
    trained = recipe_from_mapping(values)
    mine: NDArray[np.bool_] = part_of_images(hashes, trained.cross_fit_parts) == trained.cross_fit_part
    return mine
