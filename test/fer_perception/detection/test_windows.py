"""Windows around faces: where they lie, what they hold, at the border and beyond it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_perception.detection.windows import WINDOW_SIZE, Window, cut_windows, window_around


def box(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


class TestWindow:
    def test_it_is_twice_as_large_as_the_face_and_around_its_middle(self) -> None:
        assert window_around(box(100, 50, 60, 80)) == Window(50, 10, 160)

    def test_it_may_reach_over_the_border(self) -> None:
        assert window_around(box(-20, -30, 40, 40)) == Window(-40, -50, 80)

    @pytest.mark.parametrize("size", [(0, 0), (-3, -3), (1, 0), (0.2, 0.4)])
    def test_a_box_without_size_counts_as_a_pixel(self, size: tuple[float, float]) -> None:
        assert window_around(box(10, 10, *size)).side == 8

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_a_place_that_is_none_is_told(self, bad: float) -> None:
        with pytest.raises(ValueError, match="expected finite numbers"):
            window_around(box(bad, 0, 10, 10))

    def test_it_stays_while_the_face_moves_or_grows_a_little(self) -> None:
        first = window_around(box(100, 100, 80, 100))
        assert window_around(box(108, 92, 80, 100), first) is first
        assert window_around(box(95, 90, 90, 115), first) is first
        assert window_around(box(120, 100, 80, 100), first) != first
        assert window_around(box(80, 75, 120, 150), first) != first
        assert window_around(box(115, 120, 50, 60), first) != first

    def test_what_its_edge_cuts_it_does_not_hold(self) -> None:
        window = Window(100, 100, 200)
        assert window.holds(box(120, 120, 50, 50), 640, 480)
        assert not window.holds(box(90, 120, 50, 50), 640, 480)
        assert not window.holds(box(120, 260, 50, 50), 640, 480)
        # An edge beyond that of the image cuts nothing.
        assert Window(-50, -50, 200).holds(box(-10, -10, 50, 50), 640, 480)
        assert Window(500, 300, 200).holds(box(600, 440, 60, 60), 640, 480)


class TestCut:
    def test_pixels_lie_where_the_window_says(self) -> None:
        image = np.zeros((480, 640, 3), np.uint8)
        cv2.rectangle(image, (200, 100), (263, 163), (10, 200, 30), -1)
        (window,) = cut_windows([(image, Window(168, 68, 128))])
        assert window.shape == (WINDOW_SIZE, WINDOW_SIZE, 3)
        assert window[32:96, 32:96].min(axis=(0, 1)).tolist() == [10, 200, 30]
        assert window[:32].max() == window[96:].max() == 0

    @pytest.mark.parametrize("side", [60, 128, 200, 256, 600, 1500])
    def test_every_scale_keeps_the_middle_in_the_middle(self, side: int) -> None:
        image = np.zeros((1600, 1600, 3), np.uint8)
        cv2.circle(image, (800, 800), side // 8, (255, 255, 255), -1)
        (window,) = cut_windows([(image, Window(800 - side // 2, 800 - side // 2, side))])
        y, x = (float(values.mean()) for values in np.nonzero(window[..., 0] > 127))
        assert (x, y) == pytest.approx((WINDOW_SIZE / 2, WINDOW_SIZE / 2), abs=1.5)

    def test_beyond_the_border_it_is_black(self) -> None:
        image = np.full((100, 100), 255, np.uint8)
        half, outside, far = cut_windows(
            [(image, Window(-64, 0, 128)), (image, Window(100, 0, 128)), (image, Window(-5000, 7000, 20))]
        )
        assert half[:100, 64:].min() == 255
        assert half[:, :64].max() == 0
        assert outside.max() == far.max() == 0

    @pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 1, 1), (1, 700, 3), (700, 1)])
    @pytest.mark.parametrize("window", [Window(-4, -4, 8), Window(0, 0, 8), Window(-1000, -1000, 2000)])
    def test_images_of_a_pixel(self, shape: tuple[int, ...], window: Window) -> None:
        (found,) = cut_windows([(np.full(shape, 77, np.uint8), window)])
        assert set(np.unique(found)) <= {0, 77}

    def test_gray_and_color_share_a_batch(self) -> None:
        gray, color = np.full((64, 64), 9, np.uint8), np.full((64, 64, 3), 9, np.uint8)
        one, other = cut_windows([(gray, Window(0, 0, 64)), (color, Window(0, 0, 64))])
        np.testing.assert_array_equal(one, other)

    def test_no_window(self) -> None:
        assert cut_windows([]).shape == (0, WINDOW_SIZE, WINDOW_SIZE, 3)
