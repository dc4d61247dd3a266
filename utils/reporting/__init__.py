"""Pictures from arrays: what a person looks at."""
