"""Compares models by what a robot needs: few false alarms on neutral faces, names that people agree with.

    python benchmarks/real_faces.py MODEL... --data fer2013_trainval.npz [--ck CK+48] [--json FILE]

A MODEL is a name or file (`arch1_ferplus`), divided by a prior of the training images (`arch1_ferplus@votes`), or the
mean of several (`mix:arch1_fer2013+arch1_ferplus@mean^0.6`). Prints one table, a column for each model; `--json` has
everything. Truth are the ten FER+ votes of the validation images; CK+48 is a test that trains and tunes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_perception.detection.yunet_ort import OrtYunet
from fer_perception.errors import FerError, ModelError
from fer_perception.labels import LABELS
from fer_perception.model_files.store import ModelStore
from fer_perception.system.files import write_atomically
from fer_training.evaluation.model_specs import parse_model_spec
from fer_training.evaluation.real_faces import load_posed_faces, load_voted_faces, measure_models


def say(line: str) -> None:
    """Progress goes to stderr."""
    print(line, file=sys.stderr)


def percent(value: float | None, digits: int = 1) -> str:
    """For example "89.5"; "-" where there is none."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def with_interval(value: float | None, around: Sequence[float] | None) -> str:
    """For example "89.5 [88.1, 90.7]"."""
    return percent(value) if around is None else f"{percent(value)} [{percent(around[0])}, {percent(around[1])}]"


def recall(figures: dict[str, Any]) -> str:
    """For example "69 ± 11"."""
    return (
        "-" if figures["recall"] is None else f"{100 * figures['recall']:.0f} ± {100 * figures['standard_error']:.0f}"
    )


def signed(value: float | None) -> str:
    """For example "-16"."""
    return "-" if value is None else f"{100 * value:+.0f}"


def cells(model: dict[str, Any], measured: dict[str, Any]) -> dict[str, str]:
    """Rows of one model's column by their titles."""
    majority, shares, posed, again = (model[key] for key in ("majority", "shares", "posed", "found_again"))
    curve = majority["operating_curve"]
    shipped = curve["as_shipped"]
    rows = {
        f"accuracy, majority of ten ({majority['n']})": with_interval(
            majority["accuracy"], majority["accuracy_interval"]
        ),
        "balanced accuracy": with_interval(majority["balanced_accuracy"], majority["balanced_accuracy_interval"]),
        "accuracy weighted by votes": percent(majority["vote_weighted_accuracy"]),
        f"neutral called negative ({curve['neutral']})": with_interval(
            shipped["neutral_called_negative"], shipped["neutral_called_negative_interval"]
        ),
        f"negatives named rightly ({curve['negative']})": with_interval(
            shipped["negatives_named_rightly"], shipped["negatives_named_rightly_interval"]
        ),
    }
    for reading in curve["read_at"]:
        title = f"**the same at {100 * reading['false_alarms']:.0f} % false alarms**"
        rows[title] = with_interval(reading["negatives_named_rightly"], reading["interval"])
    for name in LABELS:
        rows[f"recall of {name} ({majority['recall'][name]['count']})"] = recall(majority["recall"][name])
    rows[f"NLL of the vote shares, nats ({shares['n']})"] = f"{shares['nll']:.3f}"
    rows["calibration slope"] = f"{shares['calibration_slope']:.2f}"
    rows["ECE of the vote shares"] = with_interval(shares["ece"], shares["ece_interval"])
    rows["the same of a perfectly calibrated model"] = percent(shares["ece_perfect"])
    rows["votes that agree with the answer"] = percent(shares["agreement"])
    if posed is not None:
        for key, title in (("seven_way", "seven-way"), ("six_way", "six-way")):
            rows[f"{measured['posed']} {title} ({posed['n']} images)"] = with_interval(
                posed[key], posed[f"{key}_interval"]
            )
    if again is not None:
        found = again["majority"]
        rows[f"found and aligned again ({found['n']}): accuracy"] = percent(found["accuracy"])
        rows["found again: the same images as they are"] = percent(again["as_they_are"]["accuracy"])
        rows["found again: balanced accuracy"] = percent(found["balanced_accuracy"])
        shipped = found["operating_curve"]["as_shipped"]
        rows["found again: neutral called negative"] = percent(shipped["neutral_called_negative"])
        for reading in found["operating_curve"]["read_at"]:
            title = f"found again: negatives named rightly at {100 * reading['false_alarms']:.0f} % false alarms"
            rows[title] = percent(reading["negatives_named_rightly"])
        if again["posed"] is not None:
            both = [percent(again["posed"][key]) for key in ("seven_way", "six_way")]
            rows[f"found again: {measured['posed']} seven-way / six-way ({again['posed']['n']})"] = " / ".join(both)
    for key, title in (("trainable", "may be trained on"), ("never_trained", "never trained on")):
        change = model[key]
        if change["worst_name"] is None:
            continue
        rows[f"spoiled, {title}: accuracy relative to clean, mean / worst, %"] = (
            f"{signed(change['mean'])} / {signed(change['worst'])} ({change['worst_name']})"
        )
    for name, figures in model["corruptions"].items():
        title = f"{name} ({measured['corruptions'][name]['strength']}): relative / neutral called negative"
        rows[title] = f"{signed(figures['relative'])} / {percent(figures['neutral_called_negative'], 0)}"
    for side, figures in model["face_sizes"].items():
        rows[f"faces of {side} pixels: neutral called negative / negatives named rightly"] = (
            f"{percent(figures['neutral_called_negative'], 0)} / {percent(figures['negatives_named_rightly'], 0)}"
        )
    return rows


def table(measured: dict[str, Any]) -> str:
    """The Markdown table: a column for each model."""
    columns = [cells(model, measured) for model in measured["models"]]
    lines = [f"| % | {' | '.join(model['model'] for model in measured['models'])} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {title} | {' | '.join(column[title] for column in columns)} |" for title in columns[0]]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and measure."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="NAME, FILE, MODEL@PRIOR^POWER or mix:A+B@PRIOR^POWER"
    )
    parser.add_argument(
        "--data", type=Path, default=beside / "fer2013_trainval.npz", help="validation images with FER+ votes"
    )
    parser.add_argument("--ck", type=Path, help="folder of CK+48; default: beside --data, if it is there")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--limit", type=int, default=0, help="at most so many images of each data set; 0 = all")
    parser.add_argument("--quick", action="store_true", help="no spoiled images, no faces found again")
    parser.add_argument("--draws", type=int, default=1000, help="resampled sets for the intervals")
    arguments = parser.parse_args()
    try:
        specs = [parse_model_spec(text) for text in arguments.models]
        voted = load_voted_faces(arguments.data, limit=arguments.limit, draws=arguments.draws)
        folder = arguments.ck or arguments.data.parent / "CK+48"
        posed = None
        if arguments.ck or folder.is_dir():
            posed = load_posed_faces(folder, limit=arguments.limit, draws=arguments.draws)
        else:
            say(f"there is no {folder}: no figures of posed faces")
        detector = None
        if not arguments.quick:
            try:
                detector = OrtYunet(ModelStore().read("yunet"), threads=2)
            except ModelError as err:
                say(f"no figures of faces found again: {err}")
        measured = measure_models(
            specs, voted, posed=posed, detector=detector, spoiled=not arguments.quick, progress=say
        )
    except FerError as err:
        say(f"error: {err}")
        raise SystemExit(1) from None
    print(table(measured))
    if arguments.json is not None:
        write_atomically(arguments.json, json.dumps(measured, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
