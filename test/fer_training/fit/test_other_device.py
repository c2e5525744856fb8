"""A training step on another device leaves nothing behind on the processor and calculates the same.

No GPU is needed: `other_device` pretends one and refuses what a GPU would refuse.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from other_device import OTHER, Elsewhere, LeftBehindError, other_device

from fer_training.fit.augmentation import Augment
from fer_training.fit.batches import Batch
from fer_training.fit.module import ExpressionModule
from fer_training.recipe import Augmentation, recipe_from_mapping

#: Every augmentation, mixup in every batch and every part of the loss.
EVERYTHING: dict[str, Any] = {
    "architecture": "lenet",
    "augmentation": {
        "flip": 0.5, "rotation": 15.0, "zoom": 0.1, "shift": 0.1, "shear": 5.0, "blur": 0.5, "erasing": 0.5,
        "brightness": 0.2, "mixup": 0.4, "mixup_probability": 1.0,
    },
    "loss": {
        "label_smoothing": 0.1, "votes_weight": 0.3, "auxiliary_votes": 0.5, "teacher": "teacher.npz",
        "teacher_weight": 0.5,
    },
}  # fmt: skip


def module_and_batch() -> tuple[ExpressionModule, Batch]:
    """The same ones with every call."""
    torch.manual_seed(0)
    module = ExpressionModule(
        recipe_from_mapping(EVERYTHING), classes=7, in_channels=1, input_size=48, steps_per_epoch=1
    )
    count = 6
    batch = {
        "images": torch.randint(0, 256, (count, 1, 48, 48), dtype=torch.uint8),
        "labels": torch.randint(0, 7, (count,)),
        "votes": torch.rand(count, 8).softmax(dim=1),
        "expected": torch.rand(count, 7).softmax(dim=1),
        "teacher": torch.rand(count, 7).softmax(dim=1),
    }
    # An image without votes and one that the teacher never saw take other ways through the loss.
    batch["expected"][0] = 0
    batch["teacher"][1] = 0
    return module, batch


def moved(batch: Batch) -> Batch:
    """The batch on the other device."""
    return {name: tensor.to(OTHER) for name, tensor in batch.items()}


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@torch.no_grad()
def test_the_loss_is_the_same_on_another_device() -> None:
    module, batch = module_and_batch()
    here = module.training_step(batch, 3)
    module, batch = module_and_batch()
    with other_device():
        there = module.to(OTHER).training_step(moved(batch), 3)
        assert isinstance(there, Elsewhere)
        # The sums of a convolution may be taken in another order.
        assert float(there) == pytest.approx(float(here), rel=1e-6)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@torch.no_grad()
def test_validation_figures_are_the_same_on_another_device() -> None:
    module, batch = module_and_batch()
    module.eval().validation_step(batch, 0)
    here = {name: float(metric.compute()) for name, metric in module._figures.items() if "validation" in name}
    module, batch = module_and_batch()
    with other_device():
        module.eval().to(OTHER).validation_step(moved(batch), 0)
        for name, expected in here.items():
            assert float(module._figures[name].compute()) == pytest.approx(expected, rel=1e-6)


@torch.no_grad()
def test_augmentation_does_not_depend_on_where_or_in_which_precision_the_network_is() -> None:
    settings = Augmentation(shear=5.0, brightness=0.2)
    images = torch.rand(6, 1, 48, 48) * 255
    here = Augment(settings)(images, 7)
    assert torch.equal(Augment(settings).to(torch.bfloat16)(images, 7), here)
    with other_device():
        drawn_on = {step.device for step in Augment(settings).to(OTHER).steps}
        there = Augment(settings).to(OTHER)(images.to(OTHER), 7)
    assert drawn_on == {torch.device("cpu")}
    assert isinstance(there, Elsewhere)
    # The random numbers are the same; the rounding may depend on where the operands lie in memory.
    torch.testing.assert_close(there.inner, here, rtol=0, atol=0.01)


@torch.no_grad()
def test_what_is_left_behind_is_noticed() -> None:
    """The pretended device would not pass what a GPU refuses."""
    module, batch = module_and_batch()
    with other_device():
        module.to(OTHER)
        for name in batch:
            wrong = {**moved(batch), name: batch[name]}
            with pytest.raises(LeftBehindError):
                module.training_step(wrong, 0)
