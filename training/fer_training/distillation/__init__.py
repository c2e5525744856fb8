"""Targets from other networks and annotators: teacher files, cross-fitting, vote models."""
