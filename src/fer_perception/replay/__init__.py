"""Replay of recorded bags: camera topics in, results, tables and the report out."""
