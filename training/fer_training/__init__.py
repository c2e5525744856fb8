"""Training, evaluation and export of the networks behind fer_perception (PyTorch, workstation only)."""
