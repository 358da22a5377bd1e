"""Running a model over sequences: batches, windows, pooling, worker processes."""
