"""Model card of a shipped model as Markdown: intended use, figures and limits."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fer_perception.errors import ModelError
from fer_perception.model_files.metadata import FP32_SHA256_KEY, PRECISION_KEY, ModelMetadata
from fer_perception.system.files import parse_yaml
from fer_training import architectures
from fer_training.evaluation.data import judged_by, targets_of, with_judge
from fer_training.onnx_file import get_metadata, load_onnx, onnx_sha256, repeats_figures

#: Keys an evaluation must have to be shown.
_NEEDED = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "nll",
    "ece",
    "ece_perfect",
    "brier",
    "per_class",
    "confusion",
    "n",
    "labels",
)

#: Keys of figures on images that the temperature was fitted on.
_FITTED_HERE = frozenset({"temperatures", "ece_before_calibration"})


@dataclass(frozen=True)
class CardSource:
    """Everything a card is made of.

    Attributes:
        metadata: of the model file, with its hash.
        file: name of the model file.
        size: of the file, bytes.
        graph_values: numbers in the graph's weights, whatever their precision (batch norms folded).
        evaluations: title -> figures as from `evaluate_output`.
        crop_image: link to the image of the crop alignment, relative to the card; "" for none.
        version: precision and origin of an FP16 or INT8 version, as Markdown; "" for the FP32 file.
    """

    metadata: ModelMetadata
    file: str
    size: int
    graph_values: int
    evaluations: dict[str, dict[str, Any]] = field(default_factory=dict)
    crop_image: str = ""
    version: str = ""


def read_card_source(
    model: Path, *, card: Path, evaluations: Sequence[Path] = (), crop_image: Path | None = None
) -> CardSource:
    """Gather what a card is made of.

    Args:
        model: the ONNX file.
        card: where the card will lie; links are relative to it.
        evaluations: files of `fer-train evaluate --json`; none: the figures recorded in the model.
        crop_image: image of the crop alignment.

    Raises:
        ModelError: not a model of this project, no figures, an evaluation that is damaged or of another model, or two
            of the same data set, split and targets.
    """
    graph, data = load_onnx(model)
    props = get_metadata(graph)
    metadata = ModelMetadata.from_props(props, path=str(model), sha256=onnx_sha256(data))
    figures: dict[str, dict[str, Any]] = {}
    for path in evaluations:
        measured = _read_evaluation(path, metadata)
        title = _title(measured, measured.get("split", "unknown split"))
        if title in figures:
            msg = f"{path} is a second evaluation on {title}; name one of each data set, split and targets"
            raise ModelError(msg)
        figures[title] = _before_calibration(metadata, measured) | measured
    if not evaluations and repeats_figures(graph):
        msg = f"{model} records the figures of the FP32 file it was made from; name its own with --evaluation"
        raise ModelError(msg)
    if not evaluations:
        recorded = {split: value for split, value in metadata.metrics.items() if _complete(value)}
        figures = {_title(value, split): value for split, value in recorded.items()}
    if not figures:
        msg = f"{model} records no figures; evaluate it with `fer-train evaluate --json FILE` and name FILE here"
        raise ModelError(msg)
    link = "" if crop_image is None else Path(os.path.relpath(crop_image, card.parent)).as_posix()
    return CardSource(
        metadata=metadata,
        file=model.name,
        size=len(data),
        graph_values=_graph_values(graph),
        evaluations=figures,
        crop_image=link,
        version=_version(props) if repeats_figures(graph) else "",
    )


def model_card(source: CardSource) -> str:
    """The card as Markdown; the same source gives the same text."""
    metadata = source.metadata
    channels, height, width = metadata.input_shape
    recipe = parse_recipe(metadata)
    parts = [
        f"# {metadata.name}",
        "Written by `fer-train card` from the model file and its evaluation; do not edit by hand.",
        "Facial expressions of one aligned face crop, as probabilities of "
        f"{len(metadata.labels)} classes: {', '.join(metadata.labels)}.",
        "## The file",
        markdown_table(
            ["property", "value"],
            [
                ["file", f"`{source.file}`, {source.size / 1e6:.2f} MB"],
                ["SHA-256", f"`{metadata.sha256}`"],
                ["network", _network(metadata, recipe, source.graph_values)],
                *([["precision", source.version]] if source.version else []),
                ["format", "ONNX opset 17, IR version 8, one file"],
                ["input", f"`images`, float32 (N, {channels}, {height}, {width}), raw gray values 0 to 255, any N"],
                ["output", f"`probabilities`, float32 (N, {len(metadata.labels)}), rows sum to 1"],
                ["inside the graph", f"{metadata.normalization}, softmax at temperature {metadata.temperature:.4f}"],
                ["class prior", _prior(metadata)],
                ["license", "Apache-2.0 (the weights; the training data has its own terms, see below)"],
                ["source commit", f"`{metadata.source_commit or 'unknown'}`"],
            ],
        ),
        "## Intended use",
        textwrap.fill(f"{_INTENDED} {_calibration(source.evaluations)}", 120, break_on_hyphens=False),
        "## Limits",
        "\n".join(
            filter(
                None,
                [
                    _limits(metadata),
                    _VOTES_LIMIT if _fitted_on_votes(metadata) else "",
                    _FER2013_LIMITS if _is_fer2013(recipe) else "",
                ],
            )
        ),
        "## Figures",
        *(_evaluation(title, figures) for title, figures in source.evaluations.items()),
        "## Crops",
        _crops(metadata, source.crop_image),
        "## Training",
        _training(metadata, recipe, source.evaluations),
    ]
    return "\n\n".join(parts) + "\n"


def _prior(metadata: ModelMetadata) -> str:
    """The class prior that the probabilities are made under."""
    if not metadata.class_prior:
        return "not stated; taken as uniform"
    shares = ", ".join(f"{k} {100 * v:.1f} %" for k, v in zip(metadata.labels, metadata.class_prior, strict=True))
    return f"{shares}: the class frequencies under which the probabilities as shipped are posteriors"


_INTENDED = """\
A robot or virtual agent that talks to people reads from it how a face in front of it looks, as one uncertain hint among
others: to mirror a smile, to notice a puzzled or annoyed look and ask."""

_VOTES_LIMIT = """\
- **Faces that people disagree about.** The temperature was fitted on images with a majority of the votes; on others
  the answers are too sure."""

_LIMITS = """\
- **An expression is not a feeling.** People smile without joy and are sad without showing it; what a face means depends
  on the situation, the person and the culture. The classes are names that annotators gave to images.
- **No decisions about people.** Not for hiring, schooling, policing, insurance, health, credit, or judging honesty or
  attention. In the European Union emotion recognition at work and in schools is prohibited with few exceptions
  (Regulation (EU) 2024/1689, Article 5).
- **Conditions.** Trained on {width}x{height} gray crops; profile views, faces below about {small} pixels, motion blur
  and strong back-light are out of its range. `Emotion.quality` says how far a crop can be trusted.
- **Calibration holds for images like the validation set.** In another setting confidences may be too high."""


_FER2013_LIMITS = """\
- **Label noise.** FER2013 was collected by web search for emotion words; its authors measured people at about 65 %
  agreement with its labels (Goodfellow et al. 2013), so no model can agree with all of them. The FER+ figures below,
  where given, are from ten annotators.
- **Bias.** Images from a web search do not represent everybody: the data says nothing about age, skin tone, gender,
  head scarves, glasses or masks, and nothing here measures for whom the model does worse. Test it on the people who
  will stand in front of your robot.
- **Rare classes.** `disgusted` has few examples in training and validation; see its row below before relying on it."""


def _calibration(evaluations: Mapping[str, Mapping[str, Any]]) -> str:
    """Reliability of the probabilities, where it was measured on images that were not trained on."""
    for title, figures in evaluations.items():
        pooled = figures.get("cross_fit", figures)
        if ("cross_fit" in figures or "temperatures" in figures) and _held_out(figures):
            return (
                f"On {title} the confidence and the share of right answers differ by {100 * pooled['ece']:.1f} points "
                f"on average ({100 * pooled['ece_perfect']:.1f} for a perfectly calibrated model): a dialogue manager "
                "can weigh the probabilities."
            )
    return "How far the probabilities can be trusted was not measured (`fer-train export --calibrate`)."


def _held_out(figures: Mapping[str, Any]) -> bool:
    """By the images that the model says it was trained on; where it does not say, by the data set's own split."""
    seen = figures.get("trained_images")
    return figures.get("split") in {"validation", "test"} if seen is None else seen == 0


def _trained_on(figures: Mapping[str, Any]) -> str:
    if "trained_images" not in figures:
        return ""
    count = figures["trained_images"]
    if count is None:
        return "Which of these images it was trained on the model does not say. "
    before = " It began with weights that were trained on unknown images." if _began_before(figures) else ""
    if count:
        return f"**{count} of these images were trained on: these are no figures of held-out images.**{before} "
    return f"None of these images was trained on.{before} "


def _began_before(figures: Mapping[str, Any]) -> bool:
    return figures.get("trained_images_known") == "some"


def _evaluation(title: str, figures: Mapping[str, Any]) -> str:
    # Figures of the temperature fitted on these very images would flatter: show the cross-fitted ones if there are.
    pooled = figures.get("cross_fit", figures)
    cross_fitted = "cross_fit" in figures or "temperatures" in figures
    fitted = "two-fold cross-fitted temperature" if cross_fitted else "as shipped"
    rows = [
        ["images", str(figures["n"])],
        ["accuracy", _percent(figures["accuracy"])],
        ["balanced accuracy", _percent(figures["balanced_accuracy"])],
        ["macro F1", f"{figures['macro_f1']:.3f}"],
        [f"negative log-likelihood ({fitted})", f"{pooled['nll']:.3f} nats"],
        [f"Brier score ({fitted})", f"{pooled['brier']:.3f}"],
        [f"expected calibration error, 15 bins ({fitted})", f"{pooled['ece']:.4f}"],
        ["the same of a perfectly calibrated model", f"{pooled['ece_perfect']:.4f}"],
    ]
    if "ece_before_calibration" in figures:
        rows.append(["the same before calibration", f"{figures['ece_before_calibration']:.4f}"])
    if "without_training_duplicates" in figures:
        fresh = figures["without_training_duplicates"]
        copies = figures["training_duplicates"]
        rows.append(
            [f"accuracy without the {copies} images that the raw training set repeats", _percent(fresh["accuracy"])]
        )
    ferplus = figures.get("ferplus") or {}
    if ferplus.get("agreement") is not None:
        rows.append([f"agreement with the FER+ majority ({ferplus['n']} images)", _percent(ferplus["agreement"])])
        rows.append(["KL divergence from the FER+ votes (temperature as shipped)", f"{ferplus['kl']:.3f} nats"])
    # The metadata's JSON has sorted keys, so the order of classes comes from the list.
    names = figures["labels"]
    classes = [
        [name, _share(row["precision"]), _share(row["recall"]), _share(row["f1"]), str(row["support"])]
        for name, row in ((name, figures["per_class"][name]) for name in names)
    ]
    confusion = [[name, *map(str, row)] for name, row in zip(names, figures["confusion"], strict=True)]
    protocol = figures.get("protocol", "unknown")
    judge = judged_by(figures)
    judged = f" Judged by the {judge} of ten votes, not by the data set's own labels." if judge else ""
    return "\n\n".join(
        [
            f"### {title}",
            f"{_trained_on(figures)}One crop, no test-time augmentation. Protocol of training: `{protocol}`.{judged}",
            markdown_table(["figure", "value"], rows),
            markdown_table(["class", "precision", "recall", "F1", "images"], classes),
            "Confusions: rows are the labels, columns what the model said.",
            markdown_table(["label", *names], confusion),
        ]
    )


def _crops(metadata: ModelMetadata, image: str) -> str:
    points = ("right eye", "left eye", "nose", "right mouth corner", "left mouth corner")
    rows = [[name, f"{x:.1f}", f"{y:.1f}"] for name, (x, y) in zip(points, metadata.landmark_template, strict=True)]
    text = (
        "The model expects faces aligned like its training images: a similarity transform brings the five "
        "landmarks as near as possible to these places in the crop (pixels; right and left are the person's own)."
    )
    parts = [text, markdown_table(["landmark", "x", "y"], rows)]
    if image:
        parts.append(f"![Faces before and after alignment]({image})")
    return "\n\n".join(parts)


def _training(metadata: ModelMetadata, recipe: Mapping[str, Any], evaluations: Mapping[str, Mapping[str, Any]]) -> str:
    data = (
        "FER2013 (Goodfellow et al. 2013), Training split"
        if _is_fer2013(recipe)
        else f"`{recipe.get('data', 'unknown')}`"
    )
    clean = "; protocol `clean`: images that also occur in validation are left out of training"
    parts = [
        f"Data: {data}{clean if recipe.get('protocol') == 'clean' else ''}. The images are not part of this "
        "repository. Where the recipe uses FER+ votes: Barsoum et al. 2016, MIT license."
    ]
    fitted = {figures.get("split") for figures in evaluations.values() if figures.keys() & _FITTED_HERE}
    if "validation" in fitted:
        parts.append(
            "The validation split also fitted the temperature (and chose the recipe, where several were compared on "
            "it), so expect slightly less on new images."
        )
    if metadata.recipe:
        parts.append(f"The resolved recipe:\n\n```yaml\n{metadata.recipe.strip()}\n```")
    return "\n\n".join(parts)


def parameter_count(metadata: ModelMetadata) -> int | None:
    """Parameters of the network as trained, running statistics included; None where the recipe names none of ours."""
    name = parse_recipe(metadata).get("architecture")
    if name not in architectures.names():
        return None
    channels, side, _ = metadata.input_shape
    network = architectures.create(str(name), in_channels=channels, input_size=side, num_classes=len(metadata.labels))
    return sum(p.numel() for p in network.parameters()) + sum(
        buffer.numel() for key, buffer in network.named_buffers() if key.endswith(("running_mean", "running_var"))
    )


def _network(metadata: ModelMetadata, recipe: Mapping[str, Any], graph_values: int) -> str:
    total = parameter_count(metadata)
    if total is None:
        return f"{graph_values:,} weights in the graph"
    return f"{recipe['architecture']}, {total:,} parameters ({graph_values:,} after folding the batch norms)"


def _is_fer2013(recipe: Mapping[str, Any]) -> bool:
    return "fer2013" in str(recipe.get("data", ""))


def parse_recipe(metadata: ModelMetadata) -> Mapping[str, Any]:
    """The recipe a model was trained with; empty where it records none."""
    try:
        parsed = parse_yaml(metadata.recipe)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _read_evaluation(path: Path, metadata: ModelMetadata) -> dict[str, Any]:
    try:
        figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as err:
        msg = f"cannot read the evaluation {path} ({err}); write it with `fer-train evaluate --json`"
        raise ModelError(msg) from err
    if not _complete(figures):
        msg = f"{path} is not an evaluation; expected {', '.join(_NEEDED)}; write it with `fer-train evaluate --json`"
        raise ModelError(msg)
    if figures.get("model_sha256") != metadata.sha256:
        msg = f"{path} is of another model file than {metadata.model_id}; evaluate this one again"
        raise ModelError(msg)
    return figures


def _before_calibration(metadata: ModelMetadata, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures recorded by the export that an evaluation of the exported file cannot give."""
    recorded = metadata.metrics.get(str(figures.get("split")))
    if not isinstance(recorded, dict) or "ece_before_calibration" not in recorded:
        return {}
    same = (recorded.get("n"), targets_of(recorded)) == (figures.get("n"), targets_of(figures))
    return {"ece_before_calibration": recorded["ece_before_calibration"]} if same else {}


def _title(figures: Mapping[str, Any], split: str) -> str:
    return with_judge(f"{figures.get('data', 'the data')}, {split}", figures)


def _complete(figures: object) -> bool:
    return isinstance(figures, dict) and all(key in figures for key in _NEEDED)


def _version(props: Mapping[str, str]) -> str:
    # Older INT8 files name neither.
    return f"{props.get(PRECISION_KEY, 'int8')}, made from the FP32 file `{props.get(FP32_SHA256_KEY, 'unknown')}`"


def _graph_values(model: onnx.ModelProto) -> int:
    """Numbers in the weights: not the shapes and indices (int64), nor the scales and zero points of quantization."""
    kinds = onnx.TensorProto
    weights = {kinds.FLOAT, kinds.FLOAT16, kinds.INT8, kinds.UINT8, kinds.INT32}
    quantization = {
        name
        for node in model.graph.node
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}
        for name in node.input[1:]
    }
    return sum(
        int(np.prod(tensor.dims))
        for tensor in model.graph.initializer
        if tensor.data_type in weights and tensor.name not in quantization
    )


def _limits(metadata: ModelMetadata) -> str:
    _, height, width = metadata.input_shape
    # A face of half the crop's side is enlarged to twice its size.
    return _LIMITS.format(width=width, height=height, small=height // 2)


def _fitted_on_votes(metadata: ModelMetadata) -> bool:
    return any(judged_by(figures) for figures in metadata.metrics.values() if isinstance(figures, dict))


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of finished cells."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
