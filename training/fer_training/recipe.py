"""Training recipes: YAML in, checked dataclasses out, `key=value` overrides from the command line on top."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from fer_perception.errors import ConfigError
from fer_perception.system.files import parse_yaml
from fer_training import architectures
from fer_training.data.label_maps import QUOTE
from fer_training.data.samples import LARGEST_SIDE

R = TypeVar("R")

#: The recipes that come with this package, and the files they name.
OWN_RECIPES = Path(__file__).parent / "recipes"

#: What an architecture takes that is decided elsewhere, and where.
_SHAPE = {
    "name": "set the key architecture",
    "in_channels": "set the key in_channels",
    "input_size": "set the key input_size",
    "num_classes": "the label map decides it",
}


class RecipeError(ConfigError):
    """A recipe that cannot be read or that asks for something impossible."""


@dataclass(frozen=True)
class Optimizer:
    """Optimizer of the weights.

    Attributes:
        name: sgd (Nesterov momentum), adam, adamw or muon (orthogonalized momentum for the convolutions, adamw for the
            rest).
        lr: peak learning rate.
        momentum: of sgd and muon.
        weight_decay: L2 factor (decoupled for adamw and muon); never applied to biases and batch-norm.
        gradient_clip: largest gradient norm, 0 = no clipping.
        sam_radius: radius (rho) of sharpness-aware minimization, 0 = none; it doubles the time of a step.
    """

    name: Literal["sgd", "adam", "adamw", "muon"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    gradient_clip: float = 0.0
    sam_radius: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """Schedule of the learning rate.

    Attributes:
        name: cosine (to zero at the last step), plateau (of the validation loss) or constant.
        warmup_epochs: linear rise from zero, in epochs (cosine and constant).
        factor: by which plateau multiplies.
        patience: epochs without gain before plateau does so.
        smallest_side: side in pixels that training begins with (progressive resizing: small images cost less and
            regularize; Tan and Le, EfficientNetV2, ICML 2021), 0 = the input size throughout. For networks that take
            any size.
        growth: share of the epochs over which the side grows to the input size, in steps of 8 pixels.
    """

    name: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_epochs: float = 1.0
    factor: float = 0.1
    patience: int = 5
    smallest_side: int = 0
    growth: float = 0.65


@dataclass(frozen=True)
class Augmentation:
    """Random changes of each training image.

    Attributes:
        flip: probability of mirroring.
        rotation: largest angle, degrees.
        zoom: largest relative change of size.
        shift: largest shift, as a fraction of the side.
        shear: largest shear angle, degrees.
        resample: how pixels between pixels are found. Bilinear blurs every training image a little, and a network
            that never saw a sharp one loses a point of accuracy on them; bicubic hardly blurs.
        blur: probability of a Gaussian blur of 0.1 to 0.6 pixels: live crops are resampled, so less sharp than the set.
        corruption: probability of each of four corruptions: fewer pixels, gamma, darkness with noise, JPEG
            (`fit/corruptions.py`).
        erasing: probability of blanking one rectangle of 2 to 20 % of the area.
        brightness: largest relative change of contrast and of brightness (per-image standardization undoes it for the
            whole image, so only clipping remains; useful for networks without it).
        mixup: Beta parameter of mixup, 0 = none.
        mixup_probability: share of the batches that are mixed.
    """

    flip: float = 0.5
    rotation: float = 15.0
    zoom: float = 0.12
    shift: float = 0.06
    shear: float = 0.0
    resample: Literal["bilinear", "bicubic"] = "bicubic"
    blur: float = 0.5
    corruption: float = 0.0
    erasing: float = 0.2
    brightness: float = 0.0
    mixup: float = 0.0
    mixup_probability: float = 0.5


@dataclass(frozen=True)
class Loss:
    """Loss that is minimized.

    Attributes:
        label_smoothing: share of the target spread evenly.
        votes_weight: share of the label distribution that the FER+ votes predict (`vote_model.py`) in the main target.
        auxiliary_votes: weight of a second output that predicts the FER+ votes (8 classes); it is cut off after
            training.
        teacher: file of teacher probabilities (`fer-train distill`), "" = none.
        teacher_networks: checkpoints that answer for each image as it is after augmentation and mixing (see
            `teacher_networks.py`); instead of `teacher`.
        teacher_weight: share of the distillation term, 0 to 1.
        teacher_temperature: softmax temperature of the distillation term.
    """

    label_smoothing: float = 0.0
    votes_weight: float = 0.0
    auxiliary_votes: float = 0.0
    teacher: str = ""
    teacher_networks: list[str] = field(default_factory=list)
    teacher_weight: float = 0.0
    teacher_temperature: float = 2.0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome of a training run.

    Attributes:
        architecture: name in the registry.
        arguments: further keyword arguments of the architecture.
        mirror_symmetry: keep the network's channels in mirrored pairs, so that a face and its mirror image get the
            same answer (see `mirror_symmetry.py`); convolutional networks only.
        in_channels: 1, or 3 (the gray image three times) for networks made for color.
        input_size: side of the images, pixels.
        data: file or folder of the training data; `--data` overrides it.
        label_map: which classes (see `readers/label_maps.py`), e.g. fer7, fer8, paper, own, or a list of their names.
        targets: where labels come from: labels (the set's own), ferplus_majority, ferplus_plurality or ferplus_soft
            (plurality, and loss.votes_weight takes the distribution of the votes itself).
        protocol: official, paper or clean (see `protocols.py`).
        near_duplicates: training images whose thumbnail correlates above this with that of an image that is measured on
            are left out (see `data/near_duplicates.py`), 0 = only those that the protocol leaves out.
        held_out: the splits that are measured on, where the data set has splits.
        folds: number of folds where it has none.
        fold: which of them is measured on, from 0.
        split_by: what these folds keep together: subject, video or image (with its exact repeats); "" = the first of
            them that the data set knows.
        split_seed: of the folds and of the paper protocol.
        cross_fit_parts: for teachers: the training images are dealt out to so many parts by the hash of their pixels,
            and one part is left out, 0 = none. A teacher knows the labels of images it has trained on by heart;
            `fer-train distill` asks each network only about the part that it has not seen.
        cross_fit_part: which part is left out, from 0.
        initial: checkpoint, or exported .onnx file, to start from (fine-tuning; the last layer is new where the classes
            differ), "" = none.
        epochs: passes over the data.
        batch_size: per process.
        optimizer: see `Optimizer`.
        schedule: see `Schedule`.
        augmentation: see `Augmentation`.
        loss: see `Loss`.
        ema: decay of the moving average of the weights per step, 0 = none; smaller in the first steps, so that a short
            run is averaged over its own end.
        early_stopping: epochs without a better validation accuracy before stopping, 0 = never.
        keep: which weights are exported: last or best (by validation accuracy).
        precision: of the multiplications, as Lightning spells it.
        seed: of everything random.
        limit_train: use only so many training images (smoke tests), 0 = all.
    """

    architecture: str = "arch1"
    arguments: dict[str, Any] = field(default_factory=dict)
    mirror_symmetry: bool = False
    in_channels: int = 1
    input_size: int = 48
    data: str = "../shared/data/fer2013_trainval.npz"
    label_map: str | list[str] = "fer7"
    targets: Literal["labels", "ferplus_majority", "ferplus_plurality", "ferplus_soft"] = "labels"
    protocol: Literal["official", "paper", "clean"] = "clean"
    near_duplicates: float = 0.0
    held_out: list[str] = field(default_factory=lambda: ["validation"])
    folds: int = 10
    fold: int = 0
    split_by: Literal["", "subject", "video", "image"] = ""
    split_seed: int = 0
    cross_fit_parts: int = 0
    cross_fit_part: int = 0
    initial: str = ""
    epochs: int = 60
    batch_size: int = 128
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: Loss = field(default_factory=Loss)
    ema: float = 0.999
    early_stopping: int = 0
    keep: Literal["last", "best"] = "last"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    seed: int = 0
    limit_train: int = 0

    def training_side(self, epoch: int) -> int:
        """Side in pixels of the training images of an epoch, counted from 0; see `Schedule.smallest_side`."""
        smallest = self.schedule.smallest_side
        if not smallest:
            return self.input_size
        steps = -(-(self.input_size - smallest) // 8)
        passed = int(steps * epoch / max(self.schedule.growth * self.epochs, 1e-9))
        return min(smallest + 8 * passed, self.input_size)


def beside_recipes(name: str | Path) -> Path:
    """A file that a recipe names: as it stands, else, where there is one, of that name beside our own recipes.

    As in `recipe_path`, "recipes/" before it may be left out or not.
    """
    beside = OWN_RECIPES / str(name).removeprefix("recipes/")
    return beside if beside.is_file() and not Path(name).is_file() else Path(name)


def recipe_path(name: str) -> Path:
    """Find a recipe: a path as it stands, else relative to the recipes that come with this package.

    Raises:
        RecipeError: neither exists.
    """
    stem = name.removeprefix("recipes/")
    for candidate in (Path(name), OWN_RECIPES / stem, OWN_RECIPES / f"{stem}.yaml"):
        if candidate.is_file():
            return candidate
    there = ", ".join(sorted(str(p.relative_to(OWN_RECIPES)) for p in OWN_RECIPES.rglob("*.yaml")))
    msg = f"there is no recipe {name!r}; give the path of a YAML file or one of: {there}"
    raise RecipeError(msg)


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `key=value` overrides (dots reach into groups: `optimizer.lr=0.05`).

    Raises:
        RecipeError: the file or an override does not parse, names an unknown key or a value out of range.
    """
    path = recipe_path(name)
    try:
        values = parse_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError) as err:
        msg = f"{path} is not readable YAML: {' '.join(str(err).split())}"
        raise RecipeError(msg) from err
    if not isinstance(values, dict):
        msg = f"{path} holds a {type(values).__name__}, expected a mapping of recipe keys"
        raise RecipeError(msg)
    for override in overrides:
        _apply_override(values, override)
    return recipe_from_mapping(values)


def recipe_from_mapping(values: Mapping[str, Any]) -> Recipe:
    """Check a nested mapping and make a `Recipe` of it (defaults for what is not named).

    Raises:
        RecipeError: unknown key, wrong type or a value out of range.
    """
    recipe = _build(Recipe, values, "")
    _check_ranges(recipe)
    return recipe


def recipe_to_yaml(recipe: Recipe) -> str:
    """The full resolved recipe as YAML text."""
    return yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False)


def without_folders(recipe: Recipe) -> Recipe:
    """The recipe as it may be handed on: where files lie on this machine is nobody else's business.

    The data set and the teacher file keep their names, checkpoints the name of their run directory too.
    """
    loss = dataclasses.replace(
        recipe.loss,
        teacher=Path(recipe.loss.teacher).name,
        teacher_networks=[_run_and_name(name) for name in recipe.loss.teacher_networks],
    )
    return dataclasses.replace(recipe, data=Path(recipe.data).name, initial=_run_and_name(recipe.initial), loss=loss)


def _run_and_name(path: str) -> str:
    return Path(*Path(path).parts[-2:]).as_posix() if path else ""


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        msg = f"override {override!r} is not of the form key=value, for example optimizer.lr=0.05"
        raise RecipeError(msg)
    *groups, last = key.split(".")
    target = values
    for group in groups:
        target = target.setdefault(group, {})
        if not isinstance(target, dict):
            msg = f"override {override!r}: {group!r} is no group"
            raise RecipeError(msg)
    try:
        target[last] = parse_yaml(text)
    except ValueError as err:
        msg = f"override {override!r}: the value does not parse: {err}"
        raise RecipeError(msg) from err


def _build(cls: type[R], values: Mapping[str, Any], prefix: str) -> R:
    hints = get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; there are: {', '.join(hints)}"
            msg = f"there is no recipe key {prefix}{key}{hint}"
            raise RecipeError(msg)
        arguments[key] = _convert(hints[key], value, f"{prefix}{key}")
    return cls(**arguments)


def _convert(kind: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            msg = f"{name} is {value!r}; expected a group of keys"
            raise RecipeError(msg)
        return _build(kind, value, f"{name}.")  # type: ignore[arg-type]
    if get_origin(kind) is UnionType:
        return _name_or_names(value, name)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            msg = f"{name} is {value!r}; expected one of: {', '.join(map(str, get_args(kind)))}"
            raise RecipeError(msg)
        return value
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 5e-4 as text.
        try:
            value = float(value)
        except ValueError:
            msg = f"{name} is {value!r}; expected a number"
            raise RecipeError(msg) from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    expected = get_origin(kind) or kind
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        msg = f"{name} is {value!r} ({type(value).__name__}); expected {expected.__name__}"
        raise RecipeError(msg)
    if expected is list and not all(isinstance(item, str) for item in value):
        msg = f"{name} is {value!r}; expected a list of names"
        raise RecipeError(msg)
    if expected is dict:
        _check_arguments(value, name)
    return value


def _name_or_names(value: Any, name: str) -> str | list[str]:
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in names):
        msg = f"{name} is {value!r}; expected a name or a list of names ({QUOTE})"
        raise RecipeError(msg)
    return value  # type: ignore[no-any-return]


def _check_arguments(arguments: dict[Any, Any], name: str) -> None:
    """They are written to recipes and, as JSON, to checkpoints."""
    if not all(isinstance(key, str) for key in arguments):
        msg = f"{name} is {arguments!r}; expected names and their values"
        raise RecipeError(msg)
    own = sorted(arguments.keys() & _SHAPE)
    if own:
        msg = f"{name}.{own[0]} would have no effect: {_SHAPE[own[0]]}"
        raise RecipeError(msg)
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as err:
        msg = f"{name} is {arguments!r}; expected numbers, words and lists of them ({err})"
        raise RecipeError(msg) from err


def _check_ranges(recipe: Recipe) -> None:
    fault = number_fault(recipe)
    if fault:
        raise RecipeError(fault)
    if recipe.architecture not in architectures.names():
        msg = f"architecture is {recipe.architecture!r}; expected one of {', '.join(architectures.names())}"
        raise RecipeError(msg)
    smallest = recipe.schedule.smallest_side
    if smallest and not architectures.MIN_INPUT_SIZE <= smallest <= recipe.input_size:
        msg = (
            f"schedule.smallest_side is {smallest}; expected 0 (the input size throughout) or "
            f"{architectures.MIN_INPUT_SIZE} to {recipe.input_size} pixels"
        )
        raise RecipeError(msg)
    if recipe.cross_fit_parts == 1 or recipe.cross_fit_parts < 0:
        msg = f"cross_fit_parts is {recipe.cross_fit_parts}; expected 0 (train on all images) or at least 2"
        raise RecipeError(msg)
    if not 0 <= recipe.cross_fit_part < max(recipe.cross_fit_parts, 1):
        msg = (
            f"cross_fit_part is {recipe.cross_fit_part}; expected 0 to {max(recipe.cross_fit_parts, 1) - 1} with "
            f"cross_fit_parts={recipe.cross_fit_parts}"
        )
        raise RecipeError(msg)
    if recipe.loss.teacher_weight > 0 and not (recipe.loss.teacher or recipe.loss.teacher_networks):
        msg = (
            "loss.teacher_weight is set but loss.teacher names no file; make one with `fer-train distill`, or name "
            "checkpoints in loss.teacher_networks"
        )
        raise RecipeError(msg)
    if recipe.loss.teacher and recipe.loss.teacher_networks:
        msg = "loss.teacher and loss.teacher_networks are both set; take the file or the networks"
        raise RecipeError(msg)


#: What a number must be, in words, and the keys it holds for.
_RANGES: tuple[tuple[Callable[[float], bool], str, tuple[str, ...]], ...] = (
    (
        lambda value: 0 <= value <= 1,
        "a number from 0 to 1",
        (
            "augmentation.flip",
            "augmentation.erasing",
            "augmentation.blur",
            "augmentation.corruption",
            "augmentation.mixup_probability",
            "loss.label_smoothing",
            "loss.votes_weight",
            "loss.teacher_weight",
            "schedule.growth",
            "near_duplicates",
        ),
    ),
    (
        lambda value: 0 <= value < 1,
        "a number from 0 to below 1",
        (
            "ema",
            "optimizer.momentum",
            "schedule.factor",
            "augmentation.zoom",
            "augmentation.shift",
            "augmentation.brightness",
        ),
    ),
    (
        lambda value: 0 < value < math.inf,
        "a number above 0",
        ("epochs", "batch_size", "optimizer.lr", "loss.teacher_temperature"),
    ),
    (
        lambda value: 0 <= value < math.inf,
        "0 or a number above it",
        (
            "limit_train",
            "early_stopping",
            "optimizer.weight_decay",
            "optimizer.gradient_clip",
            "optimizer.sam_radius",
            "schedule.warmup_epochs",
            "schedule.patience",
            "augmentation.rotation",
            "augmentation.shear",
            "augmentation.mixup",
            "loss.auxiliary_votes",
        ),
    ),
    (lambda value: 0 <= value < 2**32, f"0 to {2**32 - 1}", ("seed", "split_seed")),
    (
        lambda value: architectures.MIN_INPUT_SIZE <= value <= LARGEST_SIDE,
        f"{architectures.MIN_INPUT_SIZE} to {LARGEST_SIDE} pixels",
        ("input_size",),
    ),
)


def number_fault(recipe: object) -> str:
    """Fault of the first number that is out of range, as a sentence; "" where all are in range.

    Args:
        recipe: a `Recipe`.
    """
    for fits, expected, names in _RANGES:
        for name in names:
            value = attrgetter(name)(recipe)
            if not fits(value):
                return f"{name} is {value}; expected {expected}"
    return ""
