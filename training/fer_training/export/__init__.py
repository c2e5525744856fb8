"""Checkpoints as ONNX files: FP32, FP16 weights, INT8, TensorRT through torch2trt."""
