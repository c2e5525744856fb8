"""Class names and where they lie on the circumplex."""

from __future__ import annotations

import numpy as np

from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT, circumplex_matrix

#: Valence and arousal, from the table of Russell & Mehrabian 1977.
EXPECTED = {
    "angry": (-0.51, 0.59),
    "disgusted": (-0.60, 0.35),
    "scared": (-0.64, 0.60),
    "happy": (0.81, 0.51),
    "sad": (-0.63, -0.27),
    "surprised": (0.40, 0.67),
    "neutral": (0.0, 0.0),
    "contempt": (-0.32, -0.11),
}


def test_the_order_is_that_of_fer2013_and_contempt_comes_last() -> None:
    assert tuple(EXPECTED) == LABELS_WITH_CONTEMPT
    assert LABELS_WITH_CONTEMPT[:7] == LABELS


def test_every_class_has_the_coordinates_of_the_table() -> None:
    np.testing.assert_array_equal(circumplex_matrix(LABELS_WITH_CONTEMPT), list(EXPECTED.values()))


def test_rows_follow_the_labels_and_an_unknown_name_has_none() -> None:
    matrix = circumplex_matrix(("sad", "puzzled", "happy"))
    np.testing.assert_array_equal(matrix, [EXPECTED["sad"], (np.nan, np.nan), EXPECTED["happy"]])
    assert circumplex_matrix(()).shape == (0, 2)
