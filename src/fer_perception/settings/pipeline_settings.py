"""Settings of the pipeline: each with its default, range and description, declared once, here."""

from __future__ import annotations

from dataclasses import dataclass

from fer_perception.settings.declaration import ROTATIONS, setting
from fer_perception.timing import STALE_INTERVALS


@dataclass(frozen=True)
class PipelineSettings:
    """Settings of everything between a decoded image and its result (seconds, pixels, probabilities).

    Example:
        >>> from fer_perception.settings.declaration import from_mapping
        >>> settings = from_mapping(PipelineSettings, {"filter": "ema", "min_face_size": 40})
        >>> settings.filter, settings.min_face_size, settings.max_faces
        ('ema', 40, 64)
        >>> from_mapping(PipelineSettings, {"max_faces": 0})
        Traceback (most recent call last):
        ...
        fer_perception.errors.ConfigError: max_faces is 0; expected a number from 1 to 1024
    """

    model: str = setting(
        "arch1",
        "Expression model: a name that `fer models list` shows, or the path of an ONNX file.",
    )
    backend: str = setting(
        "auto",
        "Inference backend of the expression model; auto selects the best that works: TensorRT, then ONNX Runtime.",
        choices=("auto", "tensorrt", "onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt"),
    )
    threads: int = setting(
        2,
        "Number of processor threads of the networks; 0 = one for each core that the process may use.",
        minimum=0,
        maximum=64,
    )
    rotate: int = setting(
        0,
        "Images are turned clockwise by so many degrees before they are processed, for a camera mounted upside down or "
        "on its side; boxes and landmarks stay in pixels of the image as it came.",
        choices=ROTATIONS,
    )
    detector: str = setting(
        "auto",
        "Face detector; auto selects YuNet through ONNX Runtime, else through OpenCV, else the Haar cascade of OpenCV.",
        choices=("auto", "yunet_ort", "yunet_cv2", "haar"),
    )
    detection_threshold: float = setting(
        0.6, "Minimum detector score of a face.", minimum=0.05, maximum=0.99, live=True
    )
    detection_size: int = setting(
        640,
        "Maximum length of the longer side of the detector's input, in pixels; larger images are reduced. 0 = never.",
        minimum=0,
        maximum=4096,
        live=True,
    )
    min_face_size: int = setting(
        16,
        "Minimum width and height of a face, in pixels of the source image. Expressions of faces below about 24 pixels "
        "are unreliable (their quality says so).",
        minimum=4,
        maximum=2048,
        live=True,
    )
    max_faces: int = setting(
        64, "Maximum number of faces per image; the largest are kept.", minimum=1, maximum=1024, live=True
    )
    detection_search_interval: float = setting(
        0.3,
        "The whole image is searched for new faces so often, in s of header time, and in between only around the faces "
        "that are followed; 0 searches every image.",
        minimum=0.0,
        maximum=10.0,
        live=True,
    )
    birth_time: float = setting(
        0.05,
        "Time for which a new face must be seen before it is reported, in s.",
        minimum=0.0,
        maximum=5.0,
        live=True,
    )
    track_timeout: float = setting(
        1.0,
        "Time for which a face that is no longer found is kept, marked observed=false, in s. A camera without images "
        f"for this long (and {STALE_INTERVALS:g} times its usual interval between images) loses its tracks.",
        minimum=0.05,
        maximum=30.0,
        live=True,
    )
    mirror_average: bool = setting(
        False,
        "Classify each face together with its mirror image and take the mean of both probabilities: a little more "
        "accurate, for about twice the time of the expression model.",
        live=True,
    )
    filter: str = setting(
        "hmm",
        "Temporal filter of the scores: hmm (forward filter of a hidden Markov model), ema (exponential moving average "
        "of the logits) or none.",
        choices=("none", "ema", "hmm"),
        live=True,
    )
    ema_time_constant: float = setting(
        0.15, "Time constant of the ema filter, in s.", minimum=0.01, maximum=10.0, live=True
    )
    hmm_dwell_time: float = setting(
        1.25,
        "Expected duration of one expression, in s (hmm filter).",
        minimum=0.1,
        maximum=60.0,
        live=True,
    )
    hmm_correlation_time: float = setting(
        1.0,
        "Initial correlation time of the errors of neighboring frames, in s; adapted to each face (hmm filter).",
        minimum=0.0,
        maximum=5.0,
        live=True,
    )
    neutral_share: float = setting(
        0.0,
        "Assumed share of neutral among the faces seen, the rest spread evenly over the other classes: scores (not "
        "raw_scores) are moved from the class prior of the model to this one; 0 = the model's own class prior.",
        minimum=0.05,
        maximum=0.95,
        or_zero=True,
        live=True,
    )
    undecided_threshold: float = setting(
        0.25, "Confidence below which the label is empty (undecided).", minimum=0.0, maximum=1.0, live=True
    )
    hysteresis: float = setting(
        0.2,
        "Margin of probability by which a new label must exceed the present one.",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    min_dwell: float = setting(0.1, "Minimum duration of a label, in s.", minimum=0.0, maximum=5.0, live=True)
    deterministic_ids: bool = setting(
        False,
        "Numbers the faces f00001, f00002, ... instead of from a random start (for tests and replay).",
    )
