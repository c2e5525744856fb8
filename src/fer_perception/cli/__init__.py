"""The command line `fer`. Exit status: 0 done, 1 failed (the reason is on stderr), 2 wrong usage.

The modules that `app.COMMANDS` names register their command with `register(app)` and import what is heavy (NumPy,
OpenCV, ONNX Runtime, rclpy) inside the command, so that `fer --help` and shell completion answer at once.
"""

from __future__ import annotations

import os
import sys

#: As `imaging.encodings.MAX_PIXELS`, which cannot be imported before OpenCV is.
_MAX_PIXELS = 8192 * 8192


def main() -> None:
    """Run the command line of this process and exit."""
    # OpenCV reads it once, when it is imported: an image of a few bytes must not cost gigabytes. A user's own wins.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(_MAX_PIXELS))
    try:
        # Here, so that Ctrl-C during the quarter of a second it takes ends as at any later time.
        try:
            from fer_perception.cli.app import run_app
        except ImportError as err:
            sys.stderr.write(f"fer: a package of the command line is missing ({err}); run `pip install typer rich`\n")
            sys.exit(1)

        run_app()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("fer: interrupted\n")
        sys.exit(1)
