"""Scores of predicted masks: pixel counts per image and class first, every ratio from the counts."""
