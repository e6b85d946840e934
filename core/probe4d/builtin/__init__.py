"""First-party specs, provided through the same hooks as any plugin."""
