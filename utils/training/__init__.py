"""Training on Catalyst: what a step, an epoch and a run do."""
