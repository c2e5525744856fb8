"""TensorRT engine straight from the PyTorch module through torch2trt, for those who use it already.

The engine goes into the same cache as those of `fer compile`, is compared in the same way, and the node takes it where
it finds no other. torch2trt builds with TensorRT 10 or earlier. This module has not run on a GPU; it is written against
the documented interface of torch2trt 0.5 (`use_onnx` with minimum, preferred and maximum shapes).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fer_perception.errors import BackendError, NotInstalledError
from fer_perception.inference.tensorrt.engine_key import PROFILE
from fer_perception.inference.tensorrt.library import import_tensorrt
from fer_perception.inference.tensorrt.version import parse_version
from fer_perception.model_files.metadata import INPUT_NAME, OUTPUT_NAME
from fer_training.deployed_network import EPSILON, DeployedNetwork

#: Gray values are divided by this before anything else: squares of up to 16 stay far below the largest half, 65,504.
_SCALE = 16.0
#: The opset of `fer-train export`.
_OPSET = 17


class HalfSafeNetwork(DeployedNetwork):
    """`DeployedNetwork` for a builder that may do any layer in FP16: the same answers, without overflow on the way.

    The per-image variance of raw gray values overflows FP16. Standardization does not change when the image and its
    epsilon are scaled alike, so both are scaled down first.
    """

    def logits(self, images: Tensor) -> Tensor:
        """See `DeployedNetwork.logits`."""
        small = images / _SCALE
        centered = small - small.mean(dim=(1, 2, 3), keepdim=True)
        variance = centered.square().mean(dim=(1, 2, 3), keepdim=True)
        return self.network(centered * torch.rsqrt(variance + EPSILON / _SCALE**2))  # type: ignore[no-any-return]


def torch2trt_arguments(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Arguments of torch2trt: shapes of the whole profile, since `max_batch_size` alone often gives batch-1 engines.

    Args:
        shape: (C, H, W).
    """
    smallest, preferred, largest = ([(batch, *shape)] for batch in PROFILE)
    return {
        "fp16_mode": True,
        "use_onnx": True,
        "onnx_opset": _OPSET,
        "min_shapes": smallest,
        "opt_shapes": preferred,
        "max_shapes": largest,
        "input_names": [INPUT_NAME],
        "output_names": [OUTPUT_NAME],
    }


def build_with_torch2trt(network: HalfSafeNetwork, shape: tuple[int, int, int]) -> bytes:
    """Build an engine.

    Args:
        network: in evaluation mode.
        shape: (C, H, W) of its input.

    Returns:
        The serialized engine.

    Raises:
        NotInstalledError: torch2trt, a CUDA build of PyTorch or a TensorRT it can use is missing.
        BackendError: the build failed.
    """
    trt = import_tensorrt()
    if parse_version(trt.__version__)[0] > 10:
        msg = f"torch2trt needs TensorRT 10 or earlier, here is {trt.__version__}; use `fer compile` instead"
        raise NotInstalledError(msg)
    try:
        from torch2trt import torch2trt
    except (ImportError, OSError) as err:
        msg = f"torch2trt cannot be imported ({err}); install it from its repository, or use `fer compile` instead"
        raise NotInstalledError(msg) from err
    if not torch.cuda.is_available():
        msg = f"PyTorch {torch.__version__} sees no CUDA device; install a CUDA build, or use `fer compile` instead"
        raise NotInstalledError(msg)
    example = torch.rand(PROFILE[1], *shape, device="cuda") * 255
    try:
        with torch.no_grad():
            module = torch2trt(network.cuda().eval(), [example], **torch2trt_arguments(shape))
        return bytes(module.engine.serialize())
    except Exception as err:  # whatever torch2trt, PyTorch or TensorRT raise
        msg = f"torch2trt could not build the engine: {err}; use `fer compile` instead"
        raise BackendError(msg) from err
