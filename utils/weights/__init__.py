"""Weights files: what Train.py writes, what every other command reads, and how others get them."""
