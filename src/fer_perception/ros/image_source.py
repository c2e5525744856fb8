"""The node `image_source`: a webcam, a video, or images as sensor_msgs/Image on `image_raw`."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fer_perception.errors import ConfigError, FerError, SourceError
from fer_perception.imaging.rotation import turn
from fer_perception.imaging.sources import Media, MediaFrame, Reconnection, open_media
from fer_perception.ros.conversions import image_message
from fer_perception.ros.parameters import Parameters
from fer_perception.ros.process import ended_by_shutdown, leave_signals_to_rclpy, use_large_shared_memory
from fer_perception.ros.qos import NO_OPTIONS, default_qos, overridden
from fer_perception.ros.topics import SOURCE_IMAGES
from fer_perception.settings.node_settings import ImageSourceSettings, NodeSettings
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.timing import RateLimit

#: An image that is shown for longer is published so often, in Hz.
IMAGE_HZ = 15.0
#: How long the publisher stays after the last frame of what is shown only once, in s.
LINGER = 0.5
#: How many images a second are shown where nobody says.
IMAGES_PER_SECOND = 1.0


class ImageSource(Node):
    """Publishes the frames of one source, in a thread of its own, stamped with the node's clock.

    Args:
        options: passed on to rclpy.node.Node.

    Raises:
        ConfigError: a parameter is bad or `source` is missing.
        SourceError: the source cannot be read.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("image_source", **options)
        self._media: Media | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="image source", daemon=True)
        #: Why it ended; None = it runs, or came to its end.
        self.failure: FerError | None = None
        parameters = Parameters(self, (ImageSourceSettings,), None)
        topic = self.resolve_topic_name(SOURCE_IMAGES.name)
        qos = overridden(parameters, topic, "publisher", default_qos(SOURCE_IMAGES))
        if parameters.problems:
            raise ConfigError("; ".join(parameters.problems.values()))
        beside = (item.name for cls in (PipelineSettings, NodeSettings) for item in dataclasses.fields(cls))
        for text in parameters.unknown(beside, topics=False):
            self.get_logger().warning(text)
        self._settings = parameters.settings(ImageSourceSettings)
        if not self._settings.source:
            msg = "source is empty; expected a webcam's index, a video file or a directory of images (-p source:=...)"
            raise ConfigError(msg)
        self._publisher = self.create_publisher(Image, SOURCE_IMAGES.name, qos, qos_overriding_options=NO_OPTIONS)
        self._media = self._open()
        rate = f"{self._rate(self._media):g} a second"
        self.get_logger().info(f"{self._media.kind} {self._media.name} on {topic}, {rate}")
        #: Time of the frame that was shown last, and the source it is from.
        self._shown: tuple[str, int] = ("", 0)
        #: When it was due, on the monotonic clock; None = nothing was shown yet.
        self._due: float | None = None
        self._thread.start()

    @property
    def finished(self) -> bool:
        """True once the last frame has been published (or reading failed, see `failure`)."""
        return not self._thread.is_alive()

    def destroy_node(self) -> None:
        """End the thread and destroy the node."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        super().destroy_node()

    def _run(self) -> None:
        try:
            if not self._settings.loop:
                self._wait_for_listener()
            while not self._stop.is_set():
                self._play()
                if not self._settings.loop:
                    # The last frames must have left before the process ends.
                    self._publisher.wait_for_all_acked(Duration(seconds=2))
                    # Best-effort listeners acknowledge nothing, and what they have not read yet goes with this process.
                    self._stop.wait(LINGER)
                    return
                if self._stop.is_set():
                    return
                self._media = self._open()
        except FerError as err:
            self.failure = err
        except RuntimeError:
            # A signal ends the context under the publisher.
            if self.context.ok():
                raise

    def _open(self) -> Media:
        reconnection = Reconnection(self._settings.reconnect, self.get_logger().warning, self._stop.wait)
        return open_media(self._settings.source, reconnection=reconnection)

    def _wait_for_listener(self) -> None:
        """Wait for a subscriber, so that a source that plays once is not over before."""
        self.get_logger().info("waiting for a subscriber")
        while self._publisher.get_subscription_count() == 0 and not self._stop.wait(0.05):
            pass

    def _play(self) -> None:
        """Publish the opened source once, from its beginning to its end."""
        media = self._media
        if media is None:
            return
        published = 0
        # A camera's own rate is kept by the camera.
        limit = RateLimit(self._settings.rate, time.monotonic())
        with media:
            for item in media:
                if media.kind == "live" and not item.frame.still:
                    if limit.takes(time.monotonic()):
                        self._publish(item.frame.image)
                        published += 1
                else:
                    self._show(item)
                    published += 1
                if self._stop.is_set():
                    return
        for notice in media.notices:
            self.get_logger().info(notice)
        for problem in media.problems:
            self.get_logger().warning(problem)
        if media.kind == "live" and media.problems and not self._stop.is_set():
            # A camera does not end; not even by `loop` is it begun anew.
            raise SourceError(media.problems[-1])
        if not published:
            msg = f"{media.name} gave no image; {'; '.join(media.problems) or 'it is empty'}"
            raise SourceError(msg)

    def _rate(self, media: Media) -> float:
        if self._settings.rate > 0:
            return self._settings.rate
        return IMAGES_PER_SECOND if media.rate is None else media.rate

    def _show(self, item: MediaFrame) -> None:
        """Publish a frame of a video or an image when it is due, again and again where it stays for long."""
        rate = self._settings.rate or item.rate or IMAGES_PER_SECOND
        source, stamp_ns = self._shown
        period = 1.0 / rate
        if not self._settings.rate and item.rate and item.source == source and item.frame.stamp_ns > stamp_ns:
            # The video's own time, whatever its nominal rate is.
            period = (item.frame.stamp_ns - stamp_ns) * 1e-9
        self._shown = (item.source, item.frame.stamp_ns)
        # A machine that is too slow, or was asleep, does not catch up.
        due = time.monotonic() if self._due is None else max(self._due + period, time.monotonic() - period)
        self._due = due
        repeats = 1 if item.rate else max(1, round(IMAGE_HZ / rate))
        for repeat in range(repeats):
            if self._stop.wait(max(0.0, due + repeat / repeats / rate - time.monotonic())):
                break
            self._publish(item.frame.image)

    def _publish(self, image: NDArray[np.uint8]) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._settings.frame_id)
        self._publisher.publish(image_message(turn(image, self._settings.rotate), header))


def main(args: list[str] | None = None) -> int:
    """Publish until the end of the source, or until told to end.

    Returns:
        Exit status: 0 = ended as told or at the end of the source, 1 = the source cannot be read or a parameter is bad.
    """
    node: ImageSource | None = None
    leave_signals_to_rclpy()
    begun = False
    try:
        use_large_shared_memory()
        rclpy.init(args=args)
        begun = True
        # Before the node: an executor cannot be made any more once a signal has ended the context.
        executor = SingleThreadedExecutor()
        node = ImageSource()
        with ended_by_shutdown():
            executor.add_node(node)
            while not node.finished:
                executor.spin_once(timeout_sec=0.1)
        if node.failure is not None:
            raise node.failure
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except (FerError, RuntimeError) as err:
        if begun and not isinstance(err, FerError) and not rclpy.ok():
            # Told to end while the node was being made.
            return 0
        print(f"image_source: {err}", file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
