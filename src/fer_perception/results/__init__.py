"""Results as messages, JSON lines and drawings."""
