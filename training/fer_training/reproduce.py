"""Reproduction of the papers' tables: each network on each data set by the paper's recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fer_perception.errors import ConfigError
from fer_perception.system.files import write_atomically
from fer_training import architectures
from fer_training.data.load import load_dataset
from fer_training.fit.data import load_fit_data
from fer_training.fit.fit import fit
from fer_training.fit.run_directory import WEIGHTS
from fer_training.recipe import Recipe, RecipeError, load_recipe, recipe_path, recipe_to_yaml
from fer_training.report.figures import confusion_png, png_bytes
from fer_training.report.layer_table import count_parameters
from fer_training.report.published import Published, only_cited, published_for

#: What the papers trained; the last word of a recipe's file name is the data set.
DATA_SETS = ("fer2013", "ckplus", "jaffe", "imed")

#: The family of recipes each network is trained with: the file recipes/paper/<family>_<data set>.yaml.
FAMILIES: dict[str, str] = {
    "arch1": "arch",
    "arch2": "arch_dense",
    "arch3": "arch",
    "arch4": "arch_dense",
    "ires_separable": "xu",
    "mini_xception": "xu",
    "simple_cnn": "xu",
    "simpler_cnn": "xu",
    "lenet": "xu",
    "resnet50": "xu",
    "sepconv_attention": "khani",
}

#: How data sets that a family has no recipe for are read and split: as the papers that use them do.
_READ_AS: dict[str, dict[str, str]] = {
    "ckplus": {"label_map": "paper", "protocol": "paper"},
    "jaffe": {"label_map": "fer7", "protocol": "paper"},
    "imed": {"label_map": "imed", "protocol": "paper"},
}

#: Keys of a recipe that say which images are read and how they are split.
_DATA_KEYS = (
    "data", "label_map", "targets", "protocol", "held_out", "folds", "fold", "split_by", "split_seed", "input_size",
    "limit_train",
)  # fmt: skip

#: Families that start on the small data sets from the weights learned on FER2013.
FINE_TUNED = ("khani",)

#: Result of one pair, kept in its directory so that a second call does not train again.
RESULT = "result.json"


@dataclass(frozen=True)
class Result:
    """One network on one data set.

    Attributes:
        architecture: name of the network.
        data_set: key of the data set.
        accuracy: share of right answers, pooled over the folds.
        accuracy_without_leaks: the same without validation images that training repeats, pooled too; None where all
            are such.
        parameters: all of them, running statistics included.
        seconds: training time, all folds together, with what was done before interruptions.
        folds: how many were trained.
        images: validation images, all folds together.
        protocol: in words, of the first fold.
        confusion: (K, K) counts, rows true, columns predicted, all folds together.
        labels: K class names.
    """

    architecture: str
    data_set: str
    accuracy: float
    accuracy_without_leaks: float | None
    parameters: int
    seconds: float
    folds: int
    images: int
    protocol: str
    confusion: list[list[int]]
    labels: list[str]


def reproduce(
    data: Mapping[str, str],
    *,
    names: Sequence[str],
    out: Path,
    overrides: Sequence[str] = (),
    max_folds: int | None = None,
    say: Callable[[str], None] = print,
    progress: bool = False,
) -> list[Result]:
    """Train every network on every data set and write table, chart and images.

    Finished pairs are not trained again; an interrupted one goes on where it stopped.

    Args:
        data: path of each data set by key ("fer2013", "ckplus", "jaffe", "imed").
        names: networks.
        out: directory for the runs, `table.md`, `results.json`, `chart.png` and a confusion matrix for each pair.
        overrides: recipe keys to change, "key=value".
        max_folds: train at most so many folds of a cross-validation; None trains all.
        say: called with a line about each pair before it is trained.
        progress: show a progress bar for each run.

    Returns:
        The results in the order of `data` and `names`.

    Raises:
        ConfigError: unknown network or data set, or the directory holds results of other recipes.
        DatasetError: a data set cannot be read or split.
    """
    _check(data, names)
    pairs = [(name, data_set) for data_set in sorted(data, key=DATA_SETS.index) for name in names]
    recipes = [replace(pair_recipe(*pair, overrides), data=data[pair[1]]) for pair in pairs]
    _check_data(recipes)
    results: list[Result] = []
    for (name, data_set), planned in zip(pairs, recipes, strict=True):
        recipe = planned
        pre_trained = out / f"{name}_fer2013" / "fold0" / WEIGHTS
        if FAMILIES[name] in FINE_TUNED and data_set != "fer2013" and not recipe.initial and pre_trained.is_file():
            recipe = replace(recipe, initial=str(pre_trained))
        say(f"{name} on {data_set}: {recipe.epochs} epochs at most, protocol {recipe.protocol}")
        results.append(_train_pair(recipe, data_set, out / f"{name}_{data_set}", max_folds, progress=progress))
        write_report(results, out)
    return results


def pair_recipe(name: str, data_set: str, overrides: Sequence[str] = ()) -> Recipe:
    """The paper's recipe for a network on a data set; where the paper does not name the set that for FER2013.

    The set is then read and split as the papers do that use it: FER2013's own split and classes are no other set's.

    Raises:
        RecipeError: an override does not fit.
    """
    family = FAMILIES[name]
    changed: dict[str, str] = {}
    try:
        file = recipe_path(f"paper/{family}_{data_set}.yaml")
    except RecipeError:
        file = recipe_path(f"paper/{family}_fer2013.yaml")
        changed = _READ_AS[data_set]
    recipe = load_recipe(str(file))
    arguments = recipe.arguments if recipe.architecture == name or family.startswith("arch") else {}
    changed = {**changed, "architecture": name, "arguments": json.dumps(_accepted(name, arguments))}
    return load_recipe(str(file), [*(f"{key}={value}" for key, value in changed.items()), *overrides])


def _accepted(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a family's arguments that this network takes."""
    accepted = {*architectures.options(name), "bn_eps", "bn_momentum"}
    return {key: value for key, value in arguments.items() if key in accepted}


def _check(data: Mapping[str, str], names: Sequence[str]) -> None:
    for data_set in data:
        if data_set not in DATA_SETS:
            msg = f"there is no data set {data_set!r}; expected one of {', '.join(DATA_SETS)}"
            raise ConfigError(msg)
    for name in names:
        if name not in FAMILIES:
            msg = f"the papers do not train {name!r}; expected one of {', '.join(FAMILIES)}"
            raise ConfigError(msg)


def _check_data(recipes: Sequence[Recipe]) -> None:
    """Read every data set once in each way that the recipes ask for: the last pair must not fail after hours."""
    seen = []
    for recipe in recipes:
        read = Recipe(**{key: getattr(recipe, key) for key in _DATA_KEYS})
        if read not in seen:
            load_fit_data(read)
            seen.append(read)


def _train_pair(recipe: Recipe, data_set: str, out: Path, max_folds: int | None, *, progress: bool) -> Result:
    count = min(_fold_count(recipe), max_folds or recipe.folds)
    finished = _read_result(out / RESULT, recipe, count)
    if finished is not None:
        return finished
    figures = [fit(replace(recipe, fold=fold), out=out / f"fold{fold}", progress=progress) for fold in range(count)]
    images = [int(figure["n"]) for figure in figures]
    unleaked = [int(figure["without_leaks"]) for figure in figures]
    right = sum((f["validation_accuracy_without_leaks"] or 0.0) * n for f, n in zip(figures, unleaked, strict=True))
    labels = list(figures[0]["per_class"])
    network = architectures.create(
        recipe.architecture,
        in_channels=recipe.in_channels,
        input_size=recipe.input_size,
        num_classes=len(labels),
        **recipe.arguments,
    )
    size = len(labels)
    confusion = [[sum(int(f["confusion"][i][j]) for f in figures) for j in range(size)] for i in range(size)]
    result = Result(
        architecture=recipe.architecture,
        data_set=data_set,
        accuracy=sum(f["validation_accuracy"] * n for f, n in zip(figures, images, strict=True)) / sum(images),
        accuracy_without_leaks=right / sum(unleaked) if any(unleaked) else None,
        parameters=count_parameters(network)[0],
        seconds=sum(figure["training_seconds"] for figure in figures),
        folds=count,
        images=sum(images),
        protocol=figures[0]["protocol"],
        confusion=confusion,
        labels=labels,
    )
    write_atomically(out / RESULT, json.dumps({"recipe": recipe_to_yaml(recipe), **asdict(result)}, indent=2) + "\n")
    confusion_png(confusion, labels, out / "confusion.png", title=f"{recipe.architecture} on {data_set}")
    return result


def _fold_count(recipe: Recipe) -> int:
    """1 for a protocol or a data set with one split, else the recipe's number of folds."""
    if recipe.protocol != "clean":
        return 1
    samples = load_dataset(recipe.data, label_map=recipe.label_map, targets=recipe.targets, size=recipe.input_size)
    return 1 if (samples.splits == "train").any() else recipe.folds


def _read_result(path: Path, recipe: Recipe, folds: int) -> Result | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        written = values.pop("recipe")
        result = Result(**values)
    except (OSError, ValueError, KeyError, TypeError) as err:
        msg = f"{path} is damaged ({err}); delete it to train this pair again"
        raise ConfigError(msg) from err
    if written != recipe_to_yaml(recipe) or result.folds != folds:
        msg = f"{path.parent} holds the result of another recipe; take another --out or delete it"
        raise ConfigError(msg)
    return result


def write_report(results: Sequence[Result], out: Path) -> None:
    """Write `table.md`, `results.json` and `chart.png` into a directory."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "table.md", table(results))
    write_atomically(out / "results.json", json.dumps([asdict(result) for result in results], indent=2) + "\n")
    write_atomically(out / "chart.png", png_bytes(chart(results)))


def table(results: Sequence[Result]) -> str:
    """The comparison as Markdown, one table for each data set, figures that are only cited marked with a dagger."""
    lines: list[str] = []
    for data_set in dict.fromkeys(result.data_set for result in results):
        rows = [result for result in results if result.data_set == data_set]
        lines += [
            f"## {data_set}",
            "",
            "| network | accuracy, ours | without leaks | accuracy, printed | parameters, ours | printed | training |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in rows:
            printed = published_for(row.architecture, data_set)
            lines.append(
                f"| {row.architecture} | {_percent(row.accuracy)} | {_percent(row.accuracy_without_leaks)} | "
                f"{_printed_accuracy(printed)} | {row.parameters:,} | {_printed_parameters(printed)} | "
                f"{_duration(row.seconds)} |"
            )
        lines += [
            f"| {printed.model} | - | - | {_printed_accuracy(printed)} | - | {_printed_parameters(printed)} | - |"
            for printed in only_cited(data_set)
        ]
        lines.append("")
        lines += [f"- {row.architecture}: {row.images} images, folds: {row.folds}; {row.protocol}" for row in rows]
        sources = [published_for(row.architecture, data_set) for row in rows] + list(only_cited(data_set))
        lines += [_source(printed) for printed in sources if printed is not None]
        lines.append("")
    lines.append("† a figure of another work that the papers cite, or of its authors; the test images may differ.")
    return "\n".join(lines) + "\n"


def chart(results: Sequence[Result]) -> Figure:
    """Accuracy of every network on every data set as bars."""
    names = list(dict.fromkeys(result.architecture for result in results))
    data_sets = list(dict.fromkeys(result.data_set for result in results))
    accuracy = {(result.architecture, result.data_set): 100 * result.accuracy for result in results}
    figure = Figure(figsize=(2.5 + 1.2 * len(names) * max(len(data_sets), 1) / 2, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(data_sets)
    for position, data_set in enumerate(data_sets):
        offset = (position - (len(data_sets) - 1) / 2) * width
        pairs = [(index, accuracy[name, data_set]) for index, name in enumerate(names) if (name, data_set) in accuracy]
        bars = axes.bar([index + offset for index, _ in pairs], [value for _, value in pairs], width, label=data_set)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_ylim(0, 105)
    axes.set_ylabel("accuracy, %")
    # Above the bars, which fill the rest.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(data_sets), frameon=False)
    axes.grid(axis="y", alpha=0.3)
    return figure


def _source(printed: Published) -> str:
    where = f" ({printed.measured_on})" if printed.measured_on else ""
    return f"- printed for {printed.model}: {printed.source}{where}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _printed_accuracy(printed: Published | None) -> str:
    if printed is None or printed.accuracy is None:
        return "-"
    return f"{printed.accuracy:g} %{' †' if printed.cited else ''}"


def _printed_parameters(printed: Published | None) -> str:
    if printed is None or printed.parameters is None:
        return "-"
    return f"{printed.parameters:,}{' †' if printed.cited else ''}"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.0f} s"
