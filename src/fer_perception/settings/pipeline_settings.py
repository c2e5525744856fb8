"""Settings of the pipeline: each with its default, range and description, declared once, here."""

from __future__ import annotations

from dataclasses import dataclass

from fer_perception.settings.declaration import setting


@dataclass(frozen=True)
class PipelineSettings:
    """Settings of everything between a decoded image and its result (seconds, pixels, probabilities)."""

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
        "Longer side, in pixels, of the copy the detector looks at; larger images are reduced to it, 0 = never reduce.",
        minimum=0,
        maximum=4096,
        live=True,
    )
    min_face_size: int = setting(
        16,
        "Faces narrower or lower than this, in pixels of the source image, are ignored; below about 24 what they "
        "show is mostly guessed (their quality says so).",
        minimum=4,
        maximum=2048,
        live=True,
    )
    max_faces: int = setting(
        64, "At most so many faces an image, the largest first.", minimum=1, maximum=1024, live=True
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
        "long (and 2.5 times its usual interval between images) loses its tracks.",
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
        "How long the errors of neighboring frames are expected to be alike, in s, until a face has taught better "
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
