"""Facial expression recognition for ROS 2: camera topics in, calibrated and smoothed emotions out."""

import os

# ONNX Runtime from 1.29 reports its use to its makers over the network and keeps a device id in the user's cache. What
# looks at people's faces sends nothing anywhere; the library reads this when it is loaded. A user's own choice wins.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
