"""Expressions over time: filters, label decision, phases. Knows probabilities and seconds only."""
