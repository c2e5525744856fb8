"""Expression classification: face crops in, calibrated class probabilities out, on the best backend."""
