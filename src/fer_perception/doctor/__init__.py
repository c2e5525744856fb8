"""Diagnosis of the machine: packages, models, backends, ROS, and whether images arrive."""
