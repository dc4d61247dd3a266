"""Weights files: what Train.py writes and what every other command reads."""
