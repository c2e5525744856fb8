"""Metadata of a model file: the ONNX properties that training writes and every backend reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fer_perception.errors import ModelError

#: Name of the single graph input, float32 (N, C, H, W), gray values 0-255.
INPUT_NAME = "images"
#: Name of the single graph output, float32 (N, K), calibrated probabilities.
OUTPUT_NAME = "probabilities"
#: Metadata of an FP16 or INT8 version only: its precision, and the hash of the FP32 file it was made from.
PRECISION_KEY = "fer.precision"
FP32_SHA256_KEY = "fer.fp32_sha256"
#: Metadata of the class prior, JSON: K numbers above 0 with the sum 1, in the order of the labels.
CLASS_PRIOR_KEY = "fer.class_prior"
#: A stated prior may be this far from the sum 1 (rounded by hand); it is read with exactly that sum.
_PRIOR_SUM_TOLERANCE = 1e-3
#: Largest (C, H, W) of a model's input: batches of this size are made before the model has a say.
MAX_INPUT_SHAPE = (4, 1024, 1024)
#: Classes and characters of each; they stand in every message.
MAX_LABELS, MAX_LABEL_LENGTH = 1000, 100


@dataclass(frozen=True)
class ModelMetadata:
    """Self-description of a classifier.

    Attributes:
        name: model name, e.g. "arch1_fer2013".
        labels: K class names in output order.
        input_shape: (C, H, W), e.g. (1, 48, 48).
        normalization: how the graph normalizes its raw input; "per_image_standardisation" is (x - mean) / std of each
            image, inside the graph.
        landmark_template: five (x, y) in pixels of the input image (order of `Detection.landmarks`): where an aligned
            face has its landmarks.
        temperature: the softmax temperature that is already inside the graph.
        class_prior: K class frequencies, sum 1, under which the probabilities of the file as shipped are posteriors;
            () where the file does not say (see `prior`).
        metrics: measured figures, e.g. {"validation": {"accuracy": 0.67, ...}}.
        recipe: the training recipe (file name or resolved text).
        source_commit: git commit of the code that trained it; "" where unknown.
        precision: "float16" or "int8" in a version of a model, which names it beside what `to_props` gives; else "".
        sha256: of the file, filled in by whoever reads it; not stored inside.
    """

    name: str
    labels: tuple[str, ...]
    input_shape: tuple[int, int, int]
    normalization: str
    landmark_template: tuple[tuple[float, float], ...]
    temperature: float
    metrics: dict[str, Any] = field(default_factory=dict)
    recipe: str = ""
    source_commit: str = ""
    precision: str = ""
    sha256: str = ""
    class_prior: tuple[float, ...] = ()

    @property
    def prior(self) -> tuple[float, ...]:
        """The class prior, K numbers with the sum 1; uniform where the file does not state one."""
        return self.class_prior or (1.0 / len(self.labels),) * len(self.labels)

    @property
    def prior_warning(self) -> str:
        """Sentence for people where the file does not state its class prior; "" where it does."""
        if self.class_prior:
            return ""
        return (
            f"the model {self.model_id} does not state its class prior (metadata {CLASS_PRIOR_KEY!r}), so a uniform "
            "one is assumed: classes that were rare in its training count too little over time, frequent ones too "
            "much; export it again with `fer-train export`"
        )

    @property
    def model_id(self) -> str:
        """Name and the first eight digits of the hash, e.g. "arch1_fer2013@1a2b3c4d"."""
        return f"{self.name}@{self.sha256[:8]}" if self.sha256 else self.name

    def to_props(self) -> dict[str, str]:
        """The key/value strings that go into the ONNX file (`metadata_props`), JSON where structured."""
        stated = {CLASS_PRIOR_KEY: json.dumps(list(self.class_prior))} if self.class_prior else {}
        return stated | {
            "fer.name": self.name,
            "fer.labels": json.dumps(list(self.labels)),
            "fer.input_shape": json.dumps(list(self.input_shape)),
            "fer.normalisation": self.normalization,
            "fer.landmark_template": json.dumps([list(p) for p in self.landmark_template]),
            "fer.temperature": repr(float(self.temperature)),
            "fer.metrics": json.dumps(self.metrics, sort_keys=True),
            "fer.recipe": self.recipe,
            "fer.source_commit": self.source_commit,
        }

    @classmethod
    def from_props(cls, props: Mapping[str, str], *, path: str, sha256: str = "") -> ModelMetadata:
        """Read the metadata of an ONNX file.

        Args:
            props: the file's custom metadata map.
            path: the file's name, for messages.
            sha256: hash of the file, hexadecimal.

        Raises:
            ModelError: a key is missing or does not parse; the message names the file, the key and the fix.
        """
        fix = "export it with `fer-train export`, which writes this metadata"
        try:
            labels = tuple(str(x) for x in json.loads(props["fer.labels"]))
            shape = tuple(int(x) for x in json.loads(props["fer.input_shape"]))
            template = tuple((float(x), float(y)) for x, y in json.loads(props["fer.landmark_template"]))
            temperature = float(props["fer.temperature"])
            prior = [float(x) for x in json.loads(props.get(CLASS_PRIOR_KEY, "[]"))]
            metrics = json.loads(props.get("fer.metrics", "{}"))
            name = props["fer.name"]
            normalization = props["fer.normalisation"]
        except KeyError as err:
            msg = f"{path} has no metadata key {err.args[0]!r}, so it is not a model of this project; {fix}"
            raise ModelError(msg) from None
        except (ValueError, TypeError, OverflowError, RecursionError) as err:
            msg = f"{path} has metadata that does not parse ({err}); {fix}"
            raise ModelError(msg) from None
        if len(set(labels)) < len(labels) or not all(labels):
            msg = f"{path} has the labels {', '.join(map(repr, labels))}; expected each once and none empty; {fix}"
            raise ModelError(msg)
        if not _spread(template) >= 1:
            msg = f"{path} has the landmark template {template}; expected five points, pixels apart; {fix}"
            raise ModelError(msg)
        if len(shape) == 3 and not all(1 <= side <= most for side, most in zip(shape, MAX_INPUT_SHAPE, strict=True)):
            msg = f"{path} has the input shape {shape}; expected (C, H, W) from (1, 1, 1) to {MAX_INPUT_SHAPE}; {fix}"
            raise ModelError(msg)
        if len(labels) > MAX_LABELS or any(len(label) > MAX_LABEL_LENGTH for label in labels):
            msg = (
                f"{path} has {len(labels)} labels of up to {max(map(len, labels))} characters; expected at most "
                f"{MAX_LABELS} of {MAX_LABEL_LENGTH}; {fix}"
            )
            raise ModelError(msg)
        if len(shape) != 3 or len(template) != 5 or not labels or not temperature > 0:
            msg = (
                f"{path} has inconsistent metadata: input shape {shape} (expected C, H, W), {len(template)} template "
                f"points (expected 5), {len(labels)} labels (expected at least 1), temperature {temperature} (expected "
                f"> 0); {fix}"
            )
            raise ModelError(msg)
        if CLASS_PRIOR_KEY in props and not _is_prior(prior, len(labels)):
            msg = (
                f"{path} has the class prior {prior} ({CLASS_PRIOR_KEY}); expected {len(labels)} numbers above 0 with "
                f"the sum 1, one for each of {', '.join(labels)}; {fix}"
            )
            raise ModelError(msg)
        return cls(
            name=name,
            labels=labels,
            input_shape=(shape[0], shape[1], shape[2]),
            normalization=normalization,
            landmark_template=template,
            temperature=temperature,
            metrics=metrics,
            recipe=props.get("fer.recipe", ""),
            source_commit=props.get("fer.source_commit", ""),
            precision=props.get(PRECISION_KEY, ""),
            sha256=sha256,
            class_prior=tuple(value / sum(prior) for value in prior),
        )


def _is_prior(values: list[float], classes: int) -> bool:
    """True for the frequencies of so many classes."""
    # NaN compares false.
    return len(values) == classes and all(value > 0 for value in values) and abs(sum(values) - 1) < _PRIOR_SUM_TOLERANCE


def _spread(points: tuple[tuple[float, float], ...]) -> float:
    """The larger side of the points' bounding box in pixels; NaN where a point is not finite, 0 without points."""
    if not all(math.isfinite(value) for point in points for value in point):
        return math.nan
    return max((max(axis) - min(axis) for axis in zip(*points, strict=True)), default=0.0)
