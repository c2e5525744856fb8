"""Data sets: detection of the kind, samples, labels, splits and protocols.

Import from the modules: `load` reads a data set, `kinds` finds out which one a path is, `samples` is what comes out.
"""
