"""Training runs: data, batches, augmentation, the training module, callbacks, the run directory."""
