"""A command as people see it: in a terminal of a certain width instead of a pipe."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence


def run_in_terminal(command: Sequence[str], *, columns: int, stderr: bool = True) -> tuple[int, str]:
    """Run a command whose stdout, and where asked for whose stderr, is a terminal.

    Returns:
        Its exit status, and what it wrote there without colors and movements of the cursor.
    """
    terminal, other_end = pty.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    surroundings = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    with subprocess.Popen(
        command,
        stdout=other_end,
        stderr=other_end if stderr else subprocess.DEVNULL,
        env={**surroundings, "TERM": "xterm"},
    ) as process:
        os.close(other_end)
        written = bytearray()
        # Linux ends a terminal whose other end was closed with EIO.
        with contextlib.suppress(OSError):
            while part := os.read(terminal, 65536):
                written += part
    os.close(terminal)
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
