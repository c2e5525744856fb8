"""Launcher of the image source, for `python -m fer_perception.image_source` and the installed program of that name."""

import sys

from fer_perception.ros.image_source import main

if __name__ == "__main__":
    sys.exit(main())
