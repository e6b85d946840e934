"""The commands of `probe4d`, one module each; imported when called."""
