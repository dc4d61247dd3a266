"""Publishing: a run becomes weights that others can fetch, with a card, and a place on the Hugging Face hub."""
