"""The rooms of the toolkit; README lists which room may import which."""
