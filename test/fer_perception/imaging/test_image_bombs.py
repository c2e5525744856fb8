"""Images of a few kilobytes that would cost gigabytes or seconds: refused by their header, or decoded cheaply."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from image_bombs import BOMBS, chunk, encoded, jpeg_with_scans, png, png_with_texts, tiff_of_one_strip, zeros
from peak_memory import measured

from fer_perception.errors import ImageError, SourceError
from fer_perception.imaging.compressed_header import check_compressed
from fer_perception.imaging.encodings import MAX_DECODER_BYTES, decode_compressed
from fer_perception.imaging.file_headers import file_header
from fer_perception.imaging.image_files import read_image
from fer_perception.imaging.sources import open_media

_READ = """
from pathlib import Path
import cv2, sys
sys.path[:0] = {helpers!r}
cv2.setNumThreads(1)
from image_bombs import BOMBS
from fer_perception.errors import FerError
from fer_perception.imaging.encodings import decode_compressed
from fer_perception.imaging.image_files import read_image
path = Path({path!r})
data = path.read_bytes()
"""
_FILE = """
try:
    said = read_image(path).shape
except FerError as err:
    said = str(err)
"""
_MESSAGE = """
try:
    said = decode_compressed(format="", data=data).shape
except FerError as err:
    said = err.cause
"""


def setup(path: Path) -> str:
    return _READ.format(path=str(path), helpers=[str(Path(__file__).parents[2] / "helpers")])


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_takes_little(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(BOMBS[name]())
    assert path.stat().st_size < 2_000_000
    taken = measured(setup(path), _FILE)
    assert taken["grown"] < 60, taken
    assert taken["seconds"] < 5, taken


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("zTXt", [8, 8, 3]),
        ("iTXt", [8, 8, 3]),
        ("iCCP", [8, 8, 3]),
        ("png pixels beyond the image", "too_large"),
        ("png 16-bit RGBA", "too_large"),
        ("png 8-bit gray with alpha", "too_large"),
        ("jpeg scans", "too_large"),
    ],
)
def test_a_small_message_takes_little(name: str, said: object, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(BOMBS[name]())
    taken = measured(setup(path), _MESSAGE)
    assert taken["said"] == said
    assert taken["grown"] < 60, taken
    assert taken["seconds"] < 5, taken


@pytest.mark.parametrize("make", [lambda: png(4900, 4900, depth=16, color=6), lambda: jpeg_with_scans(8192, 8192, 10)])
def test_the_largest_that_is_decoded_takes_what_was_promised(make: object, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(make())  # type: ignore[operator]
    header = check_compressed(np.frombuffer(path.read_bytes(), np.uint8), "")
    promised = header.width * header.height * header.bytes_a_pixel
    assert 0.9 * MAX_DECODER_BYTES < promised <= MAX_DECODER_BYTES
    taken = measured(setup(path), _MESSAGE)
    assert taken["said"] == [header.height, header.width, 3]
    assert taken["grown"] < promised / 1e6 + 60, taken


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".jp2", ".avif", ".hdr", ".pfm", ".tiff", ".bmp", ".ppm"])
def test_other_files_take_what_their_header_says(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    image = np.zeros((3000, 2000, 3), np.float32 if suffix in {".hdr", ".pfm"} else np.uint8)
    try:
        path.write_bytes(cv2.imencode(suffix, image)[1].tobytes())
    except cv2.error:
        pytest.skip(f"this OpenCV writes no {suffix}")
    header = file_header(np.fromfile(path, np.uint8))
    if header is None:
        assert suffix in {".bmp", ".ppm"}
        return
    assert {header.width, header.height} == {2000, 3000}
    taken = measured(setup(path), _FILE)
    assert taken["said"] == [3000, 2000, 3]
    assert taken["grown"] < 6 * header.bytes_a_pixel + 40, taken


def test_ancillary_chunks_do_not_reach_the_decoder() -> None:
    whole = png_with_texts(b"zTXt", 3, 1000)
    header = check_compressed(np.frombuffer(whole, np.uint8), "png")
    assert header.data.tobytes() == png(8, 8)
    bare = np.frombuffer(png(8, 8), np.uint8)
    assert np.shares_memory(check_compressed(bare, "png").data, bare), "without any there is nothing to copy"


def test_what_makes_the_image_stays() -> None:
    palette = chunk(b"PLTE", bytes([10, 20, 30]))
    index = png(4, 4, color=3, extra=chunk(b"gAMA", struct.pack(">I", 45455)) + palette)
    assert decode_compressed(format="png", data=index)[0, 0].tolist() == [30, 20, 10]
    clear = png(4, 4, color=3, extra=palette + chunk(b"tRNS", b"\0"))
    assert decode_compressed(format="png", data=clear)[0, 0].tolist() == [255, 255, 255]


def test_an_animated_png_is_its_still(tmp_path: Path) -> None:
    control = chunk(b"acTL", struct.pack(">II", 1000, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 10, 0, 0))
    (tmp_path / "a.png").write_bytes(png(8, 8, extra=control + frame))
    assert read_image(tmp_path / "a.png").shape == (8, 8, 3)


def test_transparency_in_strips_is_that_of_the_whole() -> None:
    random = np.random.default_rng(3)
    image = random.integers(0, 65536, (700, 900, 4)).astype(np.uint16)
    decoded = decode_compressed(format="png", data=cv2.imencode(".png", image)[1].tobytes())
    small = cv2.convertScaleAbs(image, alpha=1 / 257).astype(float)
    opacity = small[..., 3:] / 255
    expected = small[..., :3] * opacity + 255 * (1 - opacity)
    assert np.abs(decoded - expected).max() <= 1


def test_a_photograph_as_png_is_not_taken_for_a_bomb() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (900, 1200, 3)).astype(np.uint8)
    data = cv2.imencode(".png", noise)[1].tobytes()
    assert len(data) > 600_000, "large enough to be looked at"
    np.testing.assert_array_equal(decode_compressed(format="png", data=data), noise)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"\x89PNG\r\n\x1a\n" + png(8, 8)[8:33] + chunk(b"tEXt", b"") * 400_000 + chunk(b"IEND", b""), "corrupt"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000 + b"\xff\xd9", "corrupt"),
        (b"\xff\xd8" + b"\xff" * 5_000_000, "truncated"),
    ],
    ids=["png chunks", "jpeg segments", "jpeg fill bytes"],
)
def test_many_small_parts_are_not_walked_one_by_one(data: bytes, cause: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(data)
    taken = measured(setup(tmp_path / "image"), _MESSAGE)
    assert taken["said"] == cause
    assert taken["seconds"] < 1, taken


def test_a_jpeg_with_two_sizes_is_refused() -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    at = jpeg.index(b"\xff\xc0")
    frame = jpeg[at : at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")]
    with pytest.raises(ImageError, match="two frame headers"):
        decode_compressed(format="jpeg", data=jpeg[:at] + frame + jpeg[at:])


def test_pixels_that_do_not_inflate() -> None:
    broken = png(8, 8, more=0).replace(zeros(8 * 25), b"")
    random = np.random.default_rng(1).integers(0, 256, 600_000).astype(np.uint8).tobytes()
    data = broken[:33] + chunk(b"IDAT", random) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="do not inflate"):
        decode_compressed(format="png", data=data)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".tiff", ".jp2", ".avif"])
def test_a_header_that_is_cut_short(suffix: str, tmp_path: Path) -> None:
    whole = encoded(suffix, 40, 40)
    for size in range(1, min(len(whole), 400)):
        (tmp_path / "image").write_bytes(whole[:size])
        try:
            read_image(tmp_path / "image")
        except SourceError as err:
            assert len(str(err)) > 20


def test_a_tiff_with_16_bits_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_of_one_strip(30, 20, bits=16))
    assert read_image(tmp_path / "a.tif").shape == (20, 30, 3)


def test_a_gif_is_judged_before_it_is_opened_as_a_video(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(BOMBS["gif 8192"]())
    with pytest.raises(SourceError, match="takes 805 MB to decode"):
        open_media(str(tmp_path / "a.gif"))


def test_a_single_scan_of_one_component_counts_as_many() -> None:
    full_color = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    jpeg = bytearray(cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), full_color)[1].tobytes())
    whole = check_compressed(np.frombuffer(bytes(jpeg), np.uint8), "").bytes_a_pixel
    at = jpeg.index(b"\xff\xda")
    jpeg[at + 4] = 1
    assert whole == 6
    assert check_compressed(np.frombuffer(bytes(jpeg), np.uint8), "").bytes_a_pixel == 9
    progressive = jpeg_with_scans(64, 64, 10)
    first = progressive.index(b"\xff\xda")
    second = progressive.index(b"\xff\xda", first + 2)
    alone = progressive[:second] + b"\xff\xd9"
    assert check_compressed(np.frombuffer(alone, np.uint8), "").bytes_a_pixel == 6
