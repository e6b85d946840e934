"""Any torch.nn.Module as a frozen backbone: by TOML, or `TorchBackbone(module, frames=…, …)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probe4d_torch.backbone import TorchBackbone

__all__ = ["TorchBackbone"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "TorchBackbone":  # torch is imported when it is asked for
        from probe4d_torch.backbone import TorchBackbone

        return TorchBackbone
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
