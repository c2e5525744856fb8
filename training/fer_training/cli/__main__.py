"""Launcher of `python -m fer_training.cli`."""

from fer_training.cli import main

main()
