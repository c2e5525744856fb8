"""The layouts of TensorRT 8.6, 10.x and later, as the documentation and public dumps show them."""

from __future__ import annotations

import json

import pytest

from fer_perception.inference.tensorrt.inspector import UNKNOWN, engine_precision


def tensor(words: str, key: str = "Format/Datatype") -> dict:
    return {"Name": "t", "Location": "Device", "Dimensions": [1, 16, 48, 48], key: words}


def layer(kind: str, before: str, after: str | None = None, **more) -> dict:
    return {"Name": kind, "LayerType": kind, "Inputs": [tensor(before)], "Outputs": [tensor(after or before)]} | more


HALF_8 = "Channel major FP16 format where channel % 8 == 0"
SINGLE_8 = "Row major linear FP32"
VERSION_8 = [
    layer("Reduce", SINGLE_8),
    layer("Reformat", SINGLE_8, HALF_8),
    layer("CaskConvolution", HALF_8, ParameterType="Convolution", Weights={"Type": "Half", "Count": 1152}),
    layer("CaskConvolution", HALF_8, ParameterType="Convolution", Weights={"Type": "Half", "Count": 2304}),
    layer("CaskPooling", HALF_8, ParameterType="Pooling"),
    layer("CaskConvolution", HALF_8, SINGLE_8, ParameterType="Convolution"),
    layer("SoftMax", SINGLE_8, ParameterType="SoftMax"),
]
VERSION_10 = [
    layer("kgen", "Float", Metadata="[ONNX Layer: standardize]", StreamId=0),
    layer("Reformat", "Float", "Half"),
    layer("CaskConvolution", "Half", ParameterType="Convolution", TacticName="sm87_xmma_fprop"),
    layer("CaskGemmConvolution", "Half", ParameterType="Convolution"),
    layer("gemm", "Half"),
]


def test_version_8_words():
    precision = engine_precision(json.dumps({"Layers": VERSION_8, "Bindings": ["images", "probabilities"]}))
    assert precision.name == "FP16"
    assert precision.layers == {"FP16": 3}
    assert precision.describe() == "FP16 (3 of 3 layers)"


def test_version_10_words():
    precision = engine_precision(json.dumps({"Layers": VERSION_10}))
    assert precision.layers == {"FP16": 3, "FP32": 1}
    assert precision.describe() == "FP16 (3 of 4 layers; FP32 1)"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Half", "FP16"),
        ("Float", "FP32"),
        ("Float(-2,3,48,48)", "FP32"),
        ("Row major linear FP32 format", "FP32"),
        ("Row major linear BFloat16", "BF16"),
        ("Thirty-two wide channel vectorized row major Int8 format", "INT8"),
        ("Row major Int8 format", "INT8"),
        ("FP8", "FP8"),
    ],
)
def test_words(words, name):
    assert engine_precision(json.dumps({"Layers": [layer("CaskConvolution", words)]})).name == name


@pytest.mark.parametrize("key", ["Datatype", "DataType", "Format"])
def test_other_keys_of_a_tensor(key):
    convolution = {"Name": "c", "LayerType": "Convolution", "Inputs": [tensor("Half", key)], "Outputs": []}
    assert engine_precision(json.dumps({"Layers": [convolution]})).name == "FP16"


def test_a_full_precision_engine_is_not_called_fp16():
    layers = [layer("CaskConvolution", "Float"), layer("Reformat", "Half"), layer("Cast", "Half")]
    assert engine_precision(json.dumps({"Layers": layers})).name == "FP32"


def test_dynamic_shapes_without_a_context_fall_back_to_the_weights():
    words = "N/A due to dynamic shapes"
    known = layer("CaskConvolution", words, Weights={"Type": "Half", "Count": 72})
    assert engine_precision(json.dumps({"Layers": [known]})).name == "FP16"
    assert engine_precision(json.dumps({"Layers": [layer("CaskConvolution", words)]})) == UNKNOWN


def test_layers_of_unknown_kinds_still_tell():
    assert (
        engine_precision(json.dumps({"Layers": [layer("NewFusion", "Half"), layer("Reformat", "Float")]})).name
        == "FP16"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "{}",
        '{"Layers": ["conv1 + relu1", "softmax"]}',
        '{"Layers": 3}',
        '{"Layers": [{"LayerType": "Convolution", "Inputs": null, "Weights": 4}]}',
        "[]",
        "null",
    ],
)
def test_what_says_nothing_is_unknown(text):
    assert engine_precision(text) == UNKNOWN
    assert engine_precision(text).describe() == "unknown"
