"""The sizes of 4DS, and two small ones of our own. Imports no array library."""

from __future__ import annotations

from attrs import frozen

from probe4d_vit.config import VitConfig


@frozen(kw_only=True)
class Size:
    """One row of the table: the encoder and how it was trained.

    Attributes:
        width, depth, mlp, heads: of the encoder.
        encoder_millions, total_millions: parameters as the paper prints them (exact: `table.count`).
        frames, resolution: of the input, pixels.
        patch: tubelet `(t, h, w)`.
        decode_layers: blocks at the end in which the latents of the decoder take part.
        output_patch: tubelet that one latent is decoded to.
        train_steps, learning_rate, warmup_steps, batch_size: of the pretraining.
    """

    width: int
    depth: int
    mlp: int
    heads: int
    encoder_millions: int | None = None
    total_millions: int | None = None
    frames: int = 16
    resolution: int = 224
    patch: tuple[int, int, int] = (2, 16, 16)
    decode_layers: int = 4
    output_patch: tuple[int, int, int] = (2, 16, 16)
    train_steps: int = 488_282
    learning_rate: float = 1e-4
    warmup_steps: int = 10_000
    batch_size: int = 2048


# Source: "Scaling 4D Representations", Table 1 (encoder, total parameters) and its supplement (training).
PAPER: dict[str, Size] = {
    "4ds-s": Size(width=384, depth=12, mlp=1536, heads=6, encoder_millions=23, total_millions=24),
    "4ds-b": Size(width=768, depth=12, mlp=3072, heads=12, encoder_millions=88, total_millions=91),
    "4ds-l": Size(width=1024, depth=24, mlp=4096, heads=16, encoder_millions=306, total_millions=310),
    "4ds-h": Size(width=1280, depth=32, mlp=5120, heads=16, encoder_millions=634, total_millions=639),
    "4ds-g": Size(width=1664, depth=48, mlp=8192, heads=16, encoder_millions=1848, total_millions=1854),
    "4ds-e": Size(width=1792, depth=56, mlp=15360, heads=16, encoder_millions=3811, total_millions=3817),
    "4ds-j": Size(
        width=4096,
        depth=64,
        mlp=32768,
        heads=32,
        encoder_millions=21495,
        total_millions=21509,
        resolution=256,
        decode_layers=2,
        output_patch=(4, 32, 32),
        train_steps=1_000_000,
        learning_rate=2e-4,
        warmup_steps=100_000,
    ),
}

# Ours, for a CPU: 512 tokens of 64 x 64 pixels. The decoder is 4ds-j's, one latent for 2 x 2 x 2 tokens and two
# blocks: with as many latents as tokens, nine tenths of a step would be the decoder's.
_OURS = {
    "resolution": 64,
    "patch": (2, 8, 8),
    "decode_layers": 2,
    "output_patch": (4, 16, 16),
    "train_steps": 2_000,
    "learning_rate": 1e-3,
    "warmup_steps": 100,
    "batch_size": 32,
}
SMALL: dict[str, Size] = {
    "4ds-mini": Size(width=192, depth=12, mlp=768, heads=3, **_OURS),  # type: ignore[arg-type]
    "4ds-micro": Size(width=96, depth=6, mlp=384, heads=3, **_OURS),  # type: ignore[arg-type]
}

SIZES: dict[str, Size] = PAPER | SMALL


def vit_config(variant: str, layer_rule: str = "released") -> VitConfig:
    """Return the encoder of a size.

    Args:
        variant: a key of `SIZES`.
        layer_rule: `released` counts as the code of the weights does, `paper` as the paper's text.
    """
    size = SIZES[variant]
    t, h, w = size.patch
    return VitConfig(
        width=size.width,
        depth=size.depth,
        heads=size.heads,
        mlp=size.mlp,
        patch=size.patch,
        grid=(size.frames // t, size.resolution // h, size.resolution // w),
        position="learned",
        resample="cubic_antialias",
        activation="gelu_tanh",
        final_norm=False,
        layer_rule=layer_rule,
    )
