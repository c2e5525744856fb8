"""Evaluation protocols: splits into training and validation, with the words printed beside every result.

`official`: the data set's own split. `paper`: as the papers did, augment twofold, then split at random; copies of one
image end up on both sides, so its figures are too high and only good for a comparison with theirs. Where the data set
has a split (FER2013), the paper's training part is augmented and everything else is measured on. `clean`: ours, split
first: whole subjects, whole videos, no image of the validation part in training, repeats in one fold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_training.data.samples import DatasetError, Samples, concatenate

PROTOCOLS = ("official", "paper", "clean")


@dataclass(frozen=True)
class Fold:
    """One division into training and validation.

    Attributes:
        train: images to train on.
        validation: images to measure on.
        leaked: (N_validation,) bool: byte-identical to an image of the original training part.
        dropped: how many training images were left out because validation has them too.
        description: the protocol in words, to be printed with the result.
    """

    train: Samples
    validation: Samples
    leaked: NDArray[np.bool_]
    dropped: int
    description: str


def clean_split(train: Samples, validation: Samples, *, description: str = "clean") -> Fold:
    """Drop from training every image whose pixels occur in validation.

    Validation stays whole, so that its figure compares with others'; `Fold.leaked` says which of its images the
    original training part repeats, so that the figure can be given with and without them.

    Args:
        train: training part.
        validation: validation part.
        description: words to print with results; what was dropped is added.
    """
    train_hashes, validation_hashes = train.hashes(), validation.hashes()
    doubled = np.isin(train_hashes, validation_hashes)
    leaked = np.isin(validation_hashes, train_hashes)
    dropped = int(doubled.sum())
    words = (
        f"{description}: {len(train) - dropped} to train, {len(validation)} to validate; {dropped} training "
        f"images left out because {int(leaked.sum())} validation images equal them"
        f"{_shared_subjects(train, validation)}"
    )
    return Fold(train=train.take(~doubled), validation=validation, leaked=leaked, dropped=dropped, description=words)


def official_split(samples: Samples, *, held_out: Sequence[str] = ("validation",)) -> Fold:
    """The data set's own split, leaks and all.

    Args:
        samples: with splits.
        held_out: which splits to measure on; the papers' 7,178 FER2013 images are ("validation", "test").

    Raises:
        DatasetError: the data set has no such splits.
    """
    train = samples.take(samples.splits == "train")
    validation = samples.take(np.isin(samples.splits, list(held_out)))
    if not len(train) or not len(validation):
        present = sorted(set(samples.splits.tolist()) - {""})
        others = [name for name in present if name != "train"]
        fix = f"measure on them ('held_out=[{', '.join(others)}]')" if others else "use the clean protocol with folds"
        msg = (
            f"a split by the data set's own parts needs train and {' or '.join(held_out)}; it has "
            f"{', '.join(present) or 'no parts'}: {fix}"
        )
        raise DatasetError(msg)
    lost = int((samples.splits == "").sum())
    if lost:
        msg = f"{lost} of {len(samples)} images belong to no part; say what they are for, e.g. use_as: train"
        raise DatasetError(msg)
    leaked = np.isin(validation.hashes(), train.hashes())
    words = (
        f"official: {len(train)} to train, {len(validation)} to validate, {int(leaked.sum())} of which are "
        f"byte-identical to training images{_shared_subjects(train, validation)}"
    )
    return Fold(train=train, validation=validation, leaked=leaked, dropped=0, description=words)


def _shared_subjects(train: Samples, validation: Samples) -> str:
    """Remark on a split with people on both sides; "" of one without, or where they are not known."""
    if train.subjects is None or validation.subjects is None:
        return ""
    people = set(validation.subjects.tolist()) - {""}
    shared = people & set(train.subjects.tolist())
    return f"; {len(shared)} of {len(people)} subjects validated on are in training too" if shared else ""


def paper_split(samples: Samples, *, train_share: float = 0.87, seed: int = 0) -> Fold:
    """Split of the papers: every image once more, augmented, and then a random split of all of them.

    A data set with a training part of its own (FER2013) is measured on all that is not in it, as the papers did with
    the 7,178 images of validation and test; only the training part is augmented.

    Args:
        samples: all images.
        train_share: share that goes to training; the papers used 0.86 to 0.88.
        seed: of the augmentation and of the split.

    Raises:
        DatasetError: a share outside (0, 1), or too few images.
    """
    if not 0.0 < train_share < 1.0 or len(samples) < 2:
        msg = (
            f"cannot split {len(samples)} images with a share of {train_share}; "
            "expected a share between 0 and 1 and at least two images"
        )
        raise DatasetError(msg)
    held_out = sorted(set(samples.splits.tolist()) - {"train", ""})
    if held_out and (samples.splits == "train").any():
        fold = official_split(samples, held_out=held_out)
        words = (
            f"paper: {len(fold.train)} training images augmented twofold, {len(fold.validation)} of "
            f"{' and '.join(held_out)} to validate, {int(fold.leaked.sum())} of which are byte-identical to "
            "training images"
        )
        train = concatenate([fold.train, augmented_copy(fold.train, seed=seed)])
        return replace(fold, train=train, description=words)
    doubled = concatenate([samples, augmented_copy(samples, seed=seed)])
    order = np.random.default_rng(seed).permutation(len(doubled))
    count = min(max(round(train_share * len(doubled)), 1), len(doubled) - 1)
    chosen, rest = order[:count], order[count:]
    leaked = np.isin(rest % len(samples), chosen % len(samples))
    words = (
        f"paper: augmented twofold, then split at random with {train_share:.0%} to train (seed {seed}); "
        f"{int(leaked.sum())} of {len(rest)} validation images have their other copy in training"
    )
    return Fold(train=doubled.take(chosen), validation=doubled.take(rest), leaked=leaked, dropped=0, description=words)


def augmented_copy(samples: Samples, *, seed: int) -> Samples:
    """Every image once, mirrored at random, rotated up to 20 degrees, shifted and zoomed up to 10 %.

    Args:
        samples: images.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    size = samples.images.shape[1]
    center = (size - 1) / 2
    copies = np.empty_like(samples.images)
    for index, image in enumerate(samples.images):
        source = image[:, ::-1] if rng.random() < 0.5 else image
        turn = cv2.getRotationMatrix2D((center, center), rng.uniform(-20.0, 20.0), rng.uniform(0.9, 1.1))
        turn[:, 2] += rng.uniform(-0.1, 0.1, size=2) * size
        copies[index] = cv2.warpAffine(
            np.ascontiguousarray(source), turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return Samples(
        images=copies,
        labels=samples.labels,
        label_names=samples.label_names,
        splits=samples.splits,
        sources=np.array([f"{source} (augmented)" for source in samples.sources], dtype=np.str_),
        votes=samples.votes,
        soft=samples.soft,
        subjects=samples.subjects,
        videos=samples.videos,
    )


def clean_folds(samples: Samples, *, folds: int = 10, by: str | None = None, seed: int = 0) -> list[Fold]:
    """k-fold cross-validation that never cuts a subject, a video or a set of identical images.

    The groups are dealt out so that every fold gets about its share of each class. Identical images of two groups are
    dropped from the training part.

    Args:
        samples: all images.
        folds: k, at least 2.
        by: "subject", "video" or "image" (identical pixels); None takes the first of them that the data set knows.
        seed: of the order in which groups of equal size are dealt out.

    Raises:
        DatasetError: the data set does not know subjects or videos, knows them for a part of its images only, or has
            fewer groups than folds.
    """
    by = by or ("subject" if samples.subjects is not None else "video" if samples.videos is not None else "image")
    groups = _groups(samples, by)
    names = sorted(set(groups.tolist()))
    if folds < 2 or len(names) < folds:
        msg = f"cannot make {folds} folds of {len(names)} {by}s; expected at least 2 folds and as many {by}s as folds"
        raise DatasetError(msg)
    fold_of = _deal(groups, samples.labels, len(samples.label_names), folds, seed)
    result = []
    for fold in range(folds):
        held_out = fold_of == fold
        words = f"clean: fold {fold + 1} of {folds}, whole {by}s, {len(names)} {by}s in all"
        result.append(clean_split(samples.take(~held_out), samples.take(held_out), description=words))
    return result


def make_folds(
    protocol: str,
    samples: Samples,
    *,
    folds: int = 10,
    by: str | None = None,
    seed: int = 0,
    held_out: Sequence[str] = ("validation",),
) -> list[Fold]:
    """The folds of a protocol by name: one for `official`, `paper` and a data set with splits, else `folds`.

    Args:
        protocol: one of `PROTOCOLS`. `clean` cuts a data set of which only the training part is there into folds, too.
        samples: the whole data set.
        folds: number of folds of `clean` where the data set has no split of its own.
        by: what these folds keep together, see `clean_folds`.
        seed: of everything random.
        held_out: the splits that `official` and `clean` measure on, where there are splits.

    Raises:
        DatasetError: unknown protocol, or one the data set cannot serve; `by` where no folds are made.
    """
    own = (samples.splits == "train").any() and (samples.splits != "train").any()
    if by and (protocol in ("official", "paper") or own):
        why = "the data set has a split of its own, which is kept" if own else f"the protocol {protocol} makes no folds"
        msg = f"cannot split by {by}: {why}; leave split_by empty" + ("" if own else " or take the protocol clean")
        raise DatasetError(msg)
    if protocol == "official":
        return [official_split(samples, held_out=held_out)]
    if protocol == "paper":
        return [paper_split(samples, seed=seed)]
    if protocol != "clean":
        msg = f"there is no protocol {protocol!r}; expected one of {', '.join(PROTOCOLS)}"
        raise DatasetError(msg)
    if own:
        fold = official_split(samples, held_out=held_out)
        return [clean_split(fold.train, fold.validation)]
    return clean_folds(samples, folds=folds, by=by, seed=seed)


def _groups(samples: Samples, by: str) -> NDArray[np.str_]:
    if by == "image":
        return samples.hashes()
    known = {"subject": samples.subjects, "video": samples.videos}
    if by not in known:
        msg = f"cannot keep {by!r} together; expected subject, video or image"
        raise DatasetError(msg)
    groups = known[by]
    if groups is None or (groups == "").any():
        lacking = len(samples) if groups is None else int((groups == "").sum())
        msg = (
            f"{lacking} of {len(samples)} images have no {by}; a split by {by} needs it for all: "
            f"use a manifest with a {by} column, or split by image"
        )
        raise DatasetError(msg)
    return groups


def _deal(
    groups: NDArray[np.str_], labels: NDArray[np.int64], classes: int, folds: int, seed: int
) -> NDArray[np.int64]:
    """Fold of every image: the largest group first, each to the fold that has least of what it brings."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(groups.tolist()):
        members[name].append(index)
    names = sorted(members)
    np.random.default_rng(seed).shuffle(names)
    names.sort(key=lambda name: -len(members[name]))
    total = np.maximum(np.bincount(labels[labels >= 0], minlength=classes), 1)
    filled = np.zeros((folds, classes))
    result = np.empty(len(groups), dtype=np.int64)
    for name in names:
        chosen = np.array(members[name], dtype=np.int64)
        known = labels[chosen][labels[chosen] >= 0]
        brought = np.bincount(known, minlength=classes) / total
        after = filled + brought
        cost = (after**2).sum(axis=1) - (filled**2).sum(axis=1)
        fold = int(np.argmin(cost + 1e-9 * filled.sum(axis=1)))
        filled[fold] = after[fold]
        result[chosen] = fold
    return result
