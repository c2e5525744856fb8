"""Table of results: the shipped models' figures, as recorded in their files, beside published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_perception.errors import ModelError
from fer_perception.model_files.metadata import ModelMetadata
from fer_training.evaluation.data import targets_of, with_judge
from fer_training.onnx_file import get_metadata, load_onnx, onnx_sha256, repeats_figures
from fer_training.report.model_card import markdown_table, parameter_count, parse_recipe
from fer_training.report.published import PUBLISHED

#: Name of the block in a page.
BLOCK = "results"

_NOTE = """\
`fer2013_trainval.npz` holds Training and PublicTest (validation) of `fer2013.csv` with the FER+ votes. Ours: one crop,
no test-time augmentation, on the validation split, which also chose the recipe; protocol `clean`: trained without the
images that validation repeats. "Without repeats" leaves out the validation images that the raw training split
repeats. "FER+ majority": judged by the majority of the ten FER+ votes, a far cleaner label than FER2013's own, so that
such a figure compares with others of its kind only. NLL and ECE (15 bins) are those of a two-fold cross-fitted
temperature; in brackets the ECE that a perfectly calibrated model with the same confidences would show. The published
figures are as published, **on other images** than ours: good for a comparison to a point or so, not for a ranking."""


@dataclass(frozen=True)
class ModelResult:
    """One shipped model.

    Attributes:
        name: of the model.
        file: its path.
        size: of the file, bytes.
        metadata: what the file says of itself.
        parameters: of the network as trained; None where the recipe names no network of ours.
        protocol: of the training.
        figures: of the validation split, as from `evaluate_output`.
    """

    name: str
    file: Path
    size: int
    metadata: ModelMetadata
    parameters: int | None
    protocol: str
    figures: Mapping[str, Any]


def read_result(path: Path, *, split: str = "validation") -> ModelResult:
    """Read the figures that `fer-train export --calibrate` recorded in a model.

    Raises:
        ModelError: no model of this project, or without figures of `split`.
    """
    graph, data = load_onnx(path)
    if repeats_figures(graph):
        msg = f"{path} repeats the figures of the FP32 file it was made from; name that file"
        raise ModelError(msg)
    metadata = ModelMetadata.from_props(get_metadata(graph), path=str(path), sha256=onnx_sha256(data))
    figures = metadata.metrics.get(split)
    if not isinstance(figures, dict) or not {"accuracy", "nll", "ece", "ece_perfect", "n"} <= figures.keys():
        msg = f"{path} records no figures of {split}; export it again with `fer-train export --calibrate --data ...`"
        raise ModelError(msg)
    protocol = str(figures.get("protocol") or parse_recipe(metadata).get("protocol") or "unknown")
    return ModelResult(metadata.name, path, len(data), metadata, parameter_count(metadata), protocol, figures)


def read_recorded(paths: Sequence[Path], *, split: str) -> tuple[list[ModelResult], list[Path]]:
    """Reads the figures of the models that record some.

    Args:
        paths: models of this project.
        split: which figures.

    Returns:
        The figures, and the models without figures of this split.

    Raises:
        ModelError: no model of this project, or a version in another precision.
    """
    known = [path for path in paths if _records(path, split)]
    return [read_result(path, split=split) for path in known], [path for path in paths if path not in known]


def _records(path: Path, split: str) -> bool:
    graph, _ = load_onnx(path)
    return bool(ModelMetadata.from_props(get_metadata(graph), path=str(path), sha256="").metrics.get(split))


def find_models(directory: Path) -> list[Path]:
    """The .onnx files of a directory, without the FP16 and INT8 versions, which repeat the metadata of the FP32 file.

    Raises:
        ModelError: there is none, or one of the files is damaged.
    """
    files = sorted(path for path in directory.glob("*") if path.suffix.lower() == ".onnx")
    found = [path for path in files if not repeats_figures(load_onnx(path)[0])]
    if not found:
        msg = f"there is no model in {directory}; expected .onnx files written by `fer-train export`"
        raise ModelError(msg)
    return found


def results_table(results: Sequence[ModelResult]) -> str:
    """The tables as Markdown; equal models give equal text.

    Args:
        results: of the shipped models, in the order of the rows.
    """
    ours = [
        [
            f"`{result.name}`",
            str(len(result.metadata.labels)),
            "-" if result.parameters is None else f"{result.parameters:,}",
            with_judge(f"{result.figures['n']:,} of {result.figures.get('data', 'the data')}", result.figures),
            f"**{100 * result.figures['accuracy']:.2f} %**",
            _without_repeats(result.figures),
            f"{result.figures['nll']:.3f}",
            f"{result.figures['ece']:.4f} ({result.figures['ece_perfect']:.4f})",
            f"{result.size / 1e6:.2f} MB",
            f"`{result.protocol}`",
            "Apache-2.0",
        ]
        for result in results
    ]
    published = [
        [
            row.model,
            "-" if row.parameters is None else f"{row.parameters:,}",
            f"{row.accuracy:g} %",
            row.measured_on,
            row.source,
        ]
        for row in PUBLISHED
        if row.data_set == "fer2013" and row.accuracy is not None
    ]
    header = [
        "model", "classes", "parameters", "images", "accuracy", "without repeats", "NLL", "ECE (perfect)", "size",
        "protocol", "license",
    ]  # fmt: skip
    return "\n\n".join(
        [
            markdown_table(header, ours),
            "As published, on another split of FER2013:",
            markdown_table(["network", "parameters", "accuracy", "measured on", "source"], published),
            _NOTE,
        ]
    )


def _without_repeats(figures: Mapping[str, Any]) -> str:
    fresh = figures.get("without_training_duplicates")
    return f"{100 * fresh['accuracy']:.2f} % (n {fresh['n']:,})" if fresh else "-"


def result_json(result: ModelResult) -> dict[str, Any]:
    """The same figures for a program."""
    keys = ("data", "n", "accuracy", "without_training_duplicates", "nll", "ece", "ece_perfect", "brier", "ferplus")
    return {
        "model": result.metadata.model_id,
        "file": str(result.file),
        "bytes": result.size,
        "classes": list(result.metadata.labels),
        "parameters": result.parameters,
        "protocol": result.protocol,
        "targets": targets_of(result.figures),
        **{key: result.figures[key] for key in keys if key in result.figures},
    }
