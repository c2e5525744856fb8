from __future__ import annotations

import functools
import http.server
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_perception.errors import SourceError
from fer_perception.imaging.image_files import read_image
from fer_perception.imaging.sources import Reconnection, natural_key, open_media, public_address


def made_image(width: int = 64, height: int = 48) -> np.ndarray:
    """A gradient whose red side is at the left and whose blue side is at the top."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 2] = np.linspace(255, 0, width)[None, :]
    image[..., 0] = np.linspace(255, 0, height)[:, None]
    return image


def write_video(path: Path, frames: int, *, rate: float = 25.0, codec: str = "mp4v") -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 8 * index % 256, np.uint8))
    writer.release()


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Insert an EXIF block with the orientation tag (0x0112) after the start marker."""
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


class TestImages:
    def test_one_image_is_one_still(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), made_image())
        with open_media(str(tmp_path / "a.png")) as media:
            items = list(media)
        assert media.kind == "image"
        assert [(item.index, item.name, item.frame.still, item.frame.stamp_ns) for item in items] == [
            (0, "a.png", True, 0)
        ]
        np.testing.assert_array_equal(items[0].frame.image, made_image())

    def test_exif_rotation_is_applied(self, tmp_path: Path) -> None:
        ok, jpeg = cv2.imencode(".jpg", made_image())
        assert ok
        path = tmp_path / "turned.jpg"
        # 6: the row 0 is the right side, so the image has to be turned by 90 degrees clockwise.
        path.write_bytes(with_orientation(jpeg.tobytes(), 6))
        image = read_image(path)
        assert image.shape == (64, 48, 3)
        expected = cv2.rotate(made_image(), cv2.ROTATE_90_CLOCKWISE)
        assert np.abs(image.astype(int) - expected).mean() < 6

    def test_exif_rotation_of_a_png(self, tmp_path: Path) -> None:
        ok, png = cv2.imencode(".png", made_image())
        assert ok
        body = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
        chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
        # The header chunk ends after 8 + 25 bytes.
        (tmp_path / "a.png").write_bytes(png.tobytes()[:33] + chunk + png.tobytes()[33:])
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), cv2.rotate(made_image(), cv2.ROTATE_90_CLOCKWISE))

    def test_alpha_and_sixteen_bits_are_reduced(self, tmp_path: Path) -> None:
        opaque = np.dstack([made_image(), np.full((48, 64), 255, np.uint8)])
        cv2.imwrite(str(tmp_path / "alpha.png"), opaque)
        np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), made_image())
        cv2.imwrite(str(tmp_path / "deep.png"), made_image().astype(np.uint16) * 257)
        np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), made_image())

    def test_gray_is_two_or_three_dimensional_uint8(self, tmp_path: Path) -> None:
        gray = made_image()[..., 2]
        cv2.imwrite(str(tmp_path / "gray.png"), gray)
        image = read_image(tmp_path / "gray.png")
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image if image.ndim == 2 else image[..., 0], gray)

    @pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tiff", ".ppm"])
    def test_other_formats(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        cv2.imwrite(str(path), made_image())
        assert np.abs(read_image(path).astype(int) - made_image()).mean() < 12

    def test_the_suffix_does_not_matter_for_one_file(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), made_image())
        (tmp_path / "a.png").rename(tmp_path / "upload")
        with open_media(str(tmp_path / "upload")) as media:
            assert next(iter(media)).frame.image.shape == (48, 64, 3)

    @pytest.mark.parametrize(
        ("content", "words"),
        [(b"", "empty"), (b"no image", "neither an image nor a video"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "PNG")],
    )
    def test_bad_files_are_named(self, tmp_path: Path, content: bytes, words: str) -> None:
        path = tmp_path / "thing.dat"
        path.write_bytes(content)
        with pytest.raises(SourceError, match=words) as caught:
            open_media(str(path))
        assert "thing.dat" in str(caught.value)

    def test_truncated_jpeg(self, tmp_path: Path) -> None:
        ok, jpeg = cv2.imencode(".jpg", made_image(400, 300))
        assert ok
        (tmp_path / "half.jpg").write_bytes(jpeg.tobytes()[: len(jpeg) // 2])
        with pytest.raises(SourceError, match=r"half\.jpg"):
            open_media(str(tmp_path / "half.jpg"))

    def test_a_missing_file(self) -> None:
        with pytest.raises(SourceError, match=r"nowhere\.png does not exist; expected an image, video"):
            open_media("nowhere.png")


class TestDirectories:
    def test_natural_order_and_gaps(self, tmp_path: Path) -> None:
        for name in ("frame10.png", "frame2.png", "Frame1.png"):
            cv2.imwrite(str(tmp_path / name), made_image())
        (tmp_path / "frame3.jpg").write_bytes(b"broken")
        (tmp_path / "notes.txt").write_text("not looked at")
        (tmp_path / "more.png").mkdir()
        with open_media(str(tmp_path)) as media:
            items = list(media)
        assert [(item.index, item.name) for item in items] == [(0, "Frame1.png"), (1, "frame2.png"), (3, "frame10.png")]
        assert all(item.frame.still for item in items)
        assert media.total == 4
        assert len(media.problems) == 1
        assert "frame3.jpg" in media.problems[0]

    def test_no_images(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="holds no images"):
            open_media(str(tmp_path))

    def test_natural_key(self) -> None:
        names = ["b1", "a10", "a9", "10", "9", "a", "A2"]
        assert sorted(names, key=natural_key) == ["9", "10", "a", "A2", "a9", "a10", "b1"]


class TestVideos:
    def test_every_frame_once_with_times_of_the_rate(self, tmp_path: Path) -> None:
        write_video(tmp_path / "v.mp4", 30)
        with open_media(str(tmp_path / "v.mp4")) as media:
            assert media.kind == "video"
            items = list(media)
        assert [item.index for item in items] == list(range(30))
        assert not items[0].frame.still
        times = np.array([item.frame.stamp_ns for item in items]) / 1e9
        np.testing.assert_allclose(times, np.arange(30) / 25.0, atol=0.002)
        levels = [item.frame.image.mean() for item in items]
        assert abs(levels[20] - 160) < 8
        assert media.problems == []

    def test_motion_jpeg_avi(self, tmp_path: Path) -> None:
        write_video(tmp_path / "v.avi", 12, rate=10.0, codec="MJPG")
        with open_media(str(tmp_path / "v.avi")) as media:
            times = [item.frame.stamp_ns / 1e9 for item in media]
        np.testing.assert_allclose(times, np.arange(12) / 10.0, atol=0.002)

    def test_truncated_video(self, tmp_path: Path) -> None:
        write_video(tmp_path / "whole.avi", 200, codec="MJPG")
        data = (tmp_path / "whole.avi").read_bytes()
        (tmp_path / "half.avi").write_bytes(data[: len(data) // 2])
        problems: list[str] = []
        try:
            with open_media(str(tmp_path / "half.avi")) as media:
                count = sum(1 for _ in media)
                problems = media.problems
        except SourceError as err:
            problems, count = [str(err)], 0
        assert count < 200
        assert problems
        assert "half.avi" in problems[0]

    def test_single_frame_gif_is_a_still(self, tmp_path: Path) -> None:
        gif = (
            b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"
            b"\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
        )
        (tmp_path / "dot.gif").write_bytes(gif)
        try:
            with open_media(str(tmp_path / "dot.gif")) as media:
                items = list(media)
        except SourceError:
            pytest.skip("this OpenCV reads no GIF images")
        assert len(items) == 1


class TestAddresses:
    @pytest.fixture
    def address(self, tmp_path: Path) -> Iterator[str]:
        """A web server for the files in tmp_path."""
        handler = functools.partial(QuietHandler, directory=str(tmp_path))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_address[1]}"
            server.shutdown()
            thread.join()

    def test_a_video_keeps_its_own_time(self, tmp_path: Path, address: str) -> None:
        write_video(tmp_path / "v.mp4", 10)
        with open_media(f"{address}/v.mp4") as media:
            stamps = [item.frame.stamp_ns / 1e9 for item in media]
        np.testing.assert_allclose(stamps, np.arange(10) / 25.0, atol=0.002)

    def test_a_image_is_a_still(self, tmp_path: Path, address: str) -> None:
        cv2.imwrite(str(tmp_path / "p.jpg"), made_image())
        with open_media(f"{address}/p.jpg?size=full") as media:
            (item,) = media
        assert item.frame.still
        assert item.frame.image.shape == (48, 64, 3)

    def test_a_missing_file(self, address: str) -> None:
        with pytest.raises(SourceError, match="cannot be opened"):
            open_media(f"{address}/absent.mp4")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_a_video_of_one_frame_is_a_still(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", 1)
    with open_media(str(tmp_path / "one.mp4")) as media:
        (item,) = media
    assert item.frame.still


def test_an_absent_webcam_is_named() -> None:
    with pytest.raises(SourceError, match="webcam 98 cannot be opened"):
        open_media("98")


def test_stream_errors_do_not_tell_the_password() -> None:
    with pytest.raises(SourceError) as caught:
        open_media("rtsp://user:secret@127.0.0.1:1/stream")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_hidden_files_of_a_directory_are_not_meant(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), made_image())
    (tmp_path / "._a.png").write_bytes(b"what macOS puts beside a file")
    with open_media(str(tmp_path)) as media:
        assert [item.name for item in media] == ["a.png"]
        assert media.problems == []


def test_an_escaped_file_address(tmp_path: Path) -> None:
    path = tmp_path / "größe 1.png"
    cv2.imwrite(str(path), made_image())
    with open_media(path.as_uri()) as media:
        assert [item.name for item in media] == ["größe 1.png"]


def test_an_empty_name_is_not_the_working_directory() -> None:
    with pytest.raises(SourceError, match="name is empty"):
        open_media("")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """What is read of it to tell its kind would be missing afterwards."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="is a pipe, which can be read only once"):
        open_media(str(tmp_path / "pipe"))


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """OpenCV would end the process."""
    image = tmp_path / os.fsdecode(b"bad\xff.png")
    image.write_bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())
    with open_media(str(image)) as media:
        assert len(list(media)) == 1
    video = image.rename(tmp_path / os.fsdecode(b"bad\xff.mp4"))
    with pytest.raises(SourceError, match="has a name that is not UTF-8"):
        open_media(str(video))


def test_a_folder_is_read_past_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    cv2.imwrite(str(tmp_path / "c.png"), made_image())
    with open_media(str(tmp_path)) as media:
        assert [item.name for item in media] == ["c.png"]


def test_a_png_with_an_orientation_is_no_way_around_the_limit(tmp_path: Path) -> None:
    ok, png = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))
    assert ok
    data = png.tobytes()
    chunk = b"eXIf" + b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    exif = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "bomb.png").write_bytes(data[:33] + exif + data[33:])
    with pytest.raises(SourceError, match=r"announces 9000x9000 pixels"):
        read_image(tmp_path / "bomb.png")


def gif(frames: int, *, width: int = 2, height: int = 1) -> bytes:
    """An animation whose frames are one pixel of a canvas."""
    frame = b"!\xf9\x04\x00\x0a\x00\x00\x00," + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * frames + b";"


class TestAnimations:
    @pytest.mark.parametrize(("lost", "frames", "problems"), [(0, 6, 0), (1, 6, 1), (60, 3, 1)])
    def test_a_gif_that_was_cut_is_told(self, tmp_path: Path, lost: int, frames: int, problems: int) -> None:
        data = gif(6)
        (tmp_path / "a.gif").write_bytes(data[: len(data) - lost])
        with open_media(str(tmp_path / "a.gif")) as media:
            assert len(list(media)) >= frames
            assert len(media.problems) == problems
            assert all("a.gif ends after" in problem for problem in media.problems)

    def test_a_canvas_without_end_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.gif").write_bytes(gif(3, width=30000, height=30000))
        with pytest.raises(SourceError, match=r"a\.gif: a GIF image announces 30000x30000 pixels; at most 67108864"):
            open_media(str(tmp_path / "a.gif"))


def test_stamps_that_differ_by_less_than_a_nanosecond_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Capture:
        """Three frames, the second a rounding error later than the first."""

        def __init__(self, _: str) -> None:
            self._times = iter((1000.0, 1000.0000001, 1040.0))
            self._now = 0.0

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def get(self, what: int) -> float:
            return {cv2.CAP_PROP_FPS: 25.0, cv2.CAP_PROP_POS_MSEC: self._now}.get(what, 0.0)

        def read(self) -> tuple[bool, np.ndarray]:
            self._now = next(self._times, -1.0)
            return self._now >= 0, made_image()

        def release(self) -> None:
            pass

    (tmp_path / "a.mp4").write_bytes(b"not looked at")
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    with open_media(str(tmp_path / "a.mp4")) as media:
        stamps = [item.frame.stamp_ns for item in media]
    assert stamps == [1_000_000_000, 1_040_000_000, 1_080_000_000]


class TestDamagedVideos:
    """Frames that cannot be decoded are skipped and counted; the others keep their numbers and times."""

    @staticmethod
    def damage(path: Path, frames: int, bad: set[int]) -> None:
        write_video(path, frames, rate=10.0, codec="MJPG")
        data = bytearray(path.read_bytes())
        position = -1
        for index in range(frames):
            position = data.index(b"\xff\xd8\xff", position + 1)
            if index in bad:
                end = data.index(b"\xff\xd9", position)
                data[position + 2 : end] = bytes(end - position - 2)
        path.write_bytes(data)

    @pytest.mark.parametrize("bad", [{0}, {5}, {18}, {19}, {3, 4, 5, 12}], ids=str)
    def test_what_is_left_is_looked_at(self, tmp_path: Path, bad: set[int]) -> None:
        self.damage(tmp_path / "v.avi", 20, bad)
        with open_media(str(tmp_path / "v.avi")) as media:
            items = list(media)
        whole = [index for index in range(20) if index not in bad]
        assert [item.index for item in items] == whole
        np.testing.assert_allclose([item.frame.stamp_ns / 1e9 for item in items], np.array(whole) / 10, atol=0.002)
        were = "was" if len(bad) == 1 else "were"
        told = f"{len(bad)} of 20 frames could not be decoded and {were} skipped"
        assert media.problems == [f"v.avi is damaged: {told}"]

    def test_a_header_that_counts_twice(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fields instead of frames: the times are whole, so nothing is missing."""
        write_video(tmp_path / "v.mp4", 20)
        monkeypatch.setattr(cv2, "VideoCapture", twice(cv2.VideoCapture))
        with open_media(str(tmp_path / "v.mp4")) as media:
            assert media.total == 40
            assert len(list(media)) == 20
            assert media.problems == []


def twice(original: type) -> type:
    class Capture:
        """A capture whose header announces twice the frames at twice the rate."""

        def __init__(self, name: str) -> None:
            self._inner = original(name)

        def get(self, what: int) -> float:
            value = float(self._inner.get(what))
            return 2 * value if what in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS) else value

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

    return Capture


@pytest.mark.parametrize("name", ["2024-05-01T12:30:00.mp4", "cam1:left.mp4", "data:1.mp4"])
def test_names_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_video(tmp_path / "v.mp4", 3)
    (tmp_path / "v.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with open_media(name) as media:
        assert len(list(media)) == 3


class TestDirectoriesOfEverything:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        cv2.imwrite(str(tmp_path / "a.jpg"), made_image())
        (tmp_path / "b.jfif").write_bytes((tmp_path / "a.jpg").read_bytes())
        (tmp_path / "c").write_bytes((tmp_path / "a.jpg").read_bytes())
        write_video(tmp_path / "d.mp4", 4)
        (tmp_path / "notes.txt").write_text("text")
        (tmp_path / ".hidden.jpg").write_bytes(b"")
        (tmp_path / "more").mkdir()
        cv2.imwrite(str(tmp_path / "more" / "f.png"), made_image())
        return tmp_path

    def test_images_and_videos_are_read_and_the_rest_is_counted(self, folder: Path) -> None:
        with open_media(str(folder)) as media:
            items = list(media)
        assert [item.name for item in items] == ["a.jpg", "b.jfif", "c", *["d.mp4"] * 4]
        assert [item.frame.still for item in items] == [True] * 3 + [False] * 4
        assert [item.index for item in items[3:]] == [0, 1, 2, 3]
        assert items[3].source == str(folder / "d.mp4")
        assert media.problems == []
        (notice,) = media.notices
        for words in ("1 hidden", "subdirectories (--recursive reads them): more", "neither images nor videos (.txt)"):
            assert words in notice

    def test_recursive(self, folder: Path) -> None:
        with open_media(str(folder), recursive=True) as media:
            names = [item.name for item in media]
        assert names[-1] == str(Path("more") / "f.png")
        assert "more" not in media.notices[0]

    def test_a_folder_of_subdirectories_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "day1").mkdir()
        with pytest.raises(SourceError, match=r"holds no images and no videos; passed over: .*day1"):
            open_media(str(tmp_path))


class Camera(http.server.BaseHTTPRequestHandler):
    """A network camera (MJPEG over HTTP) that ends by itself, and a single image."""

    protocol_version = "HTTP/1.0"
    frames = 6
    bad: frozenset[int] = frozenset()
    served = 0

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        jpeg = cv2.imencode(".jpg", made_image())[1].tobytes()
        self.send_response(200)
        if self.path.startswith("/snapshot"):
            self.send_header("Content-Type", "image/jpeg")
            self.end_headers()
            self.wfile.write(jpeg)
            return
        type(self).served += 1
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=B")
        self.end_headers()
        for index in range(self.frames):
            body = jpeg[:200] + bytes(len(jpeg) - 200) if index in self.bad else jpeg
            length = b"Content-Length: %d" % len(body)
            try:
                self.wfile.write(b"--B\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n\r\n" + body + b"\r\n")
            except OSError:
                return


class TestCameras:
    @pytest.fixture
    def serve(self) -> Iterator[Callable[..., tuple[type[Camera], str]]]:
        running: list[tuple[http.server.ThreadingHTTPServer, threading.Thread]] = []

        def start(**attributes: object) -> tuple[type[Camera], str]:
            camera = type("OneCamera", (Camera,), attributes)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), camera)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            running.append((server, thread))
            return camera, f"http://127.0.0.1:{server.server_address[1]}"

        yield start
        for server, thread in running:
            server.shutdown()
            thread.join()
            server.server_close()

    def test_one_that_dies_is_told(self, serve: Callable[..., tuple[type[Camera], str]]) -> None:
        _, address = serve()
        with open_media(f"{address}/cam") as media:
            count = len(list(media))
        assert media.kind == "live"
        assert 4 <= count <= 6
        assert f"{address}/cam ended after {count} frames: the camera or stream delivers no more" in media.problems[0]

    def test_a_broken_frame_is_skipped(self, serve: Callable[..., tuple[type[Camera], str]]) -> None:
        _, address = serve(frames=30, bad=frozenset({12}))
        with open_media(f"{address}/cam") as media:
            assert len(list(media)) >= 27
        assert "1 frame could not be decoded and was skipped" in media.problems[0]

    def test_it_is_reached_again(self, serve: Callable[..., tuple[type[Camera], str]]) -> None:
        camera, address = serve()
        told: list[str] = []
        # The third time nobody waits any more.
        reconnection = Reconnection(-1.0, told.append, lambda _: camera.served >= 3)
        with open_media(f"{address}/cam", reconnection=reconnection) as media:
            count = len(list(media))
        assert count >= 12
        assert "delivers no frames any more; it is tried again until it is back" in told[0]
        assert told[1].endswith("is back")

    def test_a_snapshot_is_a_still(self, serve: Callable[..., tuple[type[Camera], str]]) -> None:
        _, address = serve()
        with open_media(f"{address}/snapshot?id=1") as media:
            (item,) = media
        assert item.frame.still
        assert media.problems == []


def test_a_recording_behind_any_address_keeps_its_times(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", 10)
    (tmp_path / "v.mp4").rename(tmp_path / "download")
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}/download?id=7"
            with open_media(address) as media:
                stamps = [item.frame.stamp_ns / 1e9 for item in media]
        finally:
            server.shutdown()
            thread.join()
    assert media.kind == "video"
    assert media.name == address
    np.testing.assert_allclose(stamps, np.arange(10) / 25.0, atol=0.002)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:pass@cam/stream?channel=1", "rtsp://cam/stream?channel=1"),
        ("http://cam/v.cgi?user=me&pwd=secret&size=2", "http://cam/v.cgi?user=***&pwd=***&size=2"),
        ("http://cam/a@b/v", "http://cam/a@b/v"),
    ],
)
def test_an_address_without_what_is_secret(address: str, shown: str) -> None:
    assert public_address(address) == shown
