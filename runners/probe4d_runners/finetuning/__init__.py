"""Trains a backbone with its readout from clips, over a mesh of devices, from checkpoint to checkpoint."""
