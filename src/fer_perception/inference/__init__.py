"""Classifier backends: ONNX Runtime and TensorRT, behind one protocol."""
