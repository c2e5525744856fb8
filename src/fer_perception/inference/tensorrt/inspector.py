"""Parser of an engine's precision in the JSON of TensorRT's EngineInspector, whose layout differs between versions.

With DETAILED verbosity every layer is an object with "LayerType" (for what is fused also "ParameterType"), "Inputs"
and "Outputs". A tensor says its type in words under "Format/Datatype": "Row major linear FP16 format" or "Channel major
FP16 format where channel % 4 == 0" in 8.x, "Half", "Float" or "Int8" in 10.x; or under "Datatype" or "Format". Dynamic
shapes give "N/A due to dynamic shapes" unless an execution context with a shape is set. "Weights" are {"Type": "Half",
"Count": n}. With less verbosity layers are plain strings: then nothing is known.
Sources: the TensorRT documentation, "Engine Inspector", and dumps in public issue threads.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

#: Names of each precision in the words of the inspector, the longer first: "BFloat16" also contains "Float".
_WORDS: tuple[tuple[str, str], ...] = (
    ("BF16", r"bf16|bfloat16"),
    ("FP16", r"fp16|half|float16"),
    ("FP8", r"fp8|float8"),
    ("INT8", r"int8"),
    ("FP32", r"fp32|float32|float\b|tf32"),
)
#: Layer types that calculate with weights, in lower case; their precision is the engine's.
_CALCULATES = re.compile(
    r"convolution|deconvolution|gemm|matrixmultiply|matrix_multiply|fullyconnected|kgen|myelin|conv"
)
#: Layer types that only move or convert data.
_MOVES = re.compile(r"reformat|noop|no-op|constant|shuffle|cast|signal|wait|shape")


@dataclass(frozen=True)
class EnginePrecision:
    """Precision of an engine's layers.

    Attributes:
        name: precision of most layers that calculate: "FP16", "FP32", "INT8", ...; "unknown" where the inspector does
            not say.
        layers: number of calculating layers by precision.
    """

    name: str
    layers: dict[str, int]

    def describe(self) -> str:
        """For diagnostics: "FP16 (14 of 17 layers; FP32 3)"."""
        if not self.layers:
            return self.name
        total = sum(self.layers.values())
        rest = "".join(f"; {name} {count}" for name, count in sorted(self.layers.items()) if name != self.name)
        return f"{self.name} ({self.layers[self.name]} of {total} layers{rest})"


UNKNOWN = EnginePrecision("unknown", {})


def engine_precision(text: str) -> EnginePrecision:
    """The precision of an engine.

    Args:
        text: `EngineInspector.get_engine_information(LayerInformationFormat.JSON)`.

    Returns:
        `UNKNOWN` where the text is no JSON or says nothing of types.
    """
    try:
        information = json.loads(text)
    except ValueError:
        return UNKNOWN
    layers = information.get("Layers") if isinstance(information, dict) else information
    if not isinstance(layers, list):
        return UNKNOWN
    objects = [layer for layer in layers if isinstance(layer, dict)]
    counts = Counter(filter(None, (_layer_precision(layer) for layer in objects if _calculates(layer))))
    if not counts:
        counts = Counter(filter(None, (_layer_precision(layer) for layer in objects if not _moves(layer))))
    if not counts:
        return UNKNOWN
    name = max(counts, key=lambda item: (counts[item], item))
    return EnginePrecision(name, dict(counts))


def _kind(layer: dict[str, Any]) -> str:
    return f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".lower()


def _calculates(layer: dict[str, Any]) -> bool:
    return bool(_CALCULATES.search(_kind(layer))) and not _moves(layer)


def _moves(layer: dict[str, Any]) -> bool:
    return bool(_MOVES.search(_kind(layer)))


def _layer_precision(layer: dict[str, Any]) -> str:
    """Of the first input tensor with a known type, else of the weights, else of the outputs."""
    weights = layer.get("Weights")
    texts = [_type_words(tensor) for tensor in _list(layer.get("Inputs"))]
    texts.append(str(weights.get("Type", "")) if isinstance(weights, dict) else "")
    texts += [_type_words(tensor) for tensor in _list(layer.get("Outputs"))]
    return next(filter(None, map(_precision, texts)), "")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _type_words(tensor: Any) -> str:
    if not isinstance(tensor, dict):
        return str(tensor)
    return " ".join(str(tensor[key]) for key in ("Datatype", "DataType", "Format/Datatype", "Format") if key in tensor)


def _precision(words: str) -> str:
    lowered = words.lower()
    for name, pattern in _WORDS:
        if re.search(pattern, lowered):
            return name
    return ""
