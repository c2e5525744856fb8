"""Figures, pages, tables and model cards made of measured results."""
