"""Every setting of the pipeline with its default, range and description: declared once, here.

The ROS parameters, `config/fer.yaml`, `fer run --params` and the tables in the documentation are all made from these
declarations.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from fer_perception.errors import ConfigError

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class Declaration:
    """What a person and a parser must know of one setting.

    Attributes:
        description: one or two sentences, with the unit.
        minimum: smallest allowed number; None where it is no number.
        maximum: largest allowed number.
        choices: the only allowed strings; empty = any.
        live: takes effect at once.
        at_start: read when the node starts, never again. Neither: at the next configure.
    """

    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    at_start: bool = False

    @property
    def effect(self) -> str:
        """When a change takes effect, in words."""
        return "at once" if self.live else "at the next start" if self.at_start else "at the next configure"


def setting(
    default: T,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
    at_start: bool = False,
) -> T:
    """Declare one field of a settings dataclass together with its `Declaration`."""
    metadata = {"declaration": Declaration(description, minimum, maximum, choices, live, at_start)}
    if isinstance(default, tuple):
        return cast(T, field(default_factory=lambda: default, metadata=metadata))
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class PipelineSettings:
    """Settings of everything between a decoded picture and its result (seconds, pixels, probabilities)."""

    model: str = setting(
        "arch1_fer2013",
        "Expression model: the name of an expression model that `fer models list` shows, or the path of an ONNX file.",
    )
    backend: str = setting(
        "auto",
        "What runs the expression model; auto takes the best that works: TensorRT, then ONNX Runtime.",
        choices=("auto", "tensorrt", "onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt"),
    )
    threads: int = setting(
        2, "Processor threads of the networks; 0 lets ONNX Runtime use every core.", minimum=0, maximum=64
    )
    detector: str = setting(
        "auto",
        "Face detector; auto takes YuNet through ONNX Runtime, else through OpenCV, else the Haar cascade of OpenCV.",
        choices=("auto", "yunet_ort", "yunet_cv2", "haar"),
    )
    detection_threshold: float = setting(
        0.6, "Faces with a lower detector score are ignored.", minimum=0.05, maximum=0.99, live=True
    )
    detection_size: int = setting(
        640,
        "Longer side, in pixels, of the copy the detector looks at; larger pictures are reduced to it, 0 = never "
        "reduce.",
        minimum=0,
        maximum=4096,
        live=True,
    )
    min_face_size: int = setting(
        16,
        "Faces narrower or lower than this, in pixels of the source picture, are ignored; below about 24 what they "
        "show is mostly guessed (their quality says so).",
        minimum=4,
        maximum=2048,
        live=True,
    )
    max_faces: int = setting(
        64, "At most so many faces a picture, the largest first.", minimum=1, maximum=1024, live=True
    )
    detect_every: int = setting(
        1,
        "Detect in every n-th frame; the tracker predicts the boxes in between.",
        minimum=1,
        maximum=30,
        live=True,
    )
    birth_time: float = setting(
        0.05,
        "A new face is reported after it was seen for this long, in s.",
        minimum=0.0,
        maximum=5.0,
        live=True,
    )
    track_timeout: float = setting(
        1.0,
        "A face that is no longer found stays, marked observed=false, for this long, in s; a camera silent for this "
        "long (and 2.5 times its usual pause between images) loses its tracks.",
        minimum=0.05,
        maximum=30.0,
        live=True,
    )
    filter: str = setting(
        "hmm",
        "Temporal filter of the scores: hmm (class changes cost, a forward filter), ema (exponential mean of the "
        "logits) or none.",
        choices=("none", "ema", "hmm"),
        live=True,
    )
    ema_time_constant: float = setting(
        0.15, "Time constant of the ema filter, in s.", minimum=0.01, maximum=10.0, live=True
    )
    hmm_dwell_time: float = setting(
        1.25,
        "Expected time a face keeps one expression, in s (hmm filter).",
        minimum=0.1,
        maximum=60.0,
        live=True,
    )
    hmm_correlation_time: float = setting(
        1.0,
        "How long the errors of neighbouring frames are expected to be alike, in s, until a face has taught better "
        "(hmm filter).",
        minimum=0.0,
        maximum=5.0,
        live=True,
    )
    undecided_threshold: float = setting(
        0.25, "Below this confidence the label is empty (undecided).", minimum=0.0, maximum=1.0, live=True
    )
    hysteresis: float = setting(
        0.2,
        "A new label must be this much more probable than the present one.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    min_dwell: float = setting(0.1, "A label stays for at least this long, in s.", minimum=0.0, maximum=5.0, live=True)
    deterministic_ids: bool = setting(
        False,
        "Number the faces f00001, f00002, ... from the start instead of a random start (tests, replay).",
    )


def declaration_of(cls: type[Any], name: str) -> Declaration:
    """The declaration of field `name` of settings class `cls`."""
    for item in dataclasses.fields(cls):
        if item.name == name:
            return cast(Declaration, item.metadata["declaration"])
    raise KeyError(name)


def default_of(cls: type[Any], name: str) -> Any:
    """The default value of field `name` of settings class `cls`."""
    return getattr(cls(), name)


def check_value(cls: type[Any], name: str, value: Any) -> Any:
    """Check one value against its declaration.

    Args:
        cls: settings dataclass.
        name: name of the setting.
        value: what the user gave.

    Returns:
        The value in the type of the default (an int is taken for a float, a list for a tuple).

    Raises:
        ConfigError: unknown name, wrong type, out of range or not among the choices.
    """
    names = [item.name for item in dataclasses.fields(cls)]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(names)}"
        msg = f"there is no setting {name!r}{hint}"
        raise ConfigError(msg)
    declared = declaration_of(cls, name)
    default = default_of(cls, name)
    if isinstance(default, bool):
        ok = isinstance(value, bool)
    elif isinstance(default, int):
        ok = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, float):
        ok = isinstance(value, (int, float)) and not isinstance(value, bool)
        value = float(value) if ok else value
    elif isinstance(default, tuple):
        ok = isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
        value = tuple(value) if ok else value
    else:
        ok = isinstance(value, str)
    if not ok:
        msg = (
            f"{name} is {value!r} ({type(value).__name__}); expected {type(default).__name__}, for example {default!r}"
        )
        raise ConfigError(msg)
    if declared.choices and value not in declared.choices:
        msg = f"{name} is {value!r}; expected one of: {', '.join(declared.choices)}"
        raise ConfigError(msg)
    low, high = declared.minimum, declared.maximum
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        below = low is not None and value < low
        above = high is not None and value > high
        if below or above or not math.isfinite(value):
            msg = f"{name} is {value}; expected a number from {low} to {high}"
            raise ConfigError(msg)
    return value


def from_mapping(cls: type[S], values: Mapping[str, Any]) -> S:
    """Make settings from a mapping (a YAML file, parameters), defaults for what is not named.

    Raises:
        ConfigError: see `check_value`.
    """
    return cls(**{name: check_value(cls, name, value) for name, value in values.items()})
