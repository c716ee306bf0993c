"""Training: settings, optimization, checkpoints, and the loop."""
