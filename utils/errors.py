"""The one exception that means: the user's input or environment is at fault."""


class InputError(Exception):
    """Bad input; its message is one line that names the file or flag and the remedy.

    Entry points print the message and end with exit code 2 (see ``utils.cli.run``).
    """
