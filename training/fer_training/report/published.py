"""Figures printed by the papers, for the tables of `fer-train reproduce`. None: not at hand, never guessed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One printed figure.

    Attributes:
        model: name in the paper.
        architecture: our network of that name; "" where we have none.
        data_set: key of the data set: fer2013, ckplus, jaffe, imed.
        accuracy: per cent, or None.
        parameters: as printed, or None.
        measured_on: which images.
        cited: True: a figure of another work that the papers quote; False: the authors' own network.
        source: who printed it.
    """

    model: str
    architecture: str
    data_set: str
    accuracy: float | None
    parameters: int | None
    measured_on: str
    cited: bool
    source: str


_PRIVATE_TEST = "PrivateTest, 3,589 images"

PUBLISHED: tuple[Published, ...] = (
    Published(
        "ARCH-1",
        "arch1",
        "fer2013",
        70.3,
        293_951,
        "7,178 held-out images, which also chose the model",
        False,
        "the paper of ARCH-1 to ARCH-4",
    ),
    Published("IRES-separable", "ires_separable", "fer2013", None, 54_900, "", False, "Xu et al. 2021"),
    Published("simple_CNN", "simple_cnn", "fer2013", None, 642_900, "", True, "Xu et al. 2021"),
    Published("simpler_CNN", "simpler_cnn", "fer2013", None, 559_700, "", True, "Xu et al. 2021"),
    Published("LeNet", "lenet", "fer2013", None, 1_587_000, "", True, "Xu et al. 2021"),
    Published("ResNet-50", "resnet50", "fer2013", None, 10_646_600, "", True, "Xu et al. 2021"),
    Published(
        "mini_XCEPTION",
        "mini_xception",
        "fer2013",
        66.0,
        58_423,
        "PrivateTest; others measured 65.6",
        True,
        "Arriaga et al. 2017",
    ),
    Published("big_XCEPTION", "", "fer2013", 66.9, 209_000, _PRIVATE_TEST, True, "measured with the released weights"),
    Published("ResNet34", "", "fer2013", 72.4, None, _PRIVATE_TEST, True, "single network without extra data"),
    Published("VGGNet", "", "fer2013", 73.28, None, _PRIVATE_TEST, True, "single network without extra data"),
    Published("ResNet18 with tricks", "", "fer2013", 73.70, None, _PRIVATE_TEST, True, "single network"),
)


def published_for(architecture: str, data_set: str) -> Published | None:
    """Figure printed by a paper for one of our networks on a data set, or None."""
    return next(
        (row for row in PUBLISHED if row.architecture == architecture and row.data_set == data_set),
        None,
    )


def only_cited(data_set: str) -> list[Published]:
    """Networks that are only quoted for comparison and that we do not have."""
    return [row for row in PUBLISHED if not row.architecture and row.data_set == data_set]
