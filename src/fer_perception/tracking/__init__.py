"""Stable ids of faces over time. Knows geometry and seconds only."""
