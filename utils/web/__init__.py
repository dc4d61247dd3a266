"""The inspector: an HTTP API for the line and a page for people, around one loaded system of networks."""
