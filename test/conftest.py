"""What all tests share: where the face detector's files are, which tests can run, a DDS domain of one's own."""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Processes that tests start inherit it.
if (ROOT.parent / "shared" / "models").is_dir():
    os.environ.setdefault("FER_MODEL_DIR", str(ROOT.parent / "shared" / "models"))

_domains = itertools.count(os.getpid())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `ros` or `yunet` where that is missing."""
    skips = {"ros": _without_ros(), "yunet": _without_yunet()}
    for item in items:
        for marker, reason in skips.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _without_ros() -> str:
    missing = [name for name in ("rclpy", "fer_msgs") if importlib.util.find_spec(name) is None]
    return f"no {' and no '.join(missing)} here: `make test` builds what is needed" if missing else ""


def _without_yunet() -> str:
    """The Haar cascade that serves instead sees a second face here and there."""
    from fer_perception.errors import ModelError
    from fer_perception.model_files.store import ModelStore

    try:
        ModelStore().find("yunet")
    except ModelError:
        return "no YuNet here: `make models` fetches it"
    return ""


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return ROOT


@pytest.fixture
def ros_domain_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A DDS domain nobody on this machine uses, for `rclpy.Context.init(domain_id=...)` and for started processes.

    ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST (ROS_LOCALHOST_ONLY=1 before Jazzy) are set in the
    environment for the length of the test. Every test gets another domain: participants of the one before may not have
    left theirs yet.
    """
    coordinator = pytest.importorskip("domain_coordinator", reason="ros-domain-coordinator is not installed")
    with coordinator.domain_id(lambda: next(_domains) % 100 + 1) as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        if os.environ.get("ROS_DISTRO") == "humble":
            monkeypatch.setenv("ROS_LOCALHOST_ONLY", "1")
        else:
            monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain
