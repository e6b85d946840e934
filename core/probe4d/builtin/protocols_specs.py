"""The protocols: the paper's, frozen and finetuned, and of each one that two cores carry out in minutes."""

from __future__ import annotations

from probe4d.specs import ProtocolSpec

TARGET = "probe4d_runners.protocols:FrozenProtocol"
FINETUNE = "probe4d_runners.protocols:FinetuneProtocol"

# A short training has no time to learn where the targets lie, nor to tell places and times apart.
QUICK_READOUT = {"width": 256, "heads": 4, "embedding_std": 0.5, "output_start": "targets"}


def _finetune(name: str, summary: str, settings: dict[str, object], tags: tuple[str, ...]) -> ProtocolSpec:
    return ProtocolSpec(
        name=name,
        target=FINETUNE,
        mode="finetune",
        summary=summary,
        views=0,
        settings=settings,
        requires=("jax>=0.6", "optax>=0.2.4", "orbax-checkpoint>=0.11"),
        extra="probe4d[train]",
        tags=tags,
    )


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
            "readout": QUICK_READOUT,
            "extract_batch_size": 8,
            "eval_batch_size": 16,
        },
        tags=("quick",),
    ),
    # Source: paper A.2: short, medium and long; two learning rates x two weight decays each.
    *(
        _finetune(
            f"finetune-{thousands}k",
            f"the paper's {word} finetuning: {thousands}k steps of batch 32 with the backbone at 0.003 of the rate",
            {"steps": thousands * 1000},
            ("paper",),
        )
        for thousands, word in ((20, "short"), (40, "medium"), (80, "long"))
    ),
    _finetune(
        "finetune-quick",
        "for two cores, not the paper's: 60 steps of batch 4, one weight decay, readouts of width 256 with 4 heads",
        {
            "steps": 60,
            "batch_size": 4,
            "warmup_steps": 6,
            "learning_rates": (1e-3, 3e-3),
            "weight_decays": (1e-4,),
            "backbone_rate": 0.03,  # a short training moves the backbone too little to see at 0.003
            "tracks": 16,
            "eval_tracks": 64,
            "boxes": 8,
            "readout": QUICK_READOUT,
            "dtype": "float32",
            "eval_batch_size": 8,
            "checkpoint_every": 20,
        },
        ("quick",),
    ),
)
