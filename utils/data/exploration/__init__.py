"""What a dataset folder holds: figures of its labels and images, near-duplicates, and examples to look at."""
