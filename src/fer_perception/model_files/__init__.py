"""Model files: which there are, where, whether they are whole, what they say of themselves. Opens no session."""
