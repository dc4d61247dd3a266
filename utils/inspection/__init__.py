"""One loaded network that any number of callers ask at once: what comes in, batches, what was found, deciding anew."""
