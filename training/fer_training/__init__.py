"""Training, evaluation and export of the networks behind fer_perception (PyTorch, workstation only)."""

# First of all: it keeps ONNX Runtime from reporting over the network.
import fer_perception  # noqa: F401
