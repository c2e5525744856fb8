"""Files of several frames, photos of phones, and what is no image: everything is looked at or told."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_perception.errors import SourceError
from fer_perception.imaging.image_files import read_image
from fer_perception.imaging.sources import open_media

Image = pytest.importorskip("PIL.Image")

LEVELS = (0, 50, 100, 150, 200)


def flat(level: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def save_animation(path: Path, **options: object) -> None:
    first, *rest = (Image.fromarray(flat(level)) for level in LEVELS)
    first.save(path, save_all=True, append_images=rest, duration=200, **options)


def levels(path: Path) -> list[int]:
    with open_media(str(path)) as media:
        return [round(float(item.frame.image.mean())) for item in media]


class TestAnimations:
    @pytest.mark.parametrize("name", ["a.png", "a.webp", "a.avif", "a.gif"])
    def test_every_frame_with_its_time(self, tmp_path: Path, name: str) -> None:
        if name == "a.avif" and not __import__("PIL.features").features.check("avif"):
            pytest.skip("this Pillow has no AVIF")
        save_animation(tmp_path / name)
        with open_media(str(tmp_path / name)) as media:
            items = list(media)
        assert media.kind == "video"
        assert [item.index for item in items] == [0, 1, 2, 3, 4]
        np.testing.assert_allclose([item.frame.stamp_ns / 1e9 for item in items], np.arange(5) / 5, atol=0.01)
        np.testing.assert_allclose([item.frame.image.mean() for item in items], LEVELS, atol=4)
        assert not any(item.frame.still for item in items)
        assert media.problems == []

    def test_a_damaged_frame_is_told(self, tmp_path: Path) -> None:
        save_animation(tmp_path / "a.webp", lossless=True)
        data = (tmp_path / "a.webp").read_bytes()
        (tmp_path / "a.webp").write_bytes(data[: data.rindex(b"ANMF") + 30])
        try:
            with open_media(str(tmp_path / "a.webp")) as media:
                count = len(list(media))
        except SourceError as err:
            assert "a.webp" in str(err)
        else:
            assert count < 5
            assert "a.webp is damaged" in media.problems[0]

    def test_without_pillow_it_is_refused_with_the_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_animation(tmp_path / "a.webp")
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(SourceError, match=r"a\.webp is an animation.*pip install 'pillow"):
            open_media(str(tmp_path / "a.webp"))

    def test_the_default_image_of_an_apng_is_no_frame(self, tmp_path: Path) -> None:
        save_animation(tmp_path / "a.png", default_image=True)
        assert levels(tmp_path / "a.png") == [50, 100, 150, 200]

    def test_transparent_parts_are_white(self, tmp_path: Path) -> None:
        frames = [Image.new("RGBA", (8, 8), (0, 0, 0, alpha)) for alpha in (0, 255)]
        frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=100, disposal=1, blend=0)
        assert levels(tmp_path / "a.png") == [255, 0]


class TestPages:
    def test_each_page_of_a_tiff_is_an_image(self, tmp_path: Path) -> None:
        assert cv2.imwritemulti(str(tmp_path / "scan.tiff"), [flat(level) for level in LEVELS])
        with open_media(str(tmp_path / "scan.tiff")) as media:
            items = list(media)
        assert [item.name for item in items] == [f"scan.page{page}.tiff" for page in range(1, 6)]
        assert [round(float(item.frame.image.mean())) for item in items] == list(LEVELS)
        assert all(item.frame.still for item in items)
        assert {item.source for item in items} == {str(tmp_path / "scan.tiff")}

    def test_a_reduced_copy_is_no_page(self, tmp_path: Path) -> None:
        cv2.imwritemulti(str(tmp_path / "a.tiff"), [flat(10), flat(20)])
        data = bytearray((tmp_path / "a.tiff").read_bytes())
        # The second directory's first tag becomes NewSubfileType = 1.
        order = "<" if data[:2] == b"II" else ">"
        first = struct.unpack_from(f"{order}I", data, 4)[0]
        second = struct.unpack_from(
            f"{order}I", data, first + 2 + 12 * struct.unpack_from(f"{order}H", data, first)[0]
        )[0]
        count = struct.unpack_from(f"{order}H", data, second)[0]
        entries = [bytes(data[second + 2 + 12 * i : second + 14 + 12 * i]) for i in range(count)]
        kept = [e for e in entries if struct.unpack_from(f"{order}H", e)[0] != 254]
        position = len(data)
        directory = struct.pack(f"{order}H", len(kept) + 1) + struct.pack(f"{order}HHII", 254, 4, 1, 1) + b"".join(kept)
        data += directory + struct.pack(f"{order}I", 0)
        struct.pack_into(f"{order}I", data, first + 2 + 12 * struct.unpack_from(f"{order}H", data, first)[0], position)
        (tmp_path / "a.tiff").write_bytes(data)
        assert levels(tmp_path / "a.tiff") == [10]


class TestMotionJpeg:
    @pytest.mark.parametrize("name", ["a.mjpeg", "a.jpg", "recording"])
    def test_jpegs_one_after_the_other(self, tmp_path: Path, name: str) -> None:
        jpegs = [cv2.imencode(".jpg", flat(level))[1].tobytes() for level in LEVELS]
        jpegs[2] = jpegs[2][:200] + bytes(10) + jpegs[2][210:]
        (tmp_path / name).write_bytes(b"".join(jpegs))
        with open_media(str(tmp_path / name)) as media:
            items = list(media)
        assert len(items) + len(media.problems) >= 5
        assert [item.index for item in items][-1] == 4
        assert "frames/s are assumed" in media.notices[0]

    def test_the_other_images_of_a_multi_image_file_are_no_video(self, tmp_path: Path) -> None:
        """Stereo pairs, previews and gain maps of phones."""
        jpeg = cv2.imencode(".jpg", flat(80))[1].tobytes()
        segment = b"\xff\xe2" + struct.pack(">H", 2 + 4 + 8) + b"MPF\0" + bytes(8)
        (tmp_path / "a.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:] + jpeg)
        with open_media(str(tmp_path / "a.jpg")) as media:
            assert media.kind == "image"


class TestHeif:
    def test_a_photo_of_a_phone_is_read_whole_and_upright(self, tmp_path: Path) -> None:
        pillow_heif = pytest.importorskip("pillow_heif")
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :32] = 255
        heif = pillow_heif.from_pillow(Image.fromarray(image))
        exif = Image.Exif()
        exif[0x112] = 6
        heif.save(tmp_path / "a.heic", exif=exif.tobytes())
        read = read_image(tmp_path / "a.heic")
        assert read.shape == (64, 48, 3)
        assert read[:30].mean() > 240
        assert read[-30:].mean() < 15

    def test_without_the_package_it_is_refused_with_the_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
        with pytest.raises(SourceError, match=r"a\.heic is a HEIC image, which needs pillow-heif: pip install"):
            open_media(str(tmp_path / "a.heic"))

    def test_a_turned_avif_is_upright(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if not __import__("PIL.features").features.check("avif"):
            pytest.skip("this Pillow has no AVIF")
        exif = Image.Exif()
        exif[0x112] = 8
        Image.fromarray(flat(90)).save(tmp_path / "a.avif", exif=exif)
        assert b"irot" in (tmp_path / "a.avif").read_bytes()
        assert read_image(tmp_path / "a.avif").shape == (64, 48, 3)
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(SourceError, match=r"a\.avif is an AVIF that is to be turned, which needs Pillow"):
            read_image(tmp_path / "a.avif")


class TestNoMedia:
    @pytest.mark.parametrize("name", ["notes.txt", "notes.nfo", "README", "table.csv"])
    def test_text_is_no_video(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("a line of text, größer\n" * 300, encoding="utf-8")
        with pytest.raises(SourceError, match=f"{name} is neither an image nor a video: it is text"):
            open_media(str(tmp_path / name))

    def test_a_raw_photo_is_no_preview(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.tiff"), flat(5))
        (tmp_path / "a.tiff").rename(tmp_path / "a.dng")
        with pytest.raises(SourceError, match="raw file, of which only a preview could be read"):
            open_media(str(tmp_path / "a.dng"))

    def test_an_image_of_plain_text(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("P2\n2 2\n255\n0 255 255 0\n")
        with open_media(str(tmp_path / "a")) as media:
            assert next(iter(media)).frame.image.shape[:2] == (2, 2)
