"""The training loop shared by all methods: stages, steps, inputs, checkpoints. It knows nothing of run folders."""
