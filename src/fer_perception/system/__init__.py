"""Wrappers of the operating system: files, paths, processes."""
