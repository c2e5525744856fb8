"""What a training step minimizes and how far it goes, against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from fer_training.fit.batches import Batch
from fer_training.fit.module import ExpressionModule, step_seeds
from fer_training.recipe import recipe_from_mapping

#: No change of the images.
AS_THEY_ARE = {"flip": 0.0, "rotation": 0.0, "zoom": 0.0, "shift": 0.0, "blur": 0.0, "erasing": 0.0}


def module_of(*, classes: int = 3, steps_per_epoch: int = 1, **values: Any) -> ExpressionModule:
    torch.manual_seed(0)
    recipe = recipe_from_mapping({"architecture": "lenet", "augmentation": AS_THEY_ARE, **values})
    return ExpressionModule(recipe, classes=classes, in_channels=1, input_size=48, steps_per_epoch=steps_per_epoch)


def labeled(labels: list[int], expected: list[list[float]]) -> Batch:
    return {"labels": torch.tensor(labels), "expected": torch.tensor(expected)}


class TestTarget:
    def test_smoothing_spreads_its_share_over_all_classes(self) -> None:
        module = module_of(loss={"label_smoothing": 0.3})
        target = module._target(labeled([2, 0], [[0.0] * 3] * 2))
        assert torch.allclose(target, torch.tensor([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]))

    def test_votes_have_their_share_and_a_image_without_them_keeps_its_label(self) -> None:
        module = module_of(loss={"votes_weight": 0.25})
        target = module._target(labeled([0, 1], [[0.2, 0.8, 0.0], [0.0, 0.0, 0.0]]))
        assert torch.allclose(target, torch.tensor([[0.8, 0.2, 0.0], [0.0, 1.0, 0.0]]))

    def test_only_the_labels_are_smoothed_not_the_votes(self) -> None:
        module = module_of(loss={"label_smoothing": 0.3, "votes_weight": 0.5})
        target = module._target(labeled([0, 0], [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
        assert torch.allclose(target, torch.tensor([[0.4, 0.55, 0.05], [0.8, 0.1, 0.1]]))


class TestLoss:
    #: At temperature 1 the student says 1/6, 4/6, 1/6, at temperature 2 it says 1/4, 1/2, 1/4.
    student = torch.tensor([[0.0, math.log(4.0), 0.0]])

    def test_student_and_teacher_are_compared_at_the_temperature(self) -> None:
        """The teacher says 4/9, 4/9, 1/9: at temperature 2 that is 2/5, 2/5, 1/5."""
        loss = {"teacher": "any.npz", "teacher_weight": 0.25, "teacher_temperature": 2.0}
        teacher = torch.tensor([[4 / 9, 4 / 9, 1 / 9]])
        measured = module_of(loss=loss)._loss(self.student, torch.eye(3)[:1], torch.zeros(1, 8), teacher)
        divergence = 0.4 * math.log(0.4 / 0.25) + 0.4 * math.log(0.4 / 0.5) + 0.2 * math.log(0.2 / 0.25)
        # Times T^2: the gradients of softened outputs are smaller by that (Hinton et al. 2015).
        assert measured.item() == pytest.approx(0.75 * math.log(6) + 0.25 * 4 * divergence, rel=1e-5)

    def test_the_auxiliary_outputs_learn_the_votes_among_themselves(self) -> None:
        module = module_of(loss={"auxiliary_votes": 0.4})
        # They say 1/10 seven times and 3/10 once; the second image has no votes and adds nothing.
        extra = torch.tensor([[0.0] * 7 + [math.log(3.0)]])
        logits = torch.cat([self.student, extra], dim=1).repeat(2, 1)
        votes = torch.zeros(2, 8)
        votes[0, 0] = votes[0, 7] = 0.5
        measured = module._loss(logits, torch.eye(3)[[0, 0]], votes, torch.zeros(2, 3))
        surprise = -(0.5 * math.log(0.1) + 0.5 * math.log(0.3))
        assert measured.item() == pytest.approx(math.log(6) + 0.4 * surprise / 2, rel=1e-5)


class TestMixup:
    count = 8

    def step(self, **augmentation: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Shares of each image in each one seen; the loss; what it would be with mixed and with unmixed targets."""
        module = module_of(
            augmentation={**AS_THEY_ARE, **augmentation},
            loss={"auxiliary_votes": 0.5, "teacher": "any.npz", "teacher_weight": 0.5},
        )
        module._record = lambda *_: None  # type: ignore[method-assign]  # it reports to a trainer, which is not here
        seen: list[Tensor] = []
        module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        answers: list[Tensor] = []
        module.register_forward_hook(lambda _, inputs, output: answers.append(output))
        # Image i is black but for its pixel i, which shows its share.
        images = torch.zeros(self.count, 1, 48, 48)
        images[torch.arange(self.count), 0, 0, torch.arange(self.count)] = 100.0
        labels = torch.arange(self.count) % 3
        drawn = torch.Generator().manual_seed(1)
        votes = torch.randn(self.count, 8, generator=drawn).softmax(dim=1)
        teacher = torch.randn(self.count, 3, generator=drawn).softmax(dim=1)
        batch = {
            "images": images, "labels": labels, "votes": votes, "expected": torch.zeros(self.count, 3),
            "teacher": teacher,
        }  # fmt: skip
        loss = module.training_step(batch, 0)
        shares = seen[0][:, 0, 0, : self.count] / 100.0
        targets = torch.eye(3)[labels]
        mixed = module._loss(answers[0], shares @ targets, shares @ votes, shares @ teacher)
        plain = module._loss(answers[0], targets, votes, teacher)
        return shares, loss, mixed, plain

    def test_targets_votes_and_teacher_are_mixed_as_the_images_are(self) -> None:
        shares, loss, mixed, plain = self.step(mixup=1.0, mixup_probability=1.0)
        assert torch.allclose(shares.sum(dim=1), torch.ones(self.count), atol=1e-4)
        own = shares.diagonal()
        assert 0.05 < float(own.min()) < 0.95, "nothing is mixed: this test shows nothing"
        assert loss.item() == pytest.approx(mixed.item(), rel=1e-4)
        assert loss.item() != pytest.approx(plain.item(), rel=1e-3)

    @pytest.mark.parametrize("settings", [{"mixup": 0.0}, {"mixup": 1.0, "mixup_probability": 0.0}])
    def test_without_it_every_image_keeps_its_own_target(self, settings: dict[str, float]) -> None:
        shares, loss, _, plain = self.step(**settings)
        assert torch.allclose(shares, torch.eye(self.count), atol=1e-4)
        assert loss.item() == pytest.approx(plain.item(), rel=1e-5)


def rates(steps: int, *, epochs: int, schedule: dict[str, Any]) -> list[float]:
    """Learning rate of each step as a share of the recipe's; an epoch has four steps."""
    module = module_of(steps_per_epoch=4, epochs=epochs, schedule=schedule, optimizer={"name": "sgd", "lr": 0.2})
    configured = module.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert isinstance(scheduler, LambdaLR)
    assert configured["lr_scheduler"]["interval"] == "step"
    found = []
    for _ in range(steps):
        assert len({group["lr"] for group in optimizer.param_groups}) == 1
        found.append(optimizer.param_groups[0]["lr"] / 0.2)
        optimizer.step()
        scheduler.step()
    return found


class TestSchedule:
    def test_a_rise_and_then_half_a_cosine_down_to_nothing(self) -> None:
        cosine = [(1 + math.cos(math.radians(angle))) / 2 for angle in (0, 0, 30, 60, 90, 120, 150, 180)]
        assert rates(9, epochs=2, schedule={"name": "cosine", "warmup_epochs": 0.5}) == pytest.approx([0.5, *cosine])

    def test_constant_after_the_rise(self) -> None:
        found = rates(8, epochs=2, schedule={"name": "constant", "warmup_epochs": 1.0})
        assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0])

    def test_no_rise_where_none_is_asked_for(self) -> None:
        assert rates(3, epochs=1, schedule={"name": "constant", "warmup_epochs": 0.0}) == [1.0, 1.0, 1.0]

    def test_the_rise_takes_half_of_a_short_run_at_most(self) -> None:
        found = rates(5, epochs=1, schedule={"name": "cosine", "warmup_epochs": 3.0})
        assert found == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.0])

    def test_plateau_watches_the_validation_loss(self) -> None:
        module = module_of(schedule={"name": "plateau", "factor": 0.3, "patience": 2}, optimizer={"lr": 0.2})
        configured = module.configure_optimizers()
        scheduler = configured["lr_scheduler"]["scheduler"]
        assert isinstance(scheduler, ReduceLROnPlateau)
        assert configured["lr_scheduler"]["monitor"] == "validation_loss"
        assert configured["lr_scheduler"]["interval"] == "epoch"
        found = []
        for loss in (1.0, 1.1, 1.1, 1.1, 0.9):
            scheduler.step(loss)
            found.append(configured["optimizer"].param_groups[0]["lr"])
        # The first loss is the best one; the third without gain is one too many.
        assert found == pytest.approx([0.2, 0.2, 0.2, 0.06, 0.06])


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("muon", torch.optim.AdamW)],
)
def test_weights_decay_and_biases_and_batch_norms_do_not(name: str, kind: type[torch.optim.Optimizer]) -> None:
    settings = {"name": name, "lr": 0.01, "momentum": 0.8, "weight_decay": 0.05}
    module = module_of(architecture="simple_cnn", optimizer=settings)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in module.network.modules())
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, kind)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in module.network.named_parameters()} == {
        name: 0.05 if p.ndim > 1 else 0.0 for name, p in module.network.named_parameters()
    }


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_the_momentum_of_sgd_is_nesterovs(momentum: float) -> None:
    optimizer = module_of(optimizer={"name": "sgd", "momentum": momentum}).configure_optimizers()["optimizer"]
    assert [(group["momentum"], group["nesterov"]) for group in optimizer.param_groups] == [
        (momentum, momentum > 0), (momentum, momentum > 0),
    ]  # fmt: skip


def test_the_seeds_of_a_step_depend_on_its_position_alone() -> None:
    positions = [
        (seed, epoch, batch, rank) for seed in (0, 1) for epoch in range(4) for batch in range(8) for rank in (0, 1)
    ]
    seeds = [value for position in positions for value in step_seeds(*position)]
    assert len(set(seeds)) == 4 * len(positions), "of each step, and of each thing that is random in it"
    assert all(0 <= value < 2**32 for value in seeds)
    # On any build of Python and any machine.
    assert step_seeds(0, 0, 0, 0) == tuple(np.random.SeedSequence((0, 0, 0, 0)).generate_state(4).tolist())
    assert step_seeds(3, 1, 2, 0) == (1620210449, 2719423820, 2911194100, 2197292408)
