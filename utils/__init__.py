"""The rooms of the toolkit; docs/architecture.md lists which room may import which."""
