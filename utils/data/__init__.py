"""Datasets: images, annotations and everything that prepares them; nothing here imports torch."""
