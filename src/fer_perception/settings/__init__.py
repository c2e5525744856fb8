"""Settings: declarations with range and description, those of pipeline and nodes, params files."""
