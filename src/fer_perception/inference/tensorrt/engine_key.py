"""Key of a compiled engine: every fact that makes it unusable when it changes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Smallest, preferred and largest batch of the optimization profile.
PROFILE: tuple[int, int, int] = (1, 8, 64)
#: Version of our own way of building; raise it whenever flags, pinned layers or the profile change.
RECIPE = 1

#: Who built the engine: our own parser path (`fer compile`) or torch2trt (`fer-train compile --builder torch2trt`).
BUILDERS: tuple[str, ...] = ("onnx", "torch2trt")


@dataclass(frozen=True)
class EngineKey:
    """Identity of an engine; two engines with the same key are interchangeable.

    Attributes:
        gpu: name of the device, e.g. "Orin".
        compute_capability: e.g. "8.7".
        tensorrt: full version.
        cuda: CUDA version and, on a Jetson, the L4T release, e.g. "12.2 L4T 36.2.0".
        model: model name, for people.
        model_sha256: of the FP32 ONNX file.
        graph_sha256: of the file that was parsed (the FP16 graph where the network is strongly typed).
        precision: asked for: "fp16" or "fp32".
        typing: "weak" or "strong".
        profile: smallest, preferred and largest batch.
        builder: one of `BUILDERS`.
        recipe: `RECIPE`.
    """

    gpu: str
    compute_capability: str
    tensorrt: str
    cuda: str
    model: str
    model_sha256: str
    graph_sha256: str
    precision: str
    typing: str
    profile: tuple[int, int, int] = PROFILE
    builder: str = "onnx"
    recipe: int = RECIPE

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "profile": list(self.profile)}

    @property
    def digest(self) -> str:
        """Hash over all fields, hexadecimal."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    @property
    def stem(self) -> str:
        """File name without its ending: model, device and hash; nothing in it can leave a directory."""
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", f"{self.model} {self.gpu} {self.builder}").strip("-.")
        return f"{readable}-{self.digest[:16]}"

    def differences(self, recorded: dict[str, Any]) -> list[str]:
        """Differences between this key and another one.

        Args:
            recorded: `as_dict` of the other, as read from a manifest.

        Returns:
            "field: theirs, expected ours" for each field that differs; empty where the keys are equal.
        """
        own = self.as_dict()
        names = sorted(own.keys() | recorded.keys())
        return [
            f"{name}: {recorded.get(name)!r}, expected {own.get(name)!r}"
            for name in names
            if recorded.get(name) != own.get(name)
        ]


def l4t_release(text: str) -> str:
    """The Jetson Linux release in the first line of /etc/nv_tegra_release, e.g. "36.2.0"; "" where there is none.

    The line reads "# R36 (release), REVISION: 2.0, GCID: ..., BOARD: ..." .
    """
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else ""


def cuda_description(version: tuple[int, ...], release_file: Path = Path("/etc/nv_tegra_release")) -> str:
    """CUDA version and, on a Jetson, the L4T release: an engine survives neither changing.

    Args:
        version: (major, minor, patch) as the driver binding reports it.
        release_file: says the L4T release on a Jetson.
    """
    text = ".".join(str(part) for part in version[:2])
    try:
        release = l4t_release(release_file.read_text(errors="replace"))
    except OSError:
        release = ""
    return f"{text} L4T {release}" if release else text
