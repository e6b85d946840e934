"""Part of probe4d."""
