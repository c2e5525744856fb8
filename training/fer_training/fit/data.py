"""Training data of a run as arrays: split, cleaning, votes and teacher probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from fer_perception.labels import LABELS_WITH_CONTEMPT
from fer_training.data.load import load_dataset
from fer_training.data.near_duplicates import near_duplicates_of
from fer_training.data.protocols import make_folds
from fer_training.data.readers.ferplus import soft_labels
from fer_training.data.samples import DatasetError, Samples, short_hashes
from fer_training.distillation.cross_fitting import part_of_images
from fer_training.distillation.teacher_file import read_teacher
from fer_training.distillation.vote_model import label_given_votes
from fer_training.fit.batches import Arrays
from fer_training.recipe import Recipe, RecipeError


@dataclass(frozen=True)
class FitData:
    """Training and validation data of a run.

    Attributes:
        train: training images.
        validation: validation images.
        leaked: (N_validation,) bool: byte-identical to an image of the data set's training part.
        labels: class names in output order.
        trained: (M,) uint64, ascending: `short_hashes` of the training images, each once.
        protocol: the protocol in words, to be printed with every result.
        notes: what was left out and why, one sentence each.
    """

    train: Arrays
    validation: Arrays
    leaked: NDArray[np.bool_]
    labels: tuple[str, ...]
    trained: NDArray[np.uint64]
    protocol: str
    notes: tuple[str, ...]


def load_fit_data(recipe: Recipe) -> FitData:
    """Read, split and clean the data of a recipe.

    Raises:
        DatasetError: the data set is missing, damaged or cannot be split as asked, or a class has no training image.
        RecipeError: the recipe asks for a fold that does not exist, or its teacher has other classes.
    """
    samples = load_dataset(recipe.data, label_map=recipe.label_map, targets=recipe.targets, size=recipe.input_size)
    folds = make_folds(
        recipe.protocol,
        samples,
        folds=recipe.folds,
        by=recipe.split_by or None,
        seed=recipe.split_seed,
        held_out=recipe.held_out,
    )
    if not 0 <= recipe.fold < len(folds):
        one = "the data set is split in one way only, so that fold must be 0"
        msg = f"fold is {recipe.fold}; " + (one if len(folds) == 1 else f"expected 0 to {len(folds) - 1}")
        raise RecipeError(msg)
    fold = folds[recipe.fold]
    train = fold.train
    notes = [fold.description]
    if recipe.near_duplicates:
        near = near_duplicates_of(train.images, fold.validation.images, threshold=recipe.near_duplicates)
        train = train.take(~near)
        notes.append(f"{int(near.sum())} training images left out: near-duplicates of images that are measured on")
    if recipe.cross_fit_parts:
        seen = part_of_images(train.hashes(), recipe.cross_fit_parts) != recipe.cross_fit_part
        train = train.take(seen)
        notes.append(
            f"cross-fitting: {int((~seen).sum())} training images left out (part {recipe.cross_fit_part} of "
            f"{recipe.cross_fit_parts}, from 0); {len(train)} remain"
        )
    if recipe.limit_train:
        chosen = np.random.default_rng(recipe.seed).permutation(len(train))[: recipe.limit_train]
        train = train.take(np.sort(chosen))
    empty = [name for name, count in train.class_counts().items() if not count]
    if empty:
        lost = "".join(f"; {count} images were left out: {why}" for why, count in samples.skip_summary().items())
        others = [name for name in samples.label_names if name not in empty]
        # With quotes where YAML would take a name for something else.
        listed = yaml.safe_dump(others, default_flow_style=True, allow_unicode=True, width=10_000).strip()
        msg = (
            f"no training image shows {', '.join(empty)}: the network would never name it; take more data, a label "
            "map without it (paper: contempt, but not neutral), or a YAML file as data with those that are there: "
            f"`- {{path: ..., label_map: {listed}}}`{lost}"
        )
        raise DatasetError(msg)
    if samples.votes is None and (recipe.loss.votes_weight > 0 or recipe.loss.auxiliary_votes > 0):
        notes.append(
            f"{recipe.data} has no FER+ votes, which the recipe would learn from: labels alone count "
            "(loss.votes_weight and loss.auxiliary_votes have no effect); put fer2013new.csv beside "
            "fer2013.csv to have them"
        )
    skips = [f"{count} images left out: {reason}" for reason, count in samples.skip_summary().items()]
    arrays = _arrays(train, recipe, training=True)
    known = int(arrays.teacher.any(axis=1).sum())
    if recipe.loss.teacher and known < len(train):
        notes.append(
            f"the teacher {recipe.loss.teacher} knows {known} of {len(train)} training images; the "
            "others are learned from their labels alone (`fer-train distill` makes a teacher of your data)"
        )
    return FitData(
        train=arrays,
        validation=_arrays(fold.validation, recipe, training=False),
        leaked=fold.leaked,
        labels=samples.label_names,
        trained=np.unique(short_hashes(train.images)),
        protocol=fold.description,
        notes=(*skips, *notes),
    )


def _arrays(samples: Samples, recipe: Recipe, *, training: bool) -> Arrays:
    classes = len(samples.label_names)
    votes = np.zeros((len(samples), len(LABELS_WITH_CONTEMPT)), dtype=np.float32)
    if samples.votes is not None:
        votes = soft_labels(samples.votes)
    probabilities = np.zeros((len(samples), classes), dtype=np.float32)
    if training and recipe.loss.teacher:
        probabilities = read_teacher(Path(recipe.loss.teacher), samples.hashes(), labels=samples.label_names)
    expected = np.zeros((len(samples), classes), dtype=np.float32)
    if training and samples.votes is not None and recipe.loss.votes_weight > 0:
        # Where the votes are the task, they are the target as they stand; else what they say of the set's own label.
        expected = (
            samples.soft if samples.soft is not None else label_given_votes(samples.votes, samples.labels, classes)
        )
    images = samples.images[:, None]
    if recipe.in_channels != 1:
        images = np.repeat(images, recipe.in_channels, axis=1)
    return Arrays(images, samples.labels, votes, expected, probabilities)
