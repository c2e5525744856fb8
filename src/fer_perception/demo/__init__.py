"""The demo: a recorded clip of real faces replayed to the node over DDS, and its results."""
