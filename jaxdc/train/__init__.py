"""The training loop that every method shares: stages, steps, inputs, checkpoints. It knows of no run folder."""
