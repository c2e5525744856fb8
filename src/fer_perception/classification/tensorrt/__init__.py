"""The classifier on a TensorRT engine."""
