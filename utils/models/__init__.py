"""Networks: what they are (spec), how they are made (factory), images in and logits out (segmenter)."""
