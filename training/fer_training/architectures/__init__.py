"""Networks by name: `create("arch1")` gives the paper's network for 48x48 gray images and seven classes.

Every network takes the number of input channels, the input size and the number of classes, and returns logits.
"""

from fer_training.architectures.registry import (
    MIN_INPUT_SIZE,
    ArchitectureError,
    create,
    head_tensors,
    names,
    options,
)

__all__ = ["MIN_INPUT_SIZE", "ArchitectureError", "create", "head_tensors", "names", "options"]
