"""The tests of the server and of the page, in the folder below, import what they share from this folder: ``red``."""
