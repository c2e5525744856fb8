from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from contrast import contrast
from full_disk import fill_the_disk
from made_results import make_face, make_result

from fer_perception.errors import SourceError
from fer_perception.labels import LABELS, LABELS_WITH_CONTEMPT
from fer_perception.pipeline_types import FaceResult, Phase
from fer_perception.replay.replay import ReplayedFrame, ReplayStatistics
from fer_perception.replay.report import MAX_THUMBNAILS, Report, thumbnail
from fer_perception.replay.report_charts import MAX_POINTS
from fer_perception.replay.summary import SeenFaces
from fer_perception.results.drawing import UNDECIDED, color_of, hex_color

IMAGE = np.random.default_rng(3).integers(0, 255, (480, 640, 3), dtype=np.uint8)
START = 1_700_000_000_000_000_000


class Checker(HTMLParser):
    """Collects text and attributes, and checks that elements are closed in order."""

    VOID = ("meta", "img", "br", "line", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def written(
    tmp_path: Path, frames: list[ReplayedFrame], statistics: ReplayStatistics | None = None
) -> tuple[str, Checker]:
    report = Report(tmp_path / "report.html", Path("evening.mcap"))
    for frame in frames:
        report.add(frame)
    statistics = statistics or ReplayStatistics(frames=Counter({"/camera": len(frames)}))
    report.write(statistics, 2.0)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return page, checker


def shown(faces: Iterable[FaceResult]) -> list[ReplayedFrame]:
    """One face a frame, at 10 Hz."""
    return [
        ReplayedFrame(i, stamp, IMAGE, make_result(face, stamp_ns=stamp))
        for i, face in enumerate(faces)
        for stamp in (START + i * 10**8,)
    ]


def play(
    emotions: list[str], *, face_id: str = "f00001", camera: str = "/camera", step: float = 0.1
) -> list[ReplayedFrame]:
    frames = []
    for index, emotion in enumerate(emotions):
        faces = [make_face(face_id, emotion, (100, 100, 80, 100))] if emotion != "-" else []
        result = make_result(*faces, stamp_ns=START + round(index * step * 1e9), camera=camera)
        frames.append(ReplayedFrame(index, result.stamp_ns, IMAGE, result))
    return frames


def test_one_page_without_requests(tmp_path: Path) -> None:
    page, checker = written(tmp_path, play(["-"] * 5 + ["neutral"] * 10 + ["happy"] * 10))
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "url(" not in page
    for _, name, value in checker.attributes:
        if name in {"src", "href"}:
            assert value.startswith("data:image/jpeg;base64,")


def test_a_thumbnail_at_every_label_change(tmp_path: Path) -> None:
    _, checker = written(tmp_path, play(["neutral"] * 10 + ["happy"] * 10 + ["neutral"] * 5))
    images = [value for tag, name, value in checker.attributes if (tag, name) == ("img", "alt")]
    assert images == ["face at 0.0 s", "face at 1.0 s", "face at 2.0 s"]
    text = " ".join(checker.text)
    assert "evening.mcap" in text
    assert "60%" in text
    assert "40%" in text


def test_many_changes_are_counted_but_not_all_shown(tmp_path: Path) -> None:
    changes = MAX_THUMBNAILS + 7
    _, checker = written(tmp_path, play(["happy" if i % 2 else "sad" for i in range(changes)]))
    assert (
        sum(tag == "figure" or (tag, name) == ("img", "src") for tag, name, _ in checker.attributes) == MAX_THUMBNAILS
    )
    assert "and 7 more changes" in " ".join(checker.text)


def test_scores_are_stacked_to_one(tmp_path: Path) -> None:
    page, _ = written(tmp_path, play(["happy"] * 20))
    polygons = re.findall(r'<polygon points="([^"]+)" fill="([^"]+)"', page)
    assert len(polygons) == 7
    heights = {}
    for points, color in polygons:
        ys = [float(point.split(",")[1]) for point in points.split()]
        heights[color] = max(ys) - min(ys)
    assert sum(heights.values()) == pytest.approx(150.0, abs=1.0)
    assert heights[hex_color("happy")] == pytest.approx(0.9 * 150.0, abs=1.0)


def test_classes_of_other_models_have_their_own_colors(tmp_path: Path) -> None:
    labels = ("drowsy", "awake")
    frames = [
        replace(
            frame,
            result=replace(
                frame.result,
                labels=labels,
                faces=tuple(replace(face, emotion="awake", scores=np.array([0.2, 0.8])) for face in frame.result.faces),
            ),
        )
        for frame in play(["happy"] * 20)
    ]
    page, _ = written(tmp_path, frames)
    stacked = re.findall(r'<polygon [^>]*fill="(#\w+)" [^>]*><title>(\w+)</title>', page)
    assert stacked == [(hex_color(label, labels), label) for label in labels]
    strips = re.findall(r'fill="(#\w+)" fill-opacity="1"><title>awake', page)
    assert strips == [hex_color("awake", labels)] * 2
    # In the legend, in the shares of the face and below its image.
    assert (
        page.count(f"color:{hex_color('awake', labels)}") + page.count(f"background:{hex_color('awake', labels)}") == 3
    )


def test_long_tracks_are_thinned(tmp_path: Path) -> None:
    page, _ = written(tmp_path, play(["happy"] * (3 * MAX_POINTS), step=0.03))
    longest = max(len(points.split()) for points in re.findall(r'points="([^"]+)"', page))
    assert longest == 2 * MAX_POINTS


def test_a_gap_splits_the_chart(tmp_path: Path) -> None:
    page, _ = written(tmp_path, play(["happy"] * 10 + ["-"] * 20 + ["happy"] * 10))
    assert len(re.findall("<polygon", page)) == 14


def test_phases_and_unseen_stretches(tmp_path: Path) -> None:
    faces = [
        make_face("f1", "happy", (9, 9, 50, 50), phase=phase, observed=observed)
        for phase, observed in ((Phase.ONSET, True), (Phase.APEX, True), (Phase.APEX, False))
        for _ in range(10)
    ]
    page, _ = written(tmp_path, shown(faces))
    assert "<title>onset, 0.00 to 1.00 s</title>" in page
    assert "<title>apex, 1.00 to 2.90 s</title>" in page
    assert "<title>not seen, 2.00 to 2.90 s</title>" in page


def test_a_slow_camera_has_pauses_but_no_gaps(tmp_path: Path) -> None:
    page, _ = written(tmp_path, play(["happy"] * 10, step=2.0))
    assert len(re.findall("<polygon", page)) == 7
    assert "<title>happy, 0.00 to 18.00 s</title>" in page
    page, _ = written(tmp_path, play(["happy"] * 10 + ["-"] * 4 + ["happy"] * 10, step=2.0))
    assert len(re.findall("<polygon", page)) == 14


def test_classes_are_told_by_more_than_their_colors(tmp_path: Path) -> None:
    short = {(label or UNDECIDED)[:2] for label in (*LABELS_WITH_CONTEMPT, "")}
    assert len(short) == len(LABELS_WITH_CONTEMPT) + 1
    # Stretches of a fortieth of the chart have no room for a name.
    _, checker = written(tmp_path, play([label for label in LABELS for _ in range(3)] * 8))
    assert {label[:2] for label in LABELS} <= set(checker.text)


def test_every_chart_is_told_in_words(tmp_path: Path) -> None:
    _, checker = written(tmp_path, play(["neutral"] * 10))
    assert [value for tag, name, value in checker.attributes if (tag, name) == ("svg", "aria-label")] == [
        "labels of 1 face over time",
        "scores, label and phase of f00001 over time",
    ]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_on_everything_it_stands_on(tmp_path: Path, scheme: str, label: str) -> None:
    faces = [
        make_face("f1", label, (9, 9, 50, 50), phase=phase, observed=observed)
        for phase in (Phase.NEUTRAL, Phase.ONSET, Phase.APEX, Phase.OFFSET)
        for observed in (True, False)
        for _ in range(20)
    ]
    page, _ = written(tmp_path, shown(faces))
    palettes = re.findall(r":root\{([^}]+)\}", page)
    colors = dict(part.split(":") for part in palettes[scheme == "dark"].replace("\n", "").split(";"))
    card = rgb(colors["--card"])
    for name in ("--text", "--dim", "--alarm"):
        assert contrast(rgb(colors[name]), card) >= 4.5
        assert contrast(rgb(colors[name]), rgb(colors["--ground"])) >= 4.5
    strips = re.findall(
        r'fill="(#\w+)" fill-opacity="([\d.]+)"><title>([a-z ]+),[^<]+</title></rect><text [^>]*style="fill:([^"]+)"',
        page,
    )
    assert {name for _, _, name, _ in strips} >= {label, "onset", "apex", "offset", "neutral", "not seen"}
    for fill, opacity, name, ink in strips:
        grounds = [card]
        if name == "not seen":
            # The veil lies over the curves of the scores.
            grounds = [mixed(np.array(color_of(other)), card, 0.88) for other in LABELS]
        written_in = rgb(colors[ink[4:-1]] if ink.startswith("var(") else ink)
        for ground in grounds:
            assert contrast(written_in, mixed(rgb(fill), ground, float(opacity))) >= 4.5, (fill, name)


def rgb(color: str) -> np.ndarray:
    digits = color.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    return np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)], dtype=float)


def mixed(above: np.ndarray, below: np.ndarray, opacity: float) -> np.ndarray:
    return above * opacity + below * (1 - opacity)


def test_stages_stand_in_the_order_of_work_and_their_sum_last(tmp_path: Path) -> None:
    frames = play(["-"] * 3 + ["happy"] * 3)
    without = [
        replace(frame, result=replace(frame.result, timings={"detect": 0.004, "smooth": 0.001})) for frame in frames[:3]
    ]
    full = [
        replace(frame, result=replace(frame.result, timings={"detect": 0.004, "crop": 0.001, "smooth": 0.001}))
        for frame in frames[3:]
    ]
    page, _ = written(tmp_path, without + full)
    assert re.findall(r"<tr><td>([a-z ]+)</td><td>\d\.\d\d", page) == ["detect", "crop", "smooth", "all stages"]


def test_stamps_that_begin_anew_do_not_bend_time(tmp_path: Path) -> None:
    """A bag recorded from a looping one, from the middle of a loop on."""
    looping = [
        ReplayedFrame(
            i, START + i * 10**8, IMAGE, make_result(make_face("f1", "happy", (9, 9, 50, 50)), stamp_ns=stamp)
        )
        for i in range(20)
        for stamp in (START + (i + 10) % 20 * 10**8,)
    ]
    _, checker = written(tmp_path, looping)
    text = " ".join(checker.text)
    assert "1.9 s" in text
    assert "0.0 to 1.9 s" in text
    seen = SeenFaces()
    for frame in looping:
        seen.add(frame)
    assert seen.seconds("/camera") == pytest.approx(1.9)


def test_unusable_frames_and_cameras(tmp_path: Path) -> None:
    statistics = ReplayStatistics(frames=Counter({"/left": 5, "/right": 5}))
    statistics.count_bad("/right", "truncated", "12 bytes of data, 900 needed")
    statistics.count_bad("/dead", "encoding", "encoding 'mono16' has more than 8 bits")
    frames = play(["happy"] * 5, camera="/left") + play(["sad"] * 5, camera="/right", face_id="f00002")
    _, checker = written(tmp_path, frames, statistics)
    text = " ".join(checker.text)
    for words in ("/left", "/right", "/dead", "truncated", "12 bytes of data", "10.0 Hz", "640×480"):
        assert words in text


def test_text_of_unknown_origin_is_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    statistics = ReplayStatistics(frames=Counter({evil: 3}))
    statistics.count_bad(evil, "corrupt", f'"><img src=x onerror=y>{evil}')
    page, checker = written(tmp_path, play(["happy"] * 3, camera=evil, face_id=evil), statistics)
    assert "<script" not in page
    assert evil in " ".join(checker.text)
    assert not [name for _, name, _ in checker.attributes if name.startswith("on")]


def test_nobody_and_nothing(tmp_path: Path) -> None:
    _, checker = written(tmp_path, play(["-"] * 5))
    assert "Nobody was seen" in checker.text
    _, checker = written(tmp_path, [], ReplayStatistics(damage="the bag ended"))
    assert any("the bag ended" in text for text in checker.text)


def test_an_impossible_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"r\.html cannot be written"):
        Report(tmp_path / "file" / "r.html", Path("bag")).write(ReplayStatistics(), 1.0)


def test_a_full_disk_leaves_the_earlier_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.html"
    path.write_text("earlier")
    fill_the_disk(monkeypatch)
    with pytest.raises(SourceError, match="No space left on device"):
        Report(path, Path("bag")).write(ReplayStatistics(), 1.0)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("r.html", "earlier")]


@pytest.mark.parametrize("roi", [(0, 0, 20, 20), (630, 470, 10, 10), (0, 0, 640, 480), (300, 200, 1, 1)])
def test_thumbnails_of_faces_anywhere(roi: tuple[int, int, int, int]) -> None:
    assert thumbnail(IMAGE, roi).startswith(b"\xff\xd8")
    assert thumbnail(IMAGE[..., 0], roi).startswith(b"\xff\xd8")
