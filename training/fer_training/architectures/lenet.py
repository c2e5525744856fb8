"""LeNet-5 (LeCun et al. 1998), with ReLU and max-pooling in place of tanh and trained averages."""

from __future__ import annotations

from torch import Tensor, nn

from fer_training.architectures.layers import initialize


class Lenet(nn.Module):
    """Two unpadded 5x5 convolutions with pooling and three dense layers.

    Args:
        in_channels: channels of the input, 1 or 3.
        input_size: side of the square input in pixels; the weights of the first dense layer depend on it.
        num_classes: K, number of outputs.
    """

    def __init__(self, *, in_channels: int = 1, input_size: int = 48, num_classes: int = 7) -> None:
        super().__init__()
        side = ((input_size - 4) // 2 - 4) // 2
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * side * side, 120),
            nn.ReLU(inplace=True),
            nn.Linear(120, 84),
            nn.ReLU(inplace=True),
            nn.Linear(84, num_classes),
        )
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) float -> logits (B, K)."""
        return self.layers(x)  # type: ignore[no-any-return]
