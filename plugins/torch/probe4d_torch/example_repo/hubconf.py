"""The example as a repository that `torch.hub` reads."""

from probe4d_torch.example import TinyViT as tiny_vit  # noqa: F401, N813 - the name of the entry

dependencies = ["torch"]
