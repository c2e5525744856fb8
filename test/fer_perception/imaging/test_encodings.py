"""Every encoding, and every way an image can be unusable."""

from __future__ import annotations

import array
import struct
import sys
import zlib
from collections.abc import Callable
from types import ModuleType

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data as images

from fer_perception.errors import ImageError
from fer_perception.imaging.encodings import ENCODINGS, MAX_PIXELS, decode_compressed, decode_raw, encode_jpeg

WIDTH, HEIGHT = 34, 26


@pytest.fixture(name="image", scope="module")
def made_image() -> np.ndarray:
    """(26, 34, 3) BGR: smooth, so that color sub-sampling changes little."""
    rgb = cv2.resize(images.astronaut()[50:250, 120:380], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), (0, 0), 2)


def cause_of(call: Callable[[], object]) -> str:
    """Cause of the ImageError that a call raises; its message must not be empty."""
    with pytest.raises(ImageError) as caught:
        call()
    assert len(str(caught.value)) > 20
    return caught.value.cause


def with_padding(rows: np.ndarray, padding: int) -> tuple[bytes, int]:
    """Rows of bytes with 0xEE behind each, and the step."""
    flat = rows.reshape(rows.shape[0], -1)
    padded = np.pad(flat, ((0, 0), (0, padding)), constant_values=0xEE)
    return padded.tobytes(), padded.shape[1]


def packed_yuv(bgr: np.ndarray, order: str) -> np.ndarray:
    """(H, W, 2) bytes of 4:2:2 with BT.601 video range, computed here independently of OpenCV's decoder."""
    b, g, r = (bgr[..., i].astype(float) for i in range(3))
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = (128 - 0.148 * r - 0.291 * g + 0.439 * b)[:, 0::2]
    v = (128 + 0.439 * r - 0.368 * g - 0.071 * b)[:, 0::2]
    chroma = np.stack((u, v), axis=2).reshape(y.shape)
    pair = (chroma, y) if order == "uyvy" else (y, chroma)
    return np.clip(np.stack(pair, axis=2).round(), 0, 255).astype(np.uint8)


def semi_planar(bgr: np.ndarray, first: str) -> np.ndarray:
    """(H * 3 / 2, W) bytes of NV12 (u first) or NV21 (v first)."""
    packed = packed_yuv(bgr, "yuyv")
    chroma = packed[0::2, :, 1].reshape(bgr.shape[0] // 2, -1, 2)
    chroma = chroma if first == "u" else chroma[..., ::-1]
    return np.concatenate((packed[..., 0], chroma.reshape(bgr.shape[0] // 2, -1)))


class TestRawEncodings:
    @pytest.mark.parametrize("padding", [0, 3, 14])
    @pytest.mark.parametrize("encoding", ["bgr8", "8UC3", "mono8", "8UC1"])
    def test_gray_and_bgr_are_views_of_the_data(self, image: np.ndarray, encoding: str, padding: int) -> None:
        expected = image if "3" in encoding or encoding == "bgr8" else image[..., 0]
        content, step = with_padding(expected, padding)
        buffer = np.frombuffer(bytearray(content), np.uint8)
        decoded = decode_raw(encoding=encoding, width=WIDTH, height=HEIGHT, step=step, data=buffer)
        np.testing.assert_array_equal(decoded, expected)
        assert np.shares_memory(decoded, buffer)
        assert not decoded.flags.writeable

    @pytest.mark.parametrize("padding", [0, 6])
    @pytest.mark.parametrize(
        ("encoding", "order"), [("rgb8", [2, 1, 0]), ("bgra8", [0, 1, 2, 3]), ("rgba8", [2, 1, 0, 3])]
    )
    def test_channel_orders(self, image: np.ndarray, encoding: str, order: list[int], padding: int) -> None:
        with_alpha = np.dstack((image, np.full(image.shape[:2], 7, np.uint8)))
        content, step = with_padding(with_alpha[..., order], padding)
        decoded = decode_raw(encoding=encoding, width=WIDTH, height=HEIGHT, step=step, data=content)
        np.testing.assert_array_equal(decoded, image)

    @pytest.mark.parametrize("padding", [0, 8])
    @pytest.mark.parametrize(
        ("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")]
    )
    def test_yuv_422(self, image: np.ndarray, encoding: str, order: str, padding: int) -> None:
        content, step = with_padding(packed_yuv(image, order), padding)
        decoded = decode_raw(encoding=encoding, width=WIDTH, height=HEIGHT, step=step, data=content)
        assert decoded.shape == image.shape
        assert np.abs(decoded.astype(int) - image).mean() < 3

    @pytest.mark.parametrize("padding", [0, 6])
    @pytest.mark.parametrize(("encoding", "first"), [("nv12", "u"), ("nv21", "v")])
    def test_semi_planar(self, image: np.ndarray, encoding: str, first: str, padding: int) -> None:
        content, step = with_padding(semi_planar(image, first), padding)
        decoded = decode_raw(encoding=encoding, width=WIDTH, height=HEIGHT, step=step, data=content)
        assert np.abs(decoded.astype(int) - image).mean() < 5

    @pytest.mark.parametrize("step", [WIDTH * 3 // 2, WIDTH * 2])
    def test_semi_planar_with_the_step_some_drivers_state(self, image: np.ndarray, step: int) -> None:
        content = semi_planar(image, "v").tobytes()
        usual = decode_raw(encoding="nv21", width=WIDTH, height=HEIGHT, step=WIDTH, data=content)
        decoded = decode_raw(encoding="nv21", width=WIDTH, height=HEIGHT, step=step, data=content)
        np.testing.assert_array_equal(decoded, usual)

    @pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
    @pytest.mark.parametrize("padding", [0, 5])
    def test_bayer_is_named_by_its_first_four_pixels(self, pattern: str, padding: int) -> None:
        color = {"b": 40, "g": 120, "r": 230}
        mosaic = np.tile(np.array([color[c] for c in pattern], np.uint8).reshape(2, 2), (HEIGHT // 2, WIDTH // 2))
        content, step = with_padding(mosaic, padding)
        decoded = decode_raw(encoding=f"bayer_{pattern}8", width=WIDTH, height=HEIGHT, step=step, data=content)
        np.testing.assert_array_equal(decoded, np.broadcast_to(np.uint8([40, 120, 230]), (HEIGHT, WIDTH, 3)))

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: array.array("B", b), np.frombuffer])
    def test_kinds_of_data(self, image: np.ndarray, kind: Callable[[bytes], object]) -> None:
        content = image.tobytes()
        data = np.frombuffer(content, np.uint8) if kind is np.frombuffer else kind(content)
        decoded = decode_raw(encoding="bgr8", width=WIDTH, height=HEIGHT, step=WIDTH * 3, data=data)
        np.testing.assert_array_equal(decoded, image)

    def test_the_endian_flag_and_surplus_bytes_do_not_matter(self, image: np.ndarray) -> None:
        content = image.tobytes() + b"surplus"
        fields = {"encoding": "bgr8", "width": WIDTH, "height": HEIGHT, "step": WIDTH * 3, "data": content}
        np.testing.assert_array_equal(decode_raw(**fields, is_bigendian=1), image)

    def test_the_last_row_may_lack_its_padding(self, image: np.ndarray) -> None:
        content, step = with_padding(image, 10)
        decoded = decode_raw(encoding="bgr8", width=WIDTH, height=HEIGHT, step=step, data=content[:-10])
        np.testing.assert_array_equal(decoded, image)

    def test_one_pixel(self) -> None:
        decoded = decode_raw(encoding="rgb8", width=1, height=1, step=3, data=bytes([1, 2, 3]))
        assert decoded.tolist() == [[[3, 2, 1]]]

    def test_8k(self) -> None:
        decoded = decode_raw(encoding="mono8", width=7680, height=4320, step=7680, data=bytes(7680 * 4320))
        assert decoded.shape == (4320, 7680)


class TestBadRaw:
    @pytest.mark.parametrize(
        "encoding",
        ["mono16", "16UC1", "32FC1", "64FC3", "bayer_rggb16", "rgb16", "bgra16", "8SC1x", "", "RGB8", "jpeg"],
    )
    def test_encoding(self, encoding: str) -> None:
        assert cause_of(lambda: decode_raw(encoding=encoding, width=4, height=4, step=16, data=bytes(64))) == "encoding"

    @pytest.mark.parametrize("size", [(0, 4), (4, 0), (0, 0)])
    def test_zero_size(self, size: tuple[int, int]) -> None:
        width, height = size
        assert cause_of(lambda: decode_raw(encoding="bgr8", width=width, height=height, step=12, data=b"")) == "size"

    @pytest.mark.parametrize("size", [(2**32 - 1, 2**32 - 1), (8193, 8192)])
    def test_too_large_is_refused_before_the_data_is_looked_at(self, size: tuple[int, int]) -> None:
        width, height = size
        assert width * height > MAX_PIXELS
        call = lambda: decode_raw(encoding="bgr8", width=width, height=height, step=width * 3, data=b"")  # noqa: E731
        assert cause_of(call) == "too_large"

    @pytest.mark.parametrize("encoding", [name for name in ENCODINGS if not name.startswith("bayer")])
    def test_short_step(self, encoding: str) -> None:
        # One byte less than one byte a pixel is too short for all of them.
        assert cause_of(lambda: decode_raw(encoding=encoding, width=8, height=8, step=7, data=bytes(999))) == "step"
        assert cause_of(lambda: decode_raw(encoding=encoding, width=8, height=8, step=0, data=bytes(999))) == "step"

    def test_step_larger_than_the_data_allows(self) -> None:
        assert cause_of(lambda: decode_raw(encoding="bgr8", width=8, height=8, step=25, data=bytes(192))) == "step"
        assert (
            cause_of(lambda: decode_raw(encoding="bgr8", width=8, height=8, step=2**32 - 1, data=bytes(192))) == "step"
        )

    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_truncated(self, encoding: str) -> None:
        content = bytes(8 * 8 - 1)
        assert cause_of(lambda: decode_raw(encoding=encoding, width=8, height=8, step=32, data=content)) == "truncated"
        assert cause_of(lambda: decode_raw(encoding=encoding, width=8, height=8, step=32, data=b"")) == "truncated"

    @pytest.mark.parametrize("encoding", ["yuv422", "yuv422_yuy2", "uyvy", "yuyv", "nv21", "nv12"])
    def test_odd_width(self, encoding: str) -> None:
        assert (
            cause_of(lambda: decode_raw(encoding=encoding, width=7, height=8, step=14, data=bytes(999))) == "odd_size"
        )

    @pytest.mark.parametrize("encoding", ["nv21", "nv12"])
    def test_odd_height(self, encoding: str) -> None:
        assert cause_of(lambda: decode_raw(encoding=encoding, width=8, height=7, step=8, data=bytes(999))) == "odd_size"

    def test_bayer_too_small_to_interpolate(self) -> None:
        assert cause_of(lambda: decode_raw(encoding="bayer_rggb8", width=2, height=2, step=2, data=bytes(4))) == "size"

    @settings(max_examples=150, deadline=None)
    @given(
        encoding=st.sampled_from([*ENCODINGS, "mono16", "nonsense"]),
        width=st.integers(0, 40),
        height=st.integers(0, 40),
        step=st.integers(0, 200),
        size=st.integers(0, 5000),
    )
    def test_anything_is_a_image_or_an_image_error(
        self, encoding: str, width: int, height: int, step: int, size: int
    ) -> None:
        try:
            decoded = decode_raw(encoding=encoding, width=width, height=height, step=step, data=bytes(size))
        except ImageError:
            return
        assert decoded.shape[:2] == (height, width)
        assert decoded.dtype == np.uint8
        assert not decoded.any() or encoding in {"yuv422", "uyvy", "yuyv", "yuv422_yuy2", "nv12", "nv21"}


class TestCvBridge:
    """The fall-back for other 8-bit encodings; cv_bridge comes with ROS only, so a small stand-in takes its place."""

    @pytest.fixture
    def bridge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Message:
            data: array.array[int]

            def __init__(self, **fields: object) -> None:
                self.fields = fields

        class CvBridge:
            def imgmsg_to_cv2(self, message: Message, desired_encoding: str) -> np.ndarray:
                assert desired_encoding == "bgr8"
                assert isinstance(message.data, array.array)
                if message.fields["encoding"] != "nv24":
                    raise ValueError(message.fields["encoding"])
                return np.full((message.fields["height"], message.fields["width"], 3), message.data[0], np.uint8)

        for name, member in (("cv_bridge", CvBridge), ("sensor_msgs.msg", Message)):
            module = ModuleType(name)
            setattr(module, "CvBridge" if name == "cv_bridge" else "Image", member)
            monkeypatch.setitem(sys.modules, name, module)

    @pytest.mark.usefixtures("bridge")
    def test_converts_what_it_knows(self) -> None:
        decoded = decode_raw(encoding="nv24", width=4, height=2, step=4, data=bytes([9] * 24))
        np.testing.assert_array_equal(decoded, np.full((2, 4, 3), 9, np.uint8))

    @pytest.mark.usefixtures("bridge")
    def test_what_it_does_not_know_is_an_image_error(self) -> None:
        assert cause_of(lambda: decode_raw(encoding="x8", width=4, height=2, step=4, data=bytes(24))) == "encoding"

    @pytest.mark.usefixtures("bridge")
    def test_sixteen_bits_stay_refused(self) -> None:
        assert cause_of(lambda: decode_raw(encoding="mono16", width=4, height=2, step=8, data=bytes(24))) == "encoding"


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def png_announcing(width: int, height: int) -> bytes:
    """A PNG header with a right checksum, hardly any pixels, and an end."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def jpeg_announcing(jpeg: bytes, width: int, height: int) -> bytes:
    """The same JPEG with other numbers in its frame header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


class TestCompressed:
    @pytest.mark.parametrize("name", ["jpeg", "jpg", "bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed ", ""])
    def test_jpeg(self, image: np.ndarray, name: str) -> None:
        decoded = decode_compressed(format=name, data=encode_jpeg(image, 98))
        assert np.abs(decoded.astype(int) - image).mean() < 2

    @pytest.mark.parametrize("name", ["png", "bgr8; png compressed bgr8", "jpeg"])
    def test_png(self, image: np.ndarray, name: str) -> None:
        np.testing.assert_array_equal(decode_compressed(format=name, data=png(image)), image)

    def test_gray_stays_gray(self, image: np.ndarray) -> None:
        gray = np.ascontiguousarray(image[..., 1])
        np.testing.assert_array_equal(decode_compressed(format="png", data=png(gray)), gray)
        assert decode_compressed(format="jpeg", data=encode_jpeg(gray)).shape == gray.shape

    def test_progressive_jpeg(self, image: np.ndarray) -> None:
        content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
        assert np.abs(decode_compressed(format="jpeg", data=content).astype(int) - image).mean() < 4

    def test_jpeg_with_restart_markers_and_bytes_behind_its_end(self, image: np.ndarray) -> None:
        content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes() + bytes(100)
        assert np.abs(decode_compressed(format="jpeg", data=content).astype(int) - image).mean() < 4

    def test_transparent_parts_become_white(self, image: np.ndarray) -> None:
        alpha = np.full(image.shape[:2], 255, np.uint8)
        alpha[:, :10] = 0
        decoded = decode_compressed(format="png", data=png(np.dstack((image, alpha))))
        assert (decoded[:, :10] == 255).all()
        np.testing.assert_array_equal(decoded[:, 10:], image[:, 10:])

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_16_bit_png_is_reduced(self, image: np.ndarray, channels: int) -> None:
        deep = image.astype(np.uint16) * 257
        deep = {1: deep[..., 0], 3: deep, 4: np.dstack((deep, np.full(deep.shape[:2], 65535, np.uint16)))}[channels]
        decoded = decode_compressed(format="png", data=png(deep))
        np.testing.assert_array_equal(decoded, image[..., 0] if channels == 1 else image)

    def test_exif_rotation_is_applied(self, image: np.ndarray) -> None:
        # EXIF with the one tag "orientation" = 6: turn clockwise by 90 degrees.
        tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
        segment = b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
        jpeg = encode_jpeg(image)
        decoded = decode_compressed(format="jpeg", data=jpeg[:2] + segment + jpeg[2:])
        upright = decode_compressed(format="jpeg", data=jpeg)
        np.testing.assert_array_equal(decoded, cv2.rotate(upright, cv2.ROTATE_90_CLOCKWISE))

    def test_kinds_of_data(self, image: np.ndarray) -> None:
        content = png(image)
        for data in (array.array("B", content), memoryview(content), bytearray(content)):
            np.testing.assert_array_equal(decode_compressed(format="png", data=data), image)

    def test_8k(self) -> None:
        content = encode_jpeg(np.full((4320, 7680), 90, np.uint8))
        assert decode_compressed(format="jpeg", data=content).shape == (4320, 7680)


class TestBadCompressed:
    @pytest.mark.parametrize("keep", [0.05, 0.3, 0.7, 0.99])
    @pytest.mark.parametrize("encode", [encode_jpeg, png])
    def test_truncated(self, image: np.ndarray, encode: Callable[[np.ndarray], bytes], keep: float) -> None:
        content = encode(image)
        assert cause_of(lambda: decode_compressed(format="", data=content[: int(len(content) * keep)])) == "truncated"

    def test_the_end_of_a_thumbnail_is_not_the_end(self, image: np.ndarray) -> None:
        jpeg = encode_jpeg(image)
        thumbnail = b"\xff\xe1" + struct.pack(">H", len(jpeg) + 2) + jpeg
        content = jpeg[:2] + thumbnail + jpeg[2:]
        assert decode_compressed(format="jpeg", data=content).shape == image.shape
        assert cause_of(lambda: decode_compressed(format="jpeg", data=content[:-40])) == "truncated"

    def test_nothing(self) -> None:
        assert cause_of(lambda: decode_compressed(format="jpeg", data=b"")) == "truncated"

    @pytest.mark.parametrize("name", ["jpeg", "png"])
    def test_garbage(self, name: str) -> None:
        assert cause_of(lambda: decode_compressed(format=name, data=bytes(range(200)))) == "corrupt"

    def test_damaged_jpeg(self) -> None:
        content = bytearray(encode_jpeg(images.astronaut()))
        content[20000:24000] = np.random.default_rng(1).integers(0, 256, 4000, dtype=np.uint8).tobytes()
        assert cause_of(lambda: decode_compressed(format="jpeg", data=content)) == "corrupt"

    def test_damaged_png(self, image: np.ndarray) -> None:
        content = bytearray(png(image))
        content[len(content) // 2] ^= 0xFF
        assert cause_of(lambda: decode_compressed(format="png", data=content)) == "corrupt"

    def test_whole_file_that_does_not_decode(self) -> None:
        assert cause_of(lambda: decode_compressed(format="png", data=png_announcing(0x4000, 1))) == "corrupt"

    def test_announced_size_is_refused_before_decoding(self, image: np.ndarray) -> None:
        assert (
            cause_of(lambda: decode_compressed(format="png", data=png_announcing(2**31 - 1, 2**31 - 1))) == "too_large"
        )
        huge = jpeg_announcing(encode_jpeg(image), 65000, 65000)
        assert cause_of(lambda: decode_compressed(format="jpeg", data=huge)) == "too_large"

    def test_zero_size(self, image: np.ndarray) -> None:
        empty = jpeg_announcing(encode_jpeg(image), 0, 10)
        assert cause_of(lambda: decode_compressed(format="jpeg", data=empty)) == "size"

    @pytest.mark.parametrize(
        "name", ["16UC1; compressedDepth", "32FC1; compressedDepth png", "mono16; png compressed mono16"]
    )
    def test_depth_and_16_bit_topics(self, image: np.ndarray, name: str) -> None:
        assert cause_of(lambda: decode_compressed(format=name, data=png(image))) == "encoding"

    @pytest.mark.parametrize("original", ["mono16", "rgb16", "bayer_rggb16", "16UC1"])
    def test_the_jpeg_of_a_16_bit_camera_has_8_bits(self, image: np.ndarray, original: str) -> None:
        decoded = decode_compressed(format=f"{original}; jpeg compressed bgr8", data=encode_jpeg(image))
        assert decoded.shape == image.shape

    def test_other_formats(self) -> None:
        assert cause_of(lambda: decode_compressed(format="tiff", data=b"II*\0" + bytes(100))) == "encoding"

    @settings(max_examples=150, deadline=None)
    @given(position=st.integers(0, 3000), value=st.integers(0, 255), cut=st.integers(0, 3000))
    def test_any_damage_is_a_image_or_an_image_error(self, position: int, value: int, cut: int) -> None:
        content = bytearray(encode_jpeg(images.astronaut()[:64, :64]))
        content[position % len(content)] = value
        try:
            decoded = decode_compressed(format="jpeg", data=content[: max(1, len(content) - max(0, cut - 1500))])
        except ImageError:
            return
        assert decoded.dtype == np.uint8


def test_a_image_that_cannot_be_a_jpeg() -> None:
    assert cause_of(lambda: encode_jpeg(np.zeros((0, 4, 3), np.uint8))) == "size"
    assert cause_of(lambda: encode_jpeg(np.zeros((1, 70000), np.uint8))) == "size"


def test_a_jpeg_with_endless_scans_is_refused() -> None:
    ok, jpeg = cv2.imencode(".jpg", np.zeros((64, 64), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert ok
    data = jpeg.tobytes()
    assert decode_compressed(format="jpeg", data=data).shape == (64, 64)
    last = data.rfind(b"\xff\xda")
    with pytest.raises(ImageError, match="more than 64 scans"):
        decode_compressed(format="jpeg", data=data[:-2] + data[last:-2] * 100 + data[-2:])
