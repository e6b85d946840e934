"""Kubric's MOVi datasets as TFDS stores them, and their point tracks."""
