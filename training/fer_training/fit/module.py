"""Lightning module: network, losses, optimizer and validation figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import lightning as pl
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own abbreviation)
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import LRSchedulerTypeUnion, OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric

from fer_perception.errors import FerError
from fer_perception.labels import LABELS_WITH_CONTEMPT
from fer_training import architectures
from fer_training.deployed_network import standardize
from fer_training.distillation.teacher_networks import TeacherNetworks
from fer_training.fit.augmentation import Augment
from fer_training.fit.batches import Batch
from fer_training.fit.mirror_symmetry import make_symmetric, start_symmetric
from fer_training.fit.muon import Muon
from fer_training.fit.sam import perturbed_weights
from fer_training.recipe import Recipe


class NonFiniteLossError(FerError):
    """The loss became NaN or infinite: training cannot go on from here."""


def reduced(images: Tensor, side: int) -> Tensor:
    """Images (B, C, H, W) reduced to `side` pixels, each output pixel the mean of what it covers; as they are at H."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


class StepSeeds(NamedTuple):
    """Seeds of one training step, each in [0, 2**32), one for each thing that is random in it."""

    augmentation: int
    mixing: int
    teachers: int
    dropout: int


def step_seeds(seed: int, epoch: int, batch_index: int, rank: int) -> StepSeeds:
    """Seeds that depend on the position in the run alone, so that a resumed run repeats an unbroken one.

    Args:
        seed: of the recipe.
        epoch: from 0.
        batch_index: within the epoch, from 0.
        rank: of the process.
    """
    state = np.random.SeedSequence((seed, epoch, batch_index, rank)).generate_state(len(StepSeeds._fields))
    return StepSeeds(*state.tolist())


class ExpressionModule(pl.LightningModule):
    """A network with its training and validation steps.

    While training, the last layer may have eight outputs more than classes: an auxiliary head that predicts the FER+
    votes. `network_state` cuts them off.

    All tensors of a step are made where the batch is; tested with a pretended device, not yet run on CUDA. There sums
    may be rounded differently from run to run, so that a resumed run equals an unbroken one only nearly.

    Args:
        recipe: how to train.
        classes: number of classes of the main output.
        in_channels: of the images.
        input_size: side of the images, pixels.
        steps_per_epoch: optimizer steps an epoch (for the schedule).
        teachers: networks to learn from (`loss.teacher_networks`), None where the batches bring what is to be learned.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        classes: int,
        in_channels: int,
        input_size: int,
        steps_per_epoch: int,
        teachers: TeacherNetworks | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.classes = classes
        self.arguments: dict[str, Any] = {
            **recipe.arguments,
            "in_channels": in_channels,
            "input_size": input_size,
            "num_classes": classes,
        }
        self._auxiliary = len(LABELS_WITH_CONTEMPT) if recipe.loss.auxiliary_votes > 0 else 0
        self._steps_per_epoch = steps_per_epoch
        self._teachers = teachers
        network = architectures.create(
            recipe.architecture, **{**self.arguments, "num_classes": classes + self._auxiliary}
        )
        if recipe.mirror_symmetry:
            start_symmetric(network, self.head)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.augment = Augment(recipe.augmentation)
        # The images of a step as changed, and the same again while it is passed through a second time.
        self._augmented: Tensor | None = None
        self._second_pass: Tensor | None = None
        names = [f"{part}_{figure}" for part in ("train", "validation") for figure in ("loss", "accuracy")]
        self._figures = nn.ModuleDict({name: MeanMetric() for name in names})

    @cached_property
    def head(self) -> set[str]:
        """Name of the layer whose outputs are the classes, dotted, as in `named_modules` of the network."""
        tensors = architectures.head_tensors(self.recipe.architecture, **self.arguments)
        return {tensor.rpartition(".")[0] for tensor in tensors}

    def network_state(self) -> dict[str, Tensor]:
        """The network's weights without the auxiliary outputs, fitting `architectures.create(**arguments)`."""
        state = {name: value.detach().cpu() for name, value in self.network.state_dict().items()}
        if not self._auxiliary:
            return state
        plain = architectures.create(self.recipe.architecture, **self.arguments).state_dict()
        return {name: value[: plain[name].shape[0]] if value.ndim else value for name, value in state.items()}

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes + auxiliary) of raw images (B, C, H, W) in [0, 255]."""
        batch = standardize(images.float()).to(memory_format=torch.channels_last)
        logits: Tensor = self.network(batch)
        return logits.float()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """One batch: augment, mix, predict, compare."""
        seeds = step_seeds(self.recipe.seed, self.current_epoch, batch_index, self.global_rank)
        second = self._second_pass is not None
        if self._second_pass is None:
            images = reduced(
                self.augment(batch["images"].float(), seeds.augmentation), self.recipe.training_side(self.current_epoch)
            )
        else:
            images = self._second_pass
        self._augmented = images
        target = self._target(batch)
        votes, teacher = batch["votes"], batch["teacher"]
        settings = self.recipe.augmentation
        random = np.random.default_rng(seeds.mixing)
        if settings.mixup > 0 and random.random() < settings.mixup_probability:
            share = float(random.beta(settings.mixup, settings.mixup))
            order = torch.from_numpy(random.permutation(len(images))).to(images.device)
            images = share * images + (1 - share) * images[order]
            target = share * target + (1 - share) * target[order]
            votes = share * votes + (1 - share) * votes[order]
            teacher = share * teacher + (1 - share) * teacher[order]
        if self._teachers is not None:
            teacher = self._teachers(images, seeds.teachers)
        torch.manual_seed(seeds.dropout)
        logits = self(images)
        loss = self._loss(logits, target, votes, teacher)
        if not torch.isfinite(loss):
            raise NonFiniteLossError(self._diverged(f"the loss of batch {batch_index} is {loss.item()}"))
        if not second:
            hit = logits[:, : self.classes].argmax(dim=1) == batch["labels"]
            self._record("train", loss.detach(), hit.float().mean(), len(images))
        return loss

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: torch.optim.Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Called by Lightning.

        With sharpness-aware minimization the gradient is taken twice, the second one counts; mirror symmetry, where
        asked for, is restored after the step.
        """
        radius, closure = self.recipe.optimizer.sam_radius, optimizer_closure
        if radius > 0 and closure is not None:
            optimizer_closure = partial(self._twice, closure, radius)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.recipe.mirror_symmetry:
            make_symmetric(self.network, self.head)

    def _twice(self, closure: Callable[[], Any], radius: float) -> Any:
        closure()
        self._second_pass = self._augmented
        try:
            with perturbed_weights(self.network, radius):
                return closure()
        finally:
            self._second_pass = None

    def on_train_epoch_end(self) -> None:
        """Step the plateau schedule: Lightning would do so behind the checkpoint, and a resumed run would miss it."""
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(self.trainer.callback_metrics["validation_loss"])

    def lr_scheduler_step(self, scheduler: LRSchedulerTypeUnion, metric: Any | None) -> None:
        """Called by Lightning; the plateau schedule has been stepped already."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """One batch of validation images as they are."""
        del batch_index
        logits = self(batch["images"].float())[:, : self.classes]
        loss = F.cross_entropy(logits, batch["labels"])
        if not torch.isfinite(loss):
            raise NonFiniteLossError(self._diverged(f"the validation loss is {loss.item()}"))
        hit = (logits.argmax(dim=1) == batch["labels"]).float().mean()
        self._record("validation", loss, hit, len(logits))

    def _diverged(self, what: str) -> str:
        return (
            f"{what} in epoch {self.current_epoch}: training has diverged; lower optimizer.lr (now "
            f"{self.recipe.optimizer.lr}) or set optimizer.gradient_clip, and start again with --fresh or another --out"
        )

    def _record(self, part: str, loss: Tensor, accuracy: Tensor, size: int) -> None:
        """Add a batch to an epoch's figures: exact also where processes have unequal shares."""
        for name, value in ((f"{part}_loss", loss), (f"{part}_accuracy", accuracy)):
            metric = self._figures[name]
            if not isinstance(metric, MeanMetric):
                raise TypeError(name)
            metric.update(value, size)
            self.log(name, metric, on_step=False, on_epoch=True, prog_bar=part == "validation")

    def _target(self, batch: Batch) -> Tensor:
        loss = self.recipe.loss
        hard = F.one_hot(batch["labels"], self.classes).float()
        target = (1 - loss.label_smoothing) * hard + loss.label_smoothing / self.classes
        if loss.votes_weight > 0:
            expected = batch["expected"]
            expected = torch.where(expected.sum(dim=1, keepdim=True) > 0, expected, target)
            target = (1 - loss.votes_weight) * target + loss.votes_weight * expected
        return target

    def _loss(self, logits: Tensor, target: Tensor, votes: Tensor, teacher: Tensor) -> Tensor:
        settings = self.recipe.loss
        main = logits[:, : self.classes]
        if settings.teacher_weight > 0:
            # An image that the teacher does not know (its row sums to 0; mixed with a known one, to that one's share)
            # is learned from its target alone, at full weight.
            share = settings.teacher_weight * teacher.sum(dim=1).round(decimals=4)
            hot = settings.teacher_temperature
            soft = F.softmax(teacher.clamp_min(1e-6).log() / hot, dim=1)
            student = F.log_softmax(main / hot, dim=1)
            divergence = F.kl_div(student, soft, reduction="none").sum(dim=1) * hot * hot
            loss = ((1 - share) * F.cross_entropy(main, target, reduction="none") + share * divergence).mean()
        else:
            loss = F.cross_entropy(main, target)
        if self._auxiliary:
            extra = F.log_softmax(logits[:, self.classes :], dim=1)
            # Images without votes have a row of zeros and add nothing.
            loss = loss - settings.auxiliary_votes * (votes * extra).sum(dim=1).mean()
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Optimizer and learning-rate schedule of the recipe."""
        settings = self.recipe.optimizer
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer: torch.optim.Optimizer
        if settings.name == "sgd":
            optimizer = torch.optim.SGD(
                groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0
            )
        elif settings.name == "adam":
            optimizer = torch.optim.Adam(groups, lr=settings.lr)
        elif settings.name == "muon":
            # The last layer, and kernels of one channel each, are no maps between features.
            head = {id(self.network.get_submodule(name).weight) for name in self.head}
            matrices: list[nn.Parameter] = []
            others: list[nn.Parameter] = []
            for p in decayed:
                (matrices if p.shape[1] > 1 and id(p) not in head else others).append(p)
            groups[0]["params"] = others
            optimizer = Muon(
                matrices, groups, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
            )
        else:
            optimizer = torch.optim.AdamW(groups, lr=settings.lr)
        schedule = self.recipe.schedule
        if schedule.name == "plateau":
            plateau = ReduceLROnPlateau(optimizer, factor=schedule.factor, patience=schedule.patience)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "monitor": "validation_loss", "interval": "epoch"},
            }
        total = self.recipe.epochs * self._steps_per_epoch
        # Of a short run half at most: it would end at the peak.
        warmup = max(min(int(schedule.warmup_epochs * self._steps_per_epoch), total // 2), 1)

        def factor(step: int) -> float:
            rise = min((step + 1) / warmup, 1.0)
            if schedule.name == "constant":
                return rise
            progress = min(max(step - warmup, 0) / max(total - warmup, 1), 1.0)
            return rise * 0.5 * (1 + math.cos(math.pi * progress))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
