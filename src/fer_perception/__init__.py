"""Facial expression recognition for ROS 2: camera topics in, calibrated and smoothed emotions out."""

__version__ = "0.1.0"
