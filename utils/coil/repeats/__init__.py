"""Series of defects at one place across the strip with a fixed step along it, and the rolls that may have left them."""

from utils.coil.repeats.finding import Repeats, find_repeats

__all__ = ["Repeats", "find_repeats"]
