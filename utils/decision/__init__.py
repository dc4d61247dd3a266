"""From logits to defects: thresholds, areas, gates; one decision for training, prediction and the server."""
