"""From videos on a disk or on the Hub to batches for the model."""
