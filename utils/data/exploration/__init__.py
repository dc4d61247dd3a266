"""What a dataset folder holds: figures of its labels and images, near-duplicates, and examples to look at."""

from utils.data.exploration.folder import Exploration, explore_folder

__all__ = ["Exploration", "explore_folder"]
