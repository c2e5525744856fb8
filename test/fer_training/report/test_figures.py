"""Images of results hold what they are given."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from contrast import contrast
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fer_perception.errors import SourceError
from fer_training.report.figures import (
    confusion_figure,
    confusion_png,
    per_class_figure,
    png_bytes,
    reliability_figure,
    training_curves,
)

CONFUSION = [[8, 2], [1, 9]]
RELIABILITY = {"confidence": [None, 0.4, 0.9], "accuracy": [None, 0.5, 0.8], "count": [0, 10, 30]}


def test_confusion_cells_show_counts_and_shares() -> None:
    axes = confusion_figure(CONFUSION, ["happy", "sad"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["8\n80%", "2\n20%", "1\n10%", "9\n90%"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["happy", "sad"]


def test_a_class_without_images_does_not_break_the_confusion_matrix() -> None:
    axes = confusion_figure([[3, 0], [0, 0]], ["happy", "sad"]).axes[0]
    assert axes.texts[3].get_text() == "0\n0%"


def test_reliability_leaves_empty_bins_out() -> None:
    above, below = reliability_figure(RELIABILITY).axes
    confidence, accuracy = above.lines[1].get_data()
    assert np.array_equal(confidence, [0.4, 0.9])
    assert np.array_equal(accuracy, [0.5, 0.8])
    assert [bar.get_height() for bar in below.patches] == [0, 10, 30]


def test_cells_are_legible_whatever_their_shade() -> None:
    confusion = [[share, 100 - share] + [0] * 49 for share in range(0, 101, 2)]
    axes = confusion_figure(confusion, [str(i) for i in range(51)]).axes[0]
    shades = axes.images[0]
    for text in axes.texts:
        column, row = text.get_position()
        cell = 255 * np.array(shades.to_rgba(shades.get_array())[int(row), int(column), :3])
        assert contrast({"white": (255, 255, 255), "black": (0, 0, 0)}[text.get_color()], cell) >= 4.5


def test_one_image_is_no_proof_of_calibration() -> None:
    certain = {"confidence": [None, 0.5, 0.9], "accuracy": [None, 0.0, 1.0], "count": [0, 1, 1]}
    above, _ = reliability_figure(certain).axes
    bars = [segment[:, 1] for segment in above.collections[0].get_segments()]
    assert bars[0] == pytest.approx([0.0, 0.793], abs=0.001)
    assert bars[1] == pytest.approx([0.207, 1.0], abs=0.001)


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("title", ["arch1_fer2013 on fer2013_trainval.npz, validation, FER+ majority", "n" * 90])
def test_titles_are_not_cut(classes: int, title: str) -> None:
    names = [f"class {i}" for i in range(classes)]
    for figure in (
        confusion_figure(np.eye(classes, dtype=int).tolist(), names, title=title),
        reliability_figure(RELIABILITY, title=title),
    ):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        box = figure._suptitle.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert figure._suptitle.get_text().replace("\n", "").replace(" ", "") == title.replace(" ", "")


def test_the_legend_of_the_classes_covers_no_bar() -> None:
    perfect = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 4}
    figure = per_class_figure({"happy": perfect, "sad": perfect})
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    legend = axes.get_legend().get_window_extent()
    assert not any(legend.overlaps(bar.get_window_extent()) for bar in axes.patches)
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width


def test_per_class_bars() -> None:
    row = {"precision": 0.5, "recall": None, "f1": 0.25, "support": 4}
    axes = per_class_figure({"happy": row}).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.0, 0.25]


def test_long_names_of_classes_do_not_overlap() -> None:
    row = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 1234}
    names = ["disgustedly surprised", "fearfully disgusted", "angrily surprised", "happy"]
    figure = per_class_figure(dict.fromkeys(names, row))
    FigureCanvasAgg(figure).draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_class_name_is_no_formula(tmp_path: Path) -> None:
    confusion_png(CONFUSION, [r"$\none$", "$a$"], tmp_path / "confusion.png")
    row = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 4}
    png_bytes(per_class_figure({r"$\none$": row}))


def test_letters_that_the_font_lacks_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    confusion_png(CONFUSION, ["\U00012000\U00012001", "\U00012002"], tmp_path / "confusion.png")
    (record,) = caplog.records
    assert "lacks letters of the class names" in record.message


def test_png_files_are_images_and_repeatable(tmp_path: Path) -> None:
    file = tmp_path / "a" / "confusion.png"
    confusion_png(CONFUSION, ["happy", "sad"], file, title="validation")
    first = file.read_bytes()
    confusion_png(CONFUSION, ["happy", "sad"], file, title="validation")
    assert file.read_bytes() == first
    reliability = png_bytes(reliability_figure(RELIABILITY))
    assert png_bytes(reliability_figure(RELIABILITY)) == reliability
    for png in (first, reliability):
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.std() > 5


def test_training_curves_from_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text(
        "epoch,step,train_loss,validation_loss,validation_accuracy\n"
        "0,10,2.0,,\n0,20,1.0,,\n0,20,,1.8,0.3\n1,30,0.9,,\n1,40,,1.2,0.5\n"
    )
    drawn = []
    monkeypatch.setattr("fer_training.report.figures._save", lambda figure, png: drawn.append(figure))
    training_curves(log, tmp_path / "curves.png")
    loss, accuracy = drawn[0].axes
    lines = {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in (*loss.lines, *accuracy.lines)
    }
    assert lines == {
        "train_loss": ([0.0, 1.0], [1.5, 0.9]),
        "validation_loss": ([0.0, 1.0], [1.8, 1.2]),
        "validation_accuracy": ([0.0, 1.0], [0.3, 0.5]),
    }


def test_a_single_epoch_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("epoch,train_loss,train_accuracy\n0,2.0,0.5\n")
    drawn = []
    monkeypatch.setattr("fer_training.report.figures._save", lambda figure, png: drawn.append(figure))
    training_curves(log, tmp_path / "curves.png")
    FigureCanvasAgg(drawn[0]).draw()
    for axes in drawn[0].axes:
        assert axes.lines[0].get_marker() == "o"
        left, right = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if left <= tick <= right] == [0.0]


def test_training_curves_are_written(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("epoch,train_loss\n0,2.0\n1,1.0\n")
    training_curves(log, tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")).std() > 5


@pytest.mark.parametrize("content", [None, "", "step,other\n1,2\n", "epoch,step\n1,2\n"])
def test_a_log_without_curves_is_refused(tmp_path: Path, content: str | None) -> None:
    log = tmp_path / "metrics.csv"
    if content is not None:
        log.write_text(content)
    with pytest.raises(SourceError, match=r"metrics\.csv"):
        training_curves(log, tmp_path / "curves.png")
