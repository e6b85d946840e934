"""The runner of probe4d for Slurm."""
