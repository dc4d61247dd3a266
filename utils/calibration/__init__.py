"""Thresholds that are earned: counts over a grid of settings in one pass, then an exact search, cross-fitted."""
