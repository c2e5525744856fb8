"""The table of results says what the model files record, and README shows that table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import pytest

pytest.importorskip("torch", reason="training needs PyTorch (extra [train])")

from typer.testing import CliRunner

from fer_perception.errors import ModelError
from fer_training.cli.app import build_app
from fer_training.report.marked_blocks import replace_block
from fer_training.report.model_card import model_card, read_card_source
from fer_training.report.published import PUBLISHED
from fer_training.report.results_table import BLOCK, find_models, read_recorded, read_result, result_json, results_table


@pytest.fixture(scope="module")
def shipped(repository: Path) -> Path:
    return repository / "models" / "arch1_fer2013.onnx"


def recorded(repository: Path) -> list[Path]:
    """The shipped models whose files record their figures."""
    return [result.file for result in read_recorded(find_models(repository / "models"), split="validation")[0]]


def test_readme_shows_the_shipped_models(repository: Path) -> None:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    found, without = read_recorded(find_models(repository / "models"), split="validation")
    assert [path.stem for path in without] == ["arch1"]
    table = results_table(found)
    assert replace_block(readme, BLOCK, table) == readme, "run: fer-train results --write README.md"


def test_a_row_is_what_the_file_records(shipped: Path) -> None:
    result = read_result(shipped)
    figures = result.figures
    row = next(line for line in results_table([result]).splitlines() if line.startswith("| `arch1_fer2013` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == ["7", "293,951"]
    assert cells[4] == f"**{100 * figures['accuracy']:.2f} %**"
    assert f"{100 * figures['without_training_duplicates']['accuracy']:.2f} %" in cells[5]
    assert cells[6:8] == [f"{figures['nll']:.3f}", f"{figures['ece']:.4f} ({figures['ece_perfect']:.4f})"]
    assert cells[8] == f"{shipped.stat().st_size / 1e6:.2f} MB"


def test_what_is_not_recorded_is_a_dash(shipped: Path) -> None:
    result = read_result(shipped)
    figures = {key: value for key, value in result.figures.items() if key != "without_training_duplicates"}
    row = results_table([replace(result, figures=figures, parameters=None)]).splitlines()[2]
    assert row.split(" | ")[2] == "-"
    assert row.split(" | ")[5] == "-"


def test_every_published_figure_on_fer2013_is_there_and_marked(shipped: Path) -> None:
    ours, _, others = results_table([read_result(shipped)]).partition("As published, on another split")
    assert others
    for row in PUBLISHED:
        if row.data_set == "fer2013" and row.accuracy is not None:
            assert f"| {row.model} |" in others
            assert f"| {row.accuracy:g} % | {row.measured_on} |" in others
            assert row.model not in ours


def test_half_precision_and_int8_files_are_no_models_of_their_own(shipped: Path, tmp_path: Path) -> None:
    for name, source in (("b.ONNX", ""), ("a_int8.onnx", ""), ("c.onnx", "_fp16"), ("quick.onnx", "_int8")):
        copyfile(shipped.with_name(f"arch1_fer2013{source}.onnx"), tmp_path / name)
    (tmp_path / "a.md").touch()
    # What a file is called says nothing of what is in it.
    assert [path.name for path in find_models(tmp_path)] == ["a_int8.onnx", "b.ONNX"]
    for name in ("c.onnx", "quick.onnx"):
        with pytest.raises(ModelError, match="repeats the figures of the FP32 file it was made from"):
            read_result(tmp_path / name)
    with pytest.raises(ModelError, match="no model in"):
        find_models(tmp_path / "nowhere")


def test_a_row_says_where_it_was_judged_by_the_votes(shipped: Path) -> None:
    result = read_result(shipped)
    images = f"{result.figures['n']:,} of fer2013_trainval.npz"
    assert f"| {images} |" in results_table([result])
    assert result_json(result)["targets"] == "labels"
    by_votes = replace(result, figures=result.figures | {"targets": "ferplus_majority"})
    assert f"| {images}, FER+ majority |" in results_table([by_votes])
    assert result_json(by_votes)["targets"] == "ferplus_majority"


def test_a_model_that_records_no_targets_betrays_them(shipped: Path) -> None:
    assert result_json(read_result(shipped.with_name("arch1_ferplus.onnx")))["targets"] == "ferplus_majority"


def test_the_cards_and_the_table_agree(repository: Path) -> None:
    for path in recorded(repository):
        card = path.with_suffix(".md").read_text(encoding="utf-8")
        figures = read_result(path).figures
        fitted = "(two-fold cross-fitted temperature)"
        assert f"| accuracy | {100 * figures['accuracy']:.2f} % |" in card
        assert f"| negative log-likelihood {fitted} | {figures['nll']:.3f} nats |" in card
        assert f"| Brier score {fitted} | {figures['brier']:.3f} |" in card
        assert f"15 bins {fitted} | {figures['ece']:.4f} |" in card
        assert f"\n### {figures['data']}, validation{', FER+ majority' if 'ferplus' in path.stem else ''}\n" in card


def test_the_shipped_cards_are_as_the_command_writes_them(repository: Path) -> None:
    """But for the table of figures, which may come from an evaluation of the file."""
    for path in recorded(repository):
        written = path.with_suffix(".md")
        text = model_card(read_card_source(path, card=written))
        said, shown = (card.split("\n## Figures\n")[0] for card in (written.read_text(encoding="utf-8"), text))
        assert said == shown, f"run: fer-train card --model {path.name}"


def test_a_model_without_the_figures_is_refused(shipped: Path) -> None:
    with pytest.raises(ModelError, match=r"arch1_fer2013\.onnx records no figures of test"):
        read_result(shipped, split="test")


def test_the_command_writes_the_block(shipped: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results: begin -->\n<!-- results: end -->\nafter\n")
    done = CliRunner().invoke(build_app(), ["results", str(shipped), "--write", str(page)])
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert text.startswith("before\n<!-- results: begin -->\n\n| model |")
    assert text.endswith("<!-- results: end -->\nafter\n")
    assert results_table([read_result(shipped)]) in text


def test_json_has_the_exact_figures(shipped: Path) -> None:
    done = CliRunner().invoke(build_app(), ["results", str(shipped), "--json"])
    (row,) = json.loads(done.stdout)
    assert row["accuracy"] == read_result(shipped).figures["accuracy"]
    assert row["bytes"] == shipped.stat().st_size
