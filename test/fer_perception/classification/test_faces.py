"""Probabilities of crops and of their mirror images."""

from __future__ import annotations

import numpy as np
import pytest

from fer_perception.classification.create import create_classifier
from fer_perception.classification.faces import classify_faces


@pytest.mark.parametrize("count", [0, 1, 40])
def test_the_mirror_average_is_that_of_both_and_the_same_for_mirrored_crops(make_model, images, count) -> None:
    classifier = create_classifier(make_model("m.onnx"), backend="onnxruntime", threads=1)
    crops = np.resize(images, (count, 1, 48, 48)).astype(np.float32)
    turned = np.ascontiguousarray(crops[..., ::-1])
    plain, mirrored = (classify_faces(classifier, each) for each in (crops, turned))
    averaged, again = (classify_faces(classifier, each, mirror_average=True) for each in (crops, turned))
    np.testing.assert_allclose(averaged, (plain + mirrored) / 2, atol=1e-6)
    np.testing.assert_allclose(averaged, again, atol=1e-6)
    assert averaged.shape == (count, 7)
    np.testing.assert_allclose(averaged.sum(axis=1), 1.0, atol=1e-12)
    if count:
        assert np.abs(plain - mirrored).max() > 1e-3, "else it shows nothing"
    classifier.close()
