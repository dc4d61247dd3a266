"""A package, so that a fixture can be shared by its files."""
