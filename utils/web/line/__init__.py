"""The line's live page, its metrics, and the frames that programs push to it."""
