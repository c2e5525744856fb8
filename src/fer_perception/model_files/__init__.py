"""Model files: list, locations, integrity and metadata. Opens no session."""
