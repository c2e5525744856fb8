"""Checks of packages, model files, backends and caches."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fer_perception import __version__
from fer_perception.doctor.check import Check, CheckStatus
from fer_perception.errors import FerError
from fer_perception.settings.pipeline_settings import PipelineSettings


def check_machine(settings: PipelineSettings, progress: Callable[[str], None]) -> list[Check]:
    """Everything that needs no ROS.

    Args:
        settings: whose backend, model and detector are tried.
        progress: is told what takes long (the build of an engine).
    """
    return [
        Check(
            "fer_perception", CheckStatus.OK, f"{__version__}, Python {platform.python_version()}, {platform.machine()}"
        ),
        _check_opencv(),
        _check_package("onnxruntime", "runs both networks on the processor", "pip install onnxruntime"),
        _check_package("yaml", "reads parameter files", "pip install pyyaml"),
        _check_package("scipy", "matches detections with tracks", "pip install scipy"),
        _check_package("rosbags", "fer replay reads and writes bags with it", "pip install rosbags", needed=False),
        *_check_model_files(),
        _check_detector(settings),
        _check_classifier(settings, progress),
        *_check_caches(),
    ]


def _check_package(name: str, what_for: str, fix: str, *, needed: bool = True) -> Check:
    verdict = CheckStatus.FAILED if needed else CheckStatus.WARNING
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as err:
        if err.name == name:
            return Check(name, verdict, f"is not installed; {what_for}", fix)
        return Check(name, verdict, f"lacks a package of its own ({err}); {what_for}", fix)
    except Exception as err:  # noqa: BLE001 - a broken installation may end in anything
        return Check(name, verdict, f"is installed but does not load ({err}); {what_for}", f"{fix} --force-reinstall")
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        # Builds for Jetson carry other distribution names.
        version = str(getattr(module, "__version__", "version unknown"))
    if name == "onnxruntime":
        providers = module.get_available_providers()
        version += f" with {', '.join(provider.removesuffix('ExecutionProvider') for provider in providers)}"
    return Check(name, CheckStatus.OK, version)


def _check_opencv() -> Check:
    fix = "pip install 'opencv-python-headless>=4.8,<5'"
    found = _check_package("cv2", "reads and turns images", fix)
    if found.verdict is not CheckStatus.OK:
        return replace(found, name="opencv")
    import cv2

    parts = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in cv2.__version__.split(".")[:2])
    if parts >= (5, 0):
        return Check(
            "opencv", CheckStatus.WARNING, f"{cv2.__version__}: has no Haar cascades and breaks cv_bridge", fix
        )
    if parts < (4, 8):
        told = f"{cv2.__version__}: its FaceDetectorYN cannot read YuNet of 2023; YuNet through ONNX Runtime can"
        return Check("opencv", CheckStatus.OK, told)
    return Check("opencv", CheckStatus.OK, cv2.__version__)


def _check_model_files() -> list[Check]:
    from fer_perception.model_files.store import FileState, ModelStore

    checks = []
    for verdict in ModelStore().verify():
        name = f"model {verdict.entry.name}"
        if verdict.state in {FileState.OK, FileState.NO_HASH}:
            checks.append(Check(name, CheckStatus.OK, f"{verdict.path}, from {verdict.origin}"))
        elif verdict.state is FileState.MISSING:
            fix = f"fer models fetch {verdict.entry.name}"
            checks.append(Check(name, CheckStatus.WARNING, "is not here; the Haar detector is weaker", fix))
        elif verdict.entry.fetchable:
            checks.append(Check(name, CheckStatus.FAILED, verdict.message, "remove the file and fetch it again"))
        else:
            # It may have been replaced on purpose; whether the one in use works is tried below.
            checks.append(Check(name, CheckStatus.WARNING, verdict.message, "see the message"))
    return checks


def _check_detector(settings: PipelineSettings) -> Check:
    try:
        from fer_perception.detection.create import create_detector

        detector = create_detector(
            settings.detector,
            threshold=settings.detection_threshold,
            detection_size=settings.detection_size,
            min_face_size=settings.min_face_size,
            max_faces=settings.max_faces,
            threads=settings.threads,
        )
    except FerError as err:
        return Check("face detector", CheckStatus.FAILED, str(err), "fer models fetch yunet")
    except ImportError as err:
        return Check("face detector", CheckStatus.FAILED, f"cannot be tried: {err}", "install what is missing above")
    try:
        if detector.fallback and detector.name == "haar":
            return Check("face detector", CheckStatus.WARNING, f"haar: {detector.reason}", "fer models fetch yunet")
        told = f"{detector.name}: {detector.reason}; {detector.model_file}"
        return Check("face detector", CheckStatus.OK, told)
    finally:
        detector.close()


def _check_classifier(settings: PipelineSettings, progress: Callable[[str], None]) -> Check:
    try:
        from fer_perception.classification.create import create_classifier

        classifier = create_classifier(
            settings.model, backend=settings.backend, threads=settings.threads, progress=progress
        )
    except FerError as err:
        return Check("expression model", CheckStatus.FAILED, str(err), "see the message, or set model and backend")
    except ImportError as err:
        return Check("expression model", CheckStatus.FAILED, f"cannot be tried: {err}", "install what is missing above")
    try:
        told = f"{classifier.metadata.model_id} on {classifier.backend}: {classifier.reason}"
        if classifier.fallback:
            fix = "see the reason, or set backend to onnxruntime if the processor will do"
            return Check("expression model", CheckStatus.WARNING, told, fix)
        if warning := classifier.metadata.prior_warning:
            return Check("expression model", CheckStatus.WARNING, f"{told}; {warning}", "fer-train export")
        return Check("expression model", CheckStatus.OK, told)
    finally:
        classifier.close()


def _check_caches() -> list[Check]:
    from fer_perception.inference.tensorrt.engine_cache import default_cache_directory
    from fer_perception.model_files.store import ModelStore

    return [
        check_writable("cache of models", ModelStore().cache_directory),
        check_writable("cache of engines", default_cache_directory()),
    ]


def check_writable(name: str, directory: Path) -> Check:
    """Check that files can be made in `directory` (which is made where it is missing)."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as err:
        fix = f"make {directory} writable, or set XDG_CACHE_HOME to another place"
        return Check(name, CheckStatus.WARNING, f"{directory} cannot be written: {err.strerror}", fix)
    return Check(name, CheckStatus.OK, str(directory))
