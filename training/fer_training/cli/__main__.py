"""Launcher of `python -m fer_training.cli`."""

from fer_training.cli.app import main

main()
