"""What probes, finetuning and the trainer share of jax."""
