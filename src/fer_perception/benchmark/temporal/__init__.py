"""Comparison of temporal filters on sequences made of real network outputs."""
