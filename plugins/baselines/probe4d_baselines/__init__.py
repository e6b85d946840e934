"""The backbones that the paper compares 4DS with, each a configuration of `probe4d_vit`.

`families` and `models` say what they are, `layouts` and `entries` where their weights are in a file,
`hub_config` and `shapes` what a file says of its own size, `backbone` puts it together.
"""

__version__ = "0.1.0"
