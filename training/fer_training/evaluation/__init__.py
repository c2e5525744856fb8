"""Figures of a model on a data set: metrics, calibration, the data they are measured on."""
