"""Networks that work together: from the pixels of a batch to an answer for each image."""
