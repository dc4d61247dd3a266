"""What happens to memory that a training step no longer needs."""

import ctypes

# Of glibc's malloc.h; see https://man7.org/linux/man-pages/man3/mallopt.3.html.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, until it ends, instead of handing it back to the system.

    A step on a CPU frees some hundred megabytes and asks for as many in the next one, and the system clears every page
    that it hands out: of a step of U-Net resnet18 in bf16 that takes up to 13 %
    (``benchmarks/results/train_step.csv``).

    Returns:
        Whether the C library can do that. glibc, thus most of Linux, can.
    """
    try:
        change = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS and musl have no such function, Windows no such library
        return False
    # No maps of their own for large blocks, since those go back at once; the heap grows by 256 MB and never shrinks.
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**28}
    return all(change(name, value) == 1 for name, value in settings.items())
