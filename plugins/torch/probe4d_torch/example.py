"""A small module, as anybody has one: the example of docs/torch.md, and what the checks of this plugin run."""

from __future__ import annotations

import torch
from torch import nn


class TinyViT(nn.Module):
    """A ViT on tubelets with one prefix token.

    Args:
        width, depth, heads: of the transformer.
        patch: `(t, h, w)` of a tubelet.
        tokens: patches of a clip.
    """

    def __init__(
        self, width: int = 12, depth: int = 2, heads: int = 2, patch: tuple[int, int, int] = (2, 4, 4), tokens: int = 8
    ) -> None:
        super().__init__()
        t, h, w = patch
        self.embed = nn.Conv3d(3, width, (t, h, w), (t, h, w))
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, tokens + 1, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 2 * width, 0.1, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, video: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return `tokens` (b, 1 + n, width) of a video (b, 3, t, h, w)."""
        patches = self.embed(video).flatten(2).transpose(1, 2)  # (b, n, width), time first
        x = torch.cat([self.cls.expand(len(video), -1, -1), patches], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return {"tokens": self.norm(x)}
