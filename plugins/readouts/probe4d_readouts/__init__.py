"""The cross-attention readouts of probe4d. Importing this package imports no array library."""
