"""A run as one archive that anybody can score again: `probe4d bundle RUN`, `probe4d verify BUNDLE`."""
