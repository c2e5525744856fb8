"""The head of ARCH-2 and ARCH-4: max-pool, flatten, dense 512, dense 512, dense K."""

from __future__ import annotations

from torch import Tensor, nn

HIDDEN = 512


class DenseHead(nn.Module):
    """Max-pool 2, flatten, two dense layers of 512 with ReLU and dropout before each, and the output layer.

    Args:
        channels: channels of the map.
        side: height and width of the map.
        num_classes: K, number of outputs.
        dropout: share of the inputs of both hidden layers that is dropped, [0, 1).
    """

    def __init__(self, *, channels: int, side: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.pool_4 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.dropout_1 = nn.Dropout(dropout)
        self.dense_1 = nn.Linear(channels * (side // 2) ** 2, HIDDEN)
        self.relu_dense_1 = nn.ReLU(inplace=True)
        self.dropout_2 = nn.Dropout(dropout)
        self.dense_2 = nn.Linear(HIDDEN, HIDDEN)
        self.relu_dense_2 = nn.ReLU(inplace=True)
        self.dense_3 = nn.Linear(HIDDEN, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, side, side) -> logits (B, K)."""
        x = self.flatten(self.pool_4(x))
        x = self.relu_dense_1(self.dense_1(self.dropout_1(x)))
        x = self.relu_dense_2(self.dense_2(self.dropout_2(x)))
        return self.dense_3(x)  # type: ignore[no-any-return]
