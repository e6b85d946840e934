"""One video ViT that every published backbone is a configuration of.

`config` says what a model is, `table` what parameters that makes, `model` computes it, `checkpoints`
fills it from files, `backbone` is what probe4d calls. `config` and `table` import no array library.
"""

__version__ = "0.1.0"
