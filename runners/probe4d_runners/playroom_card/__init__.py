"""The card of `playroom`: what its clips are like, and what trivial predictions score on them."""
