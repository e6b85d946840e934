"""Formats of other programs, one module each. A kind names those that it reads."""
