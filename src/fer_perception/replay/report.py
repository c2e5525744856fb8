"""Replay report as one self-contained HTML page: expressions over time, state of the bag and the machine."""

from __future__ import annotations

import base64
import html
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_perception.imaging.encodings import encode_jpeg
from fer_perception.pipeline_types import FaceResult
from fer_perception.replay import report_charts
from fer_perception.replay.replay import ReplayedFrame, ReplayStatistics
from fer_perception.replay.report_charts import Sample
from fer_perception.results.drawing import UNDECIDED, hex_color
from fer_perception.system.result_file import ResultFile

#: At most so many images a face: the first label changes.
MAX_THUMBNAILS = 16
_THUMBNAIL_HEIGHT = 104


@dataclass(frozen=True)
class Thumbnail:
    """A face at the moment its label changed.

    Attributes:
        t: s from the start of the bag.
        emotion: the new label.
        confidence: [0, 1].
        jpeg: the image.
    """

    t: float
    emotion: str
    confidence: float
    jpeg: bytes


@dataclass
class _Face:
    camera: str
    samples: list[Sample] = field(default_factory=list)
    thumbnails: list[Thumbnail] = field(default_factory=list)
    changes: int = 0
    last_emotion: str | None = None


@dataclass
class _Camera:
    last_ns: int
    size: tuple[int, int]
    frames: int = 0
    empty: int = 0
    gaps_ms: list[float] = field(default_factory=list)


class Report:
    """Collects a replay frame by frame and writes the page at the end.

    Args:
        path: of the .html file.
        bag: what is replayed, for the heading.

    Attributes:
        complete: the page is in its place.
    """

    def __init__(self, path: Path, bag: Path) -> None:
        self.complete = False
        self._path = path
        self._bag = bag
        self._start_ns: int | None = None
        self._end_ns = 0
        self._faces: dict[str, _Face] = {}
        self._cameras: dict[str, _Camera] = {}
        self._timings: dict[str, list[float]] = {}
        self._totals_ms: list[float] = []
        self._stages: tuple[str, ...] = ()
        self._labels: tuple[str, ...] = ()
        self._model_id = ""

    def add(self, frame: ReplayedFrame) -> None:
        """Take one frame."""
        result = frame.result
        # Time as recorded: header stamps may begin anew (a bag of a looping bag) or differ between cameras.
        if self._start_ns is None:
            self._start_ns = frame.received_ns
        self._end_ns = max(self._end_ns, frame.received_ns)
        t = (frame.received_ns - self._start_ns) / 1e9
        self._labels, self._model_id = result.labels, result.model_id
        camera = self._cameras.get(result.camera)
        if camera is None:
            camera = _Camera(result.stamp_ns, (result.width, result.height))
            self._cameras[result.camera] = camera
        else:
            camera.gaps_ms.append((result.stamp_ns - camera.last_ns) / 1e6)
        camera.last_ns = result.stamp_ns
        camera.frames += 1
        camera.empty += not result.faces
        for stage, seconds in result.timings.items():
            self._timings.setdefault(stage, []).append(seconds * 1e3)
        self._totals_ms.append(sum(result.timings.values()) * 1e3)
        # A frame without faces leaves stages out; the order of work is that of the fullest frame.
        if len(result.timings) > len(self._stages):
            self._stages = tuple(result.timings)
        for face in result.faces:
            self._add_face(face, t, result.camera, frame.image)

    def _add_face(self, face: FaceResult, t: float, camera: str, image: NDArray[np.uint8]) -> None:
        known = self._faces.setdefault(face.face_id, _Face(camera))
        known.samples.append(
            Sample(t, face.scores, face.emotion, face.confidence, face.phase.value, face.observed, face.valence,
                   face.arousal)
        )  # fmt: skip
        if face.emotion == known.last_emotion or not face.observed:
            return
        known.last_emotion = face.emotion
        known.changes += 1
        if len(known.thumbnails) < MAX_THUMBNAILS:
            known.thumbnails.append(Thumbnail(t, face.emotion, face.confidence, thumbnail(image, face.roi)))

    def write(self, statistics: ReplayStatistics, seconds: float) -> None:
        """Write the page.

        Args:
            statistics: of the replay.
            seconds: how long it took.

        Raises:
            SourceError: the file cannot be written; an earlier one is untouched.
        """
        page = self._page(statistics, seconds)
        with ResultFile(self._path) as file:
            file.write(page)
        self.complete = file.complete

    @property
    def _duration(self) -> float:
        return 0.0 if self._start_ns is None else (self._end_ns - self._start_ns) / 1e9

    def _page(self, statistics: ReplayStatistics, seconds: float) -> str:
        body = [self._heading(statistics), self._tiles(statistics, seconds)]
        if statistics.damage or statistics.interrupted:
            reason = statistics.damage or "The replay was interrupted."
            body.append(f'<p class="warning">{escape(reason)} This page covers the part before.</p>')
        body.append(self._overview())
        body += [self._face_card(face_id, face) for face_id, face in sorted(self._faces.items())]
        body.append(self._tables(statistics))
        body.append(
            "<footer>An expression is what a face shows, not what a person feels. Scores are calibrated probabilities "
            f"of the model {escape(self._model_id or 'unknown')}; times are those of the recording, from the first "
            "frame on.</footer>"
        )
        title = f"Faces in {escape(self._bag.name)}"
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
            '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
            f"<style>{_STYLE}</style></head>\n<body><main>\n" + "\n".join(body) + "\n</main></body></html>\n"
        )

    def _heading(self, statistics: ReplayStatistics) -> str:
        when = ""
        if self._start_ns is not None and self._start_ns > 0:
            moment = datetime.fromtimestamp(self._start_ns / 1e9, tz=timezone.utc)
            when = f"recorded {moment:%Y-%m-%d %H:%M:%S} UTC · "
        cameras = ", ".join(escape(name) for name in sorted({*self._cameras, *statistics.bad})) or "no images"
        return (
            f"<header><h1>{escape(self._bag.name)}</h1><p>{when}{self._duration:.1f} s · {cameras}</p>"
            f"{self._legend()}</header>"
        )

    def _color(self, label: str) -> str:
        return hex_color(label, self._labels)

    def _legend(self) -> str:
        items = "".join(
            f'<li><i style="background:{self._color(label)}"></i>{escape(label)}</li>' for label in self._labels
        )
        return f'<ul class="legend">{items}</ul>'

    def _tiles(self, statistics: ReplayStatistics, seconds: float) -> str:
        frames = sum(statistics.frames.values())
        bad = sum(sum(causes.values()) for causes in statistics.bad.values())
        total = self._totals_ms
        empty = sum(camera.empty for camera in self._cameras.values())
        tiles = [
            (f"{frames}", "frames"),
            (f"{len(self._faces)}", "faces" if len(self._faces) != 1 else "face"),
            (f"{100 * empty / frames:.0f} %" if frames else "–", "of the frames without a face"),
            (f"{np.percentile(total, 50):.1f} ms" if total else "–", "a frame, median"),
            (f"{np.percentile(total, 99):.1f} ms" if total else "–", "a frame, 99th percentile"),
            (f"{frames / seconds:.0f} /s" if seconds > 0 and frames else "–", "frames replayed"),
            (f"{bad}", "unusable frames"),
        ]
        alarm = " alarm" if bad else ""
        cells = "".join(
            f'<div class="tile{alarm if name == "unusable frames" else ""}"><b>{value}</b><span>{name}</span></div>'
            for value, name in tiles
        )
        return f'<section class="tiles">{cells}</section>'

    def _overview(self) -> str:
        if not self._faces:
            return '<section class="card"><h2>Nobody was seen</h2><p>No frame of this bag shows a face.</p></section>'
        rows = [(face_id, face.samples) for face_id, face in sorted(self._faces.items())]
        chart = report_charts.overview(rows, self._labels, self._duration)
        return f'<section class="card"><h2>Who showed what when</h2>{chart}</section>'

    def _face_card(self, face_id: str, face: _Face) -> str:
        samples = face.samples
        shares = Counter(sample.emotion for sample in samples)
        told = "".join(
            f'<li><i style="background:{self._color(name)}"></i>{escape(name or UNDECIDED)} '
            f"<b>{100 * count / len(samples):.0f}%</b></li>"
            for name, count in shares.most_common()
        )
        camera = f" · {escape(face.camera)}" if len(self._cameras) > 1 else ""
        shown = "".join(_figure(item, self._color(item.emotion)) for item in face.thumbnails)
        hidden = face.changes - len(face.thumbnails)
        more = f'<p class="more">and {hidden} more changes</p>' if hidden > 0 else ""
        span = f"{samples[0].t:.1f} to {samples[-1].t:.1f} s{camera}"
        return (
            f'<section class="card"><h2>{escape(face_id)} <small>{span} · {len(samples)} frames</small></h2>'
            f'<ul class="legend shares">{told}</ul><div class="thumbnails">{shown}{more}</div>'
            f"{report_charts.scores(face_id, samples, self._labels, self._duration)}</section>"
        )

    def _tables(self, statistics: ReplayStatistics) -> str:
        order = dict.fromkeys((*self._stages, *self._timings))
        stages = "".join(
            f"<tr><td>{escape(stage)}</td>"
            + "".join(f"<td>{np.percentile(ms, q):.2f}</td>" for q in (50, 90, 99))
            + f"<td>{max(ms):.2f}</td></tr>"
            for stage, ms in [*((stage, self._timings[stage]) for stage in order), ("all stages", self._totals_ms)]
            if ms
        )
        parts = [
            '<section class="card"><h2>Time a frame takes <small>ms</small></h2><table><tr><th>stage</th>'
            f"<th>median</th><th>90 %</th><th>99 %</th><th>longest</th></tr>{stages}</table></section>"
        ]
        rows = "".join(self._camera_row(name, statistics) for name in sorted({*self._cameras, *statistics.bad}))
        parts.append(
            '<section class="card"><h2>Cameras</h2><table><tr><th>topic</th><th>size</th><th>frames</th>'
            f"<th>rate</th><th>longest gap</th><th>unusable</th><th>restarts</th></tr>{rows}</table></section>"
        )
        problems = "".join(
            f"<tr><td>{escape(topic)}</td><td>{escape(cause)}</td><td>{count}</td>"
            f"<td>{escape(statistics.examples.get(cause, ''))}</td></tr>"
            for topic, causes in sorted(statistics.bad.items())
            for cause, count in causes.most_common()
        )
        if problems:
            parts.append(
                '<section class="card"><h2>Unusable frames</h2><table><tr><th>topic</th><th>cause</th><th>frames</th>'
                f'<th class="text">first message</th></tr>{problems}</table></section>'
            )
        return "\n".join(parts)

    def _camera_row(self, name: str, statistics: ReplayStatistics) -> str:
        bad = sum(statistics.bad.get(name, Counter()).values())
        camera = self._cameras.get(name)
        if camera is None:
            return f"<tr><td>{escape(name)}</td><td>–</td><td>0</td><td>–</td><td>–</td><td>{bad}</td><td>0</td></tr>"
        forward = [gap for gap in camera.gaps_ms if gap > 0]
        rate = f"{1000 / float(np.mean(forward)):.1f} Hz" if forward else "–"
        longest = f"{max(forward) / 1e3:.2f} s" if forward else "–"
        return (
            f"<tr><td>{escape(name)}</td><td>{camera.size[0]}×{camera.size[1]}</td><td>{camera.frames}</td>"
            f"<td>{rate}</td><td>{longest}</td><td>{bad}</td><td>{statistics.restarts.get(name, 0)}</td></tr>"
        )


def escape(text: str) -> str:
    """Text of unknown origin (topic names, messages) for HTML, in elements and in quoted attributes."""
    return html.escape(text, quote=True)


def _figure(item: Thumbnail, color: str) -> str:
    image = base64.b64encode(item.jpeg).decode()
    return (
        f'<figure><img alt="face at {item.t:.1f} s" src="data:image/jpeg;base64,{image}" '
        f'style="border-color:{color}">'
        f"<figcaption><b>{escape(item.emotion or UNDECIDED)}</b> {item.confidence:.0%}<br>{item.t:.1f} s</figcaption>"
        "</figure>"
    )


def thumbnail(image: NDArray[np.uint8], roi: tuple[int, int, int, int]) -> bytes:
    """The face with some surroundings as a small JPEG.

    Args:
        image: (H, W, 3) uint8 BGR or (H, W) gray.
        roi: x, y, width, height in pixels.
    """
    x, y, w, h = roi
    side = 1.35 * max(w, h, 1)
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    patch = image[max(top, 0) : max(top, 0) + math.ceil(side), max(left, 0) : max(left, 0) + math.ceil(side)]
    scale = _THUMBNAIL_HEIGHT / patch.shape[0]
    size = (max(1, round(patch.shape[1] * scale)), _THUMBNAIL_HEIGHT)
    small = cv2.resize(patch, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return encode_jpeg(np.asarray(small, dtype=np.uint8), 82)


_STYLE = """
:root{--ground:#f4f5f7;--card:#fff;--text:#1d2129;--dim:#69707d;--line:#e4e7ec;--alarm:#c62f2f}
@media(prefers-color-scheme:dark){:root{--ground:#14161a;--card:#1e2127;--text:#e9ebef;--dim:#98a0ad;--line:#32363f;
--alarm:#ff7b72}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:30px;margin:0;letter-spacing:-.02em}
h2{font-size:18px;margin:0 0 10px}
h2 small,header p,footer,.more{color:var(--dim);font-weight:400;font-size:14px}
header p{margin:4px 0 12px}
h1,h2,header p,footer,td{overflow-wrap:anywhere}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;margin:0;padding:0;font-size:13.5px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
.shares{margin-bottom:12px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:12px;margin:20px 0}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:14px}
.tile{padding:14px 16px}
.tile b{display:block;font-size:24px;letter-spacing:-.02em}
.tile span{color:var(--dim);font-size:13px}
.alarm b{color:var(--alarm)}
.card{padding:18px 20px;margin:0 0 16px;overflow-x:auto}
.warning{background:#fff3cd;color:#5c4300;border-radius:10px;padding:10px 14px}
.thumbnails{display:flex;flex-wrap:wrap;gap:12px;margin-bottom:12px;align-items:end}
figure{margin:0;text-align:center;font-size:12.5px;color:var(--dim)}
figure b{color:var(--text)}
figure img{display:block;height:104px;border-radius:10px;border-bottom:5px solid;margin:0 auto 4px}
.chart{overflow-x:auto}
svg{display:block;width:100%;height:auto}
@media screen{svg{min-width:860px}}
svg text{fill:var(--dim);font-size:11.5px;font-family:inherit}
svg text.name{fill:var(--text);font-weight:600}
svg .grid{stroke:var(--line)}
svg .axis{stroke:var(--dim)}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{color:var(--dim);font-weight:500;font-size:13px}
th,td{text-align:right;padding:5px 8px;white-space:nowrap;border-bottom:1px solid var(--line)}
th:first-child,td:first-child,.text,td:last-child:nth-child(4){text-align:left}
td:last-child:nth-child(4){white-space:normal}
footer{margin-top:20px}
@media print{body{background:none}main{padding:0}.card,.tile,tr,figure,svg{break-inside:avoid}
.card,.chart{overflow:visible}th,td{white-space:normal}
.legend i{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
