"""ROS4HRI: our faces on its topics, and another node's faces read from there.

hri_msgs is on no package index, so a copy of the few definitions that are needed is built once, into build/.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from changed_model import with_metadata
from made_results import make_face

pytestmark = pytest.mark.ros

DEFINITIONS = {
    "IdsList": "std_msgs/Header header\nstring[] ids\n",
    "NormalizedRegionOfInterest2D": (
        "std_msgs/Header header\nfloat32 xmin\nfloat32 ymin\nfloat32 xmax\nfloat32 ymax\nfloat32 c\n"
    ),
    "Expression": ("std_msgs/Header header\nstring expression\nfloat32 valence\nfloat32 arousal\nfloat32 confidence\n"),
}
PACKAGE_XML = """<package format="3"><name>hri_msgs</name><version>0.0.0</version><description>for tests</description>
<maintainer email="nobody@example.com">nobody</maintainer><license>none</license>
<buildtool_depend>ament_cmake</buildtool_depend><build_depend>rosidl_default_generators</build_depend>
<depend>std_msgs</depend><exec_depend>rosidl_default_runtime</exec_depend>
<member_of_group>rosidl_interface_packages</member_of_group>
<export><build_type>ament_cmake</build_type></export></package>
"""
CMAKE = """cmake_minimum_required(VERSION 3.16)
project(hri_msgs)
find_package(ament_cmake REQUIRED)
find_package(std_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
rosidl_generate_interfaces(hri_msgs {files} DEPENDENCIES std_msgs)
ament_package()
"""


@pytest.fixture(scope="session")
def hri_msgs(repository: Path) -> Any:
    """The module hri_msgs.msg: that of a ROS installation, else our small build."""
    if importlib.util.find_spec("hri_msgs") is not None:
        return importlib.import_module("hri_msgs.msg")
    if shutil.which("colcon", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("colcon is not installed, so hri_msgs cannot be built")
    text = PACKAGE_XML + CMAKE + str(sorted(DEFINITIONS.items())) + sys.version
    prefix = repository / "build" / "test_hri_msgs" / hashlib.sha256(text.encode()).hexdigest()[:12]
    if not (prefix / "done").exists():
        build(prefix, repository)
    library = prefix / "install" / "hri_msgs" / "lib"
    sys.path.append(str(next(library.glob("python3*/site-packages"))))
    # rcl looks for type support in LD_LIBRARY_PATH as it is now; the dynamic linker only as it was at the start, so
    # what the libraries need of one another is loaded before.
    os.environ["LD_LIBRARY_PATH"] = f"{os.environ.get('LD_LIBRARY_PATH', '')}:{library}"
    waiting = sorted(library.glob("libhri_msgs__*.so"))
    for _ in range(len(waiting)):
        waiting = [path for path in waiting if not loaded(path)]
    assert not waiting, waiting
    return importlib.import_module("hri_msgs.msg")


def build(prefix: Path, repository: Path) -> None:
    source = prefix / "src" / "hri_msgs"
    shutil.rmtree(prefix, ignore_errors=True)
    (source / "msg").mkdir(parents=True)
    for name, definition in DEFINITIONS.items():
        (source / "msg" / f"{name}.msg").write_text(definition, encoding="utf-8")
    (source / "package.xml").write_text(PACKAGE_XML, encoding="utf-8")
    files = " ".join(f'"msg/{name}.msg"' for name in DEFINITIONS)
    (source / "CMakeLists.txt").write_text(CMAKE.format(files=files), encoding="utf-8")
    done = subprocess.run(
        [repository / "tools" / "with_env", "colcon", "build", "--base-paths", source],
        cwd=prefix,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FER_VENV": sys.prefix, "CMAKE_BUILD_PARALLEL_LEVEL": "2"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (prefix / "done").touch()


def loaded(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


class Namespace(SimpleNamespace):
    """Stands for hri_msgs.msg where only the mapping is looked at."""


PLAIN = Namespace(Expression=SimpleNamespace, NormalizedRegionOfInterest2D=SimpleNamespace)


def face(**changes: Any) -> Any:
    from fer_perception.pipeline_types import FaceResult, Phase

    scores = np.array([0.05, 0.05, 0.1, 0.5, 0.1, 0.1, 0.1])
    made = FaceResult(
        "f1", "happy", 0.5, scores, scores, 0.4, 0.3, Phase.APEX, (32, 24, 64, 48), None, 0.9, 0.8, 1.0, observed=True
    )
    return replace(made, **changes)


def test_the_mapping_of_an_expression() -> None:
    from fer_perception.labels import LABELS
    from fer_perception.ros.hri_messages import expression_message

    message = expression_message(PLAIN, face(), LABELS, "header")
    assert (message.header, message.expression, message.confidence) == ("header", "happy", 0.5)
    assert (message.valence, message.arousal) == (0.4, 0.3)
    undecided = expression_message(PLAIN, face(emotion="", valence=math.nan, arousal=math.nan), LABELS, None)
    assert (undecided.expression, undecided.valence, undecided.arousal) == ("happy", 0.0, 0.0)


def test_contempt_is_never_sent() -> None:
    from fer_perception.labels import LABELS_WITH_CONTEMPT
    from fer_perception.ros.hri_messages import expression_message

    scores = np.array([0.0, 0.0, 0.1, 0.0, 0.2, 0.0, 0.1, 0.6])
    message = expression_message(PLAIN, face(emotion="contempt", scores=scores), LABELS_WITH_CONTEMPT, None)
    assert (message.expression, message.confidence) == ("sad", pytest.approx(0.2))


def test_the_mapping_of_a_box() -> None:
    from fer_perception.pipeline_types import FrameResult
    from fer_perception.ros.hri_messages import roi_message

    result = FrameResult("/c", 0, 320, 240, (), "m", (face(),))
    message = roi_message(PLAIN, face(), result, "header")
    assert (message.xmin, message.ymin, message.xmax, message.ymax) == pytest.approx((0.1, 0.1, 0.3, 0.3))
    assert message.c == pytest.approx(0.9)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_aligned_face_is_averaged_not_sampled(channels: int) -> None:
    """A face of 1,280 pixels, covered with lines of two pixels: its aligned crop is evenly gray, without a pattern."""
    from fer_perception.ros.hri_publisher import aligned

    side = 1280
    image = np.zeros((side, side), np.uint8)
    image[:, ::4] = image[:, 1::4] = 255
    if channels == 3:
        image = np.repeat(image[..., None], 3, axis=2)
    face = make_face("f00001", "happy", (0, 0, side, side))
    crop = aligned(image, replace(face, landmarks=None))
    assert crop.shape == (128, 128, *image.shape[2:])
    inner = crop[32:96, 32:96].astype(float)
    assert inner.mean() == pytest.approx(127.5, abs=3)
    # Sampled as before it was 102.
    assert inner.std() < 12


def test_without_hri_msgs_configure_fails_and_says_what_to_install(
    probe: Any, monkeypatch: pytest.MonkeyPatch, astronaut: Any
) -> None:
    monkeypatch.setitem(sys.modules, "hri_msgs", None)
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", None)
    probe.start(wait_for="", ros4hri="publish")
    assert probe.until_status("fer: node", "hri-msgs").level == b"\x02"
    assert probe.set(ros4hri="disabled")[0].successful
    assert probe.change_state(1)
    assert probe.change_state(3)
    probe.ask(astronaut, 1.0)


@pytest.mark.slow
def test_a_model_without_any_expression_of_hri_msgs_fails_configure(
    hri_msgs: Any, probe: Any, repository: Path, tmp_path: Path, astronaut: Any
) -> None:
    shipped = repository / "models" / "arch1_fer2013.onnx"
    moods = with_metadata(shipped, tmp_path / "moods.onnx", "fer.labels", [f"mood {number}" for number in range(7)])
    probe.start(wait_for="", ros4hri="publish", model=str(moods))
    assert probe.until_status("fer: node", "mood 0, mood 1").level == b"\x02"
    assert probe.set(ros4hri="disabled")[0].successful
    assert probe.change_state(1)
    assert probe.change_state(3)
    probe.ask(astronaut, 1.0)


@pytest.mark.slow
def test_publish_announces_the_faces_and_their_topics_come_and_go(
    hri_msgs: Any, probe: Any, astronaut: Any, nobody: Any
) -> None:
    from sensor_msgs.msg import Image

    tracked: list[Any] = []
    rois: list[Any] = []
    expressions: list[Any] = []
    images: dict[str, list[Any]] = {"cropped": [], "aligned": []}
    probe.subscribe(hri_msgs.IdsList, "/humans/faces/tracked", tracked)
    base = "/humans/faces/f00001"
    probe.subscribe(hri_msgs.NormalizedRegionOfInterest2D, f"{base}/roi", rois)
    probe.subscribe(hri_msgs.Expression, f"{base}/expression", expressions)
    for name, into in images.items():
        probe.subscribe(Image, f"{base}/{name}", into)
    probe.start(ros4hri="publish", track_timeout=5.0)

    probe.ask(astronaut, 1.0)
    probe.until(lambda: tracked)
    assert list(tracked[-1].ids) == []
    assert face_topics(probe) == set()
    stamp = 1.0

    def another() -> bool:
        nonlocal stamp
        stamp += 0.1
        probe.ask(astronaut, stamp)
        return bool(expressions and rois and all(images.values()))

    probe.until(another)
    assert list(tracked[-1].ids) == ["f00001"]
    assert face_topics(probe) == {f"{base}/{name}" for name in ("roi", "cropped", "aligned", "expression")}
    answer = next(m for m in probe.emotions if m.header.stamp == expressions[-1].header.stamp)
    (emotion,) = answer.emotions
    assert expressions[-1].expression == "happy"
    assert expressions[-1].confidence == pytest.approx(emotion.confidence, abs=1e-5)
    assert expressions[-1].header == answer.header
    assert rois[-1].xmin * 320 == pytest.approx(emotion.roi.x_offset, abs=0.01)
    assert rois[-1].ymax * 240 == pytest.approx(emotion.roi.y_offset + emotion.roi.height, abs=0.01)
    for name, into in images.items():
        assert (into[-1].width, into[-1].height, into[-1].encoding) == (128, 128, "bgr8"), name
        assert np.std(np.frombuffer(into[-1].data, np.uint8)) > 20

    probe.ask(nobody, stamp + 1)
    assert face_topics(probe)
    probe.ask(nobody, stamp + 10)
    probe.until(lambda: list(tracked[-1].ids) == [] and not face_topics(probe))


@pytest.mark.slow
def test_topics_vanish_when_the_camera_falls_silent_and_at_cleanup(hri_msgs: Any, probe: Any, astronaut: Any) -> None:
    tracked: list[Any] = []
    probe.subscribe(hri_msgs.IdsList, "/humans/faces/tracked", tracked)
    probe.start(ros4hri="publish")
    probe.ask(astronaut, 1.0)
    probe.ask(astronaut, 1.1)
    probe.until(lambda: tracked and list(tracked[-1].ids) == ["f00001"])
    assert probe.set(track_timeout=0.1)[0].successful
    probe.until(lambda: list(tracked[-1].ids) == [] and not face_topics(probe))
    assert probe.set(track_timeout=30.0)[0].successful

    probe.ask(astronaut, 1.2)
    probe.ask(astronaut, 1.3)
    probe.until(lambda: list(tracked[-1].ids) == ["f00002"])
    assert probe.change_state(4)
    assert probe.change_state(2)
    probe.until(lambda: not face_topics(probe))
    assert not publishers(probe.fer)


@pytest.mark.slow
def test_consume_reads_another_nodes_faces_and_publishes_only_expressions(
    hri_msgs: Any, probe: Any, as_message: Any, astronaut: Any
) -> None:
    expressions: list[Any] = []
    probe.subscribe(hri_msgs.Expression, "/humans/faces/other1/expression", expressions)
    tracked = probe.node.create_publisher(hri_msgs.IdsList, "/humans/faces/tracked", 1)
    log = probe.listen_to_log()
    probe.start(ros4hri="consume")
    assert probe.node.count_subscribers("/image_raw") == 0
    probe.until(lambda: tracked.get_subscription_count() > 0)
    # What a detector would cut out.
    crop = as_message(np.ascontiguousarray(astronaut[35:155, 75:195]))
    topic = "/humans/faces/other1/cropped"
    stamp = 1.0

    def another() -> bool:
        nonlocal stamp
        stamp += 0.1
        # Again and again, as detectors do: the two sides of a connection do not come up at the same moment.
        tracked.publish(hri_msgs.IdsList(ids=["", "1abc", "other1", "a-b", "face 1", "x" * 300]))
        probe.send(crop, stamp, topic)
        return len(expressions) >= 3

    probe.until(another)
    # Ids that cannot be a part of a topic name cost nobody anything.
    probe.until(lambda: any("'1abc', 'a-b', 'face 1'" in entry.msg for entry in log))
    assert "1 faces followed" in probe.fresh_status("faces /humans/faces/tracked").message
    assert expressions[-1].expression == "happy"
    assert expressions[-1].header.frame_id == "camera_optical_frame"
    assert expressions[-1].confidence > 0.5
    assert probe.emotions == []
    # A busy machine may say overloaded or stale; nothing may be wrong with the images.
    status = probe.fresh_status("faces /humans/faces/tracked")
    assert status.level != b"\x02", status.message
    assert "bad images" not in status.message
    values = {pair.key: pair.value for pair in status.values}
    assert topic in values
    assert float(values["output rate (Hz)"]) > 0

    tracked.publish(hri_msgs.IdsList(ids=[]))
    probe.until(lambda: probe.node.count_subscribers(topic) == 0)
    # Faces come and go; a status that came and went with them would be an error to diagnostic_aggregator for ever.
    probe.until_status("faces /humans/faces/tracked", "0 faces followed")
    names = {status.name for message in probe.diagnostics for status in message.status}
    assert names == {"fer: node", "fer: pipeline", "fer: faces /humans/faces/tracked"}
    probe.until(lambda: probe.node.count_publishers("/humans/faces/other1/expression") == 0)
    assert probe.change_state(4)
    assert probe.change_state(3)
    assert probe.state == "active"


@pytest.mark.slow
def test_the_topics_of_all_faces_take_overrides(hri_msgs: Any, probe: Any, astronaut: Any) -> None:
    del hri_msgs
    name = "qos_overrides./humans/faces/cropped.publisher"
    probe.start(
        wait_for="",
        ros4hri="publish",
        **{
            f"{name}.reliability": "perhaps",
            f"{name}.depth": 3,
            "qos_overrides./humans/faces/tracked.publisher.durability": "transient_local",
        },
    )
    assert "expected one of: system_default, reliable" in probe.until_status("fer: node", "perhaps").message
    assert probe.set(**{f"{name}.reliability": "best_effort"})[0].successful
    assert probe.change_state(1)
    assert probe.change_state(3)
    probe.ask(astronaut, 1.0)
    probe.ask(astronaut, 1.1)
    probe.until(lambda: len(face_topics(probe)) == 4)
    assert policies(probe, "/humans/faces/tracked") == ("RELIABLE", "TRANSIENT_LOCAL")
    assert policies(probe, "/humans/faces/f00001/cropped") == ("BEST_EFFORT", "VOLATILE")
    assert policies(probe, "/humans/faces/f00001/aligned") == ("RELIABLE", "VOLATILE")
    depth = {p.topic_name.rpartition("/")[2]: p.qos_profile.depth for p in publishers(probe.fer)}
    assert (depth["cropped"], depth["aligned"]) == (3, 1)


@pytest.mark.slow
def test_the_topics_that_are_consumed_take_overrides(hri_msgs: Any, probe: Any) -> None:
    tracked = probe.node.create_publisher(hri_msgs.IdsList, "/humans/faces/tracked", 1)
    probe.start(
        ros4hri="consume",
        **{
            "qos_overrides./humans/faces/cropped.subscription.reliability": "reliable",
            "qos_overrides./humans/faces/expression.publisher.durability": "transient_local",
        },
    )
    topic = "/humans/faces/other1/cropped"

    def followed() -> bool:
        tracked.publish(hri_msgs.IdsList(ids=["other1"]))
        return probe.node.count_subscribers(topic) > 0

    probe.until(followed)
    (reader,) = probe.node.get_subscriptions_info_by_topic(topic)
    assert reader.qos_profile.reliability.name == "RELIABLE"
    probe.until(lambda: probe.node.count_publishers("/humans/faces/other1/expression") > 0)
    assert policies(probe, "/humans/faces/other1/expression") == ("RELIABLE", "TRANSIENT_LOCAL")


def publishers(fer: Any) -> list[Any]:
    return [publisher for publisher in fer.publishers if publisher.topic_name.startswith("/humans")]


def policies(probe: Any, topic: str) -> tuple[str, str]:
    """Reliability and durability of the only publisher, as the network knows them."""
    (info,) = probe.node.get_publishers_info_by_topic(topic)
    return info.qos_profile.reliability.name, info.qos_profile.durability.name


def face_topics(probe: Any) -> set[str]:
    names = {name for name, _ in probe.node.get_topic_names_and_types() if name.startswith("/humans/faces/f")}
    return {name for name in names if probe.node.count_publishers(name) > 0}
