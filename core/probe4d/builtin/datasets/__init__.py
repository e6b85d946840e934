"""Published datasets as entries of the registry, a module each."""
