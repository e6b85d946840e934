"""The frozen protocols: the paper's, and one that two cores carry out in minutes."""

from __future__ import annotations

from probe4d.specs import ProtocolSpec

TARGET = "probe4d_runners.protocols:FrozenProtocol"

PROTOCOLS = (
    ProtocolSpec(
        name="frozen",
        target=TARGET,
        mode="frozen",
        summary="the paper's: 40k steps of batch 32, AdamW, three learning rates, features at 95 % depth",
        views=1,
        # Labels are read at 75 % depth. Source: paper 4.1, for Something-Something v2.
        settings={"layers_by_kind": {"labels": (0.75,)}},
        tags=("paper",),
    ),
    ProtocolSpec(
        name="frozen-quick",
        target=TARGET,
        mode="frozen",
        summary="for two cores, not the paper's: 400 steps of batch 16, readouts of width 256 with 4 heads",
        views=1,
        settings={
            "steps": 400,
            "batch_size": 16,
            "warmup_steps": 40,
            "learning_rates": (3e-4, 1e-3, 3e-3),
            "tracks": 16,
            "eval_tracks": 64,
            "boxes": 8,
            # A short training has no time to learn where the targets lie, nor to tell places and times apart.
            "readout": {"width": 256, "heads": 4, "embedding_std": 0.5, "output_start": "targets"},
            "extract_batch_size": 8,
            "eval_batch_size": 16,
        },
        tags=("quick",),
    ),
)
