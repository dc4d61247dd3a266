"""Coils: where each defect lies on the strip, what repeats, and what the coil is worth."""
