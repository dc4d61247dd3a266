"""One command a file: the function that an entry point calls, and what only commands use."""
