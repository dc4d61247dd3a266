"""What means that the user's input or environment is at fault: an exception of ours, and the errors for lack of memory."""


class InputError(Exception):
    """Bad input; its message is one line that names the file or flag and the remedy.

    Entry points print the message and end with exit code 2 (see ``utils.cli.run``).
    """


def lacks_memory(error: Exception) -> bool:
    """Check whether memory is what is missing: torch and OpenCV have errors of their own, which only they can import."""
    text = str(error).lower()
    words = (
        "out of memory",
        "can't allocate memory",
        "cannot allocate memory",
        "insufficient memory",
        "not enough memory",
        "failed to allocate memory",
        "failed to map segment",  # of a library that is imported
        "can't start new thread",
        "bad_alloc",
        "bad allocation",
    )
    return isinstance(error, MemoryError) or any(word in text for word in words)
