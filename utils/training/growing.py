"""Progressive resizing: training images begin small, when most epochs cost little, and grow to their full size.

The shape of the schedule is that of Composer's "progressive resizing" (first half small, last fifth full), after fast.ai;
it goes over whole epochs, so that each has one size.
"""

SMALL_UNTIL = 0.5  # share of the epochs with images of the start size
FULL_FROM = 0.8  # share of the epochs after which images are full-sized


def shares(epochs: int) -> tuple[float, ...]:
    """Describe for each epoch how far training images have grown.

    Args:
        epochs: of the whole run.

    Returns:
        For each epoch 0 for the start size up to 1 for the full one; the last epoch is always full.
    """
    begun = (epoch / epochs for epoch in range(epochs))
    ways = [min(max((part - SMALL_UNTIL) / (FULL_FROM - SMALL_UNTIL), 0.0), 1.0) for part in begun]
    return (*ways[:-1], 1.0)


def growth_in_words(start: tuple[int, int], epochs: int) -> str:
    """Describe in a line which epochs of ``shares`` have which size."""
    ways = shares(epochs)
    small, full = sum(way == 0 for way in ways), ways.index(1.0) + 1
    grow = f", grow after epoch {small}" if full > small + 1 else ""
    return (
        f"training images begin at {start[0]}x{start[1]}{grow} and have their full size from epoch {full};"
        " validation images always have it"
    )
