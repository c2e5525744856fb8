"""Launcher of the node, for `python -m fer_perception.node` and the installed program `fer_node`."""

import sys

from fer_perception.ros.node import main

if __name__ == "__main__":
    sys.exit(main())
