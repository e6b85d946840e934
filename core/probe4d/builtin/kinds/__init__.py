"""The first-party prediction kinds, one module each; imported when one is used."""
