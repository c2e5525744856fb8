"""Finding the storage files of a bag: what a path is, which files belong to it, what its metadata.yaml says."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from fer_perception.errors import SourceError
from fer_perception.imaging.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from fer_perception.replay import mcap_file, sqlite_file
from fer_perception.replay.mcap_file import McapFile
from fer_perception.replay.sqlite_file import SqliteFile
from fer_perception.replay.storage import ZSTD_MAGIC, DamagedFileError, StorageFile, natural, unzstd_file
from fer_perception.system.files import parse_yaml

METADATA = "metadata.yaml"

#: The newest version of metadata.yaml whose meaning is known (Kilted).
KNOWN_VERSION = 9

_ROS1_MAGIC = b"#ROSBAG V"
#: How the names of storage files end, compressed ones too, in any case.
_STORAGE_NAME = re.compile(r"\.(mcap|db3)(\.(zstd|zst))?$", re.IGNORECASE)
#: The number of a split.
_SPLIT = re.compile(r"(_\d+)?\.(mcap|db3)(\.(zstd|zst))?$", re.IGNORECASE)
#: Files and folders an error names.
_NAMED = 10


@dataclass
class BagFiles:
    """The files of a bag.

    Attributes:
        paths: storage files, in the order of their names or of metadata.yaml.
        announced: messages by topic, as metadata.yaml says.
        digests: hash of the type, as metadata.yaml says, by topic and type.
        notes: what is unusual and harms nothing.
        damage: what is missing.
    """

    paths: list[Path]
    announced: Counter[str] = field(default_factory=Counter)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


def find_files(path: Path) -> BagFiles:
    """The files of the bag that `path` is: a folder, its metadata.yaml, or one storage file.

    Raises:
        SourceError: it does not exist or is something else; the words say what it is.
        DamagedFileError: its metadata.yaml is unusable.
    """
    if not path.exists():
        msg = f"{path} does not exist; expected a rosbag2 directory, .mcap or .db3 file"
        raise SourceError(msg)
    if path.is_dir():
        return _of_folder(path)
    _require_regular(path)
    if path.name == METADATA:
        return _of_folder(path.absolute().parent)
    return BagFiles([path])


def open_file(path: Path, stack: ExitStack) -> StorageFile:
    """Open a storage file of either format, by its content; a compressed one is unpacked into a temporary folder.

    Args:
        path: of the file.
        stack: closes the file and removes what was unpacked.

    Raises:
        SourceError: it is neither; the words say what it is, where that is known.
        DamagedFileError: it is damaged.
        OSError: it cannot be read, or there is no room to unpack it.
    """
    _require_regular(path)
    start = _start(path)
    if start.startswith(ZSTD_MAGIC):
        path = _unpacked(path, Path(stack.enter_context(TemporaryDirectory())))
        start = _start(path)
    opened: StorageFile
    if start.startswith(mcap_file.MAGIC):
        opened = McapFile(path)
    elif start.startswith(sqlite_file.MAGIC):
        opened = SqliteFile(path)
    else:
        raise _no_storage(path, start)
    stack.callback(opened.close)
    return opened


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _unpacked(path: Path, folder: Path) -> Path:
    target = folder / path.stem
    unzstd_file(path, target)
    return target


def _require_regular(path: Path) -> None:
    """Reading a pipe or a device would wait forever, or has effects."""
    if not stat.S_ISREG(path.stat().st_mode):
        msg = f"{path} is no regular file but a pipe, socket or device; a bag is read from a file: save it as one first"
        raise SourceError(msg)


def _no_storage(path: Path, start: bytes) -> Exception:
    suffix = path.suffix.lower()
    if start.startswith(_ROS1_MAGIC) or suffix == ".bag":
        what, fix = "a bag of ROS 1", f"convert it with `rosbags-convert --src {path.name} --dst NEW`"
    elif suffix in VIDEO_SUFFIXES:
        what, fix = "a video", "videos go through `fer run`"
    elif suffix in IMAGE_SUFFIXES:
        what, fix = "an image", "images go through `fer run`"
    elif not start:
        what, fix = "an empty file", "copy it again from where it was recorded"
    else:
        what = f"it starts with {start[:8].hex(' ')}, which is neither MCAP nor SQLite"
        fix = "copy it again from where it was recorded" if _STORAGE_NAME.search(path.name) else "name another file"
    return SourceError(f"{path} is no readable rosbag2 ({what}); {fix}")


def _of_folder(folder: Path) -> BagFiles:
    there = sorted((p for p in folder.iterdir() if _STORAGE_NAME.search(p.name) and p.is_file()), key=natural)
    if not (folder / METADATA).exists():
        return _without_metadata(folder, there)
    _require_regular(folder / METADATA)
    files, listed = _read_metadata(folder / METADATA)
    by_name = {p.name: p for p in there}
    missing = []
    for name in listed:
        found = next((n for n in (name, f"{name}.zstd", f"{name}.zst", PurePath(name).stem) if n in by_name), None)
        if found is not None:
            files.paths.append(by_name.pop(found))
        elif (folder / name).exists():
            files.paths.append(folder / name)
        else:
            missing.append(name)
    if missing and not files.paths and there:
        files.notes.append(
            f"{METADATA} lists {_told(missing)}, not there; read instead: {_told([p.name for p in there])}"
        )
        files.paths = there
    elif missing:
        files.damage.append(f"{METADATA} lists {_told(missing)}, not there")
    elif by_name:
        files.notes.append(f"not read, since {METADATA} does not list it: {_told(list(by_name))}")
    if not files.paths and missing:
        msg = f"{folder} holds none of the files that {METADATA} lists: {_told(missing)}; copy them there"
        raise SourceError(msg)
    return files


def _without_metadata(folder: Path, there: list[Path]) -> BagFiles:
    if there:
        names = [path.name for path in there]
        if len({_SPLIT.sub("", name) for name in names}) > 1:
            msg = f"{folder} holds several bags and no {METADATA}: {_told(names)}; name one of them"
            raise SourceError(msg)
        return BagFiles(there, notes=[f"{folder} has no {METADATA}; read: {_told(names)}"])
    bags = sorted((p for p in folder.iterdir() if p.is_dir() and _is_bag(p)), key=natural)
    if bags:
        msg = f"{folder} is no bag but holds {len(bags)}: {_told([p.name for p in bags])}; name one of them"
        raise SourceError(msg)
    msg = f"{folder} holds no {METADATA} and no .mcap or .db3 file, so it is no rosbag2; name the folder that does"
    raise SourceError(msg)


def _is_bag(folder: Path) -> bool:
    try:
        return any(p.name == METADATA or _STORAGE_NAME.search(p.name) for p in folder.iterdir())
    except OSError:
        return False


def _told(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _read_metadata(path: Path) -> tuple[BagFiles, list[str]]:
    """Contents of a metadata.yaml, and the names of the files it lists."""
    try:
        told: Any = parse_yaml(path.read_text(encoding="utf-8"))
        information = told["rosbag2_bagfile_information"]
        version = information["version"]
        names = [PurePath(name).name for name in information["relative_file_paths"]]
        files = BagFiles([])
        for entry in information["topics_with_message_count"]:
            topic = entry["topic_metadata"]
            name, kind, count = _checked(topic["name"], topic["type"], entry["message_count"])
            files.announced[name] += count
            digest = topic.get("type_description_hash")
            if isinstance(digest, str) and digest:
                files.digests[name, kind] = digest
        newer = isinstance(version, int) and version > KNOWN_VERSION
    except (KeyError, TypeError, AttributeError, ValueError) as err:
        words = " ".join(str(err).split())
        msg = f"{path.name}: {words if ' ' in words else f'{type(err).__name__} {words}'.strip()}"
        raise DamagedFileError(msg) from None
    if newer:
        files.notes.append(
            f"{path} has version {version}, of a newer ROS than this; it is read as version {KNOWN_VERSION}; if "
            "something is missing, update fer_perception and rosbags"
        )
    return files, names


def _checked(name: Any, kind: Any, count: Any) -> tuple[str, str, int]:
    if isinstance(name, str) and isinstance(kind, str) and isinstance(count, int):
        return name, kind, count
    msg = f"name, type and number of messages of a topic are {name!r}, {kind!r} and {count!r}"
    raise TypeError(msg)
