"""Classifier backends: ONNX Runtime and TensorRT, behind one protocol."""

from fer_perception.inference.base import Classifier
from fer_perception.inference.create import BACKENDS, create_classifier
from fer_perception.inference.metadata import ModelMetadata
from fer_perception.inference.model_file import read_metadata

__all__ = ["BACKENDS", "Classifier", "ModelMetadata", "create_classifier", "read_metadata"]
