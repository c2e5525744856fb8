"""The command line `fer-train`: one module for each command."""
