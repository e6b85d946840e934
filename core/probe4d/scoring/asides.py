"""Fields and facts that a target file may have besides what is scored: where its clips are from, and their pixels."""

from __future__ import annotations

from collections.abc import Mapping

from probe4d.contracts import Field

__all__ = ["ABOUT", "ASIDES"]

ABOUT = "about"  # the key of `meta` that holds any JSON object
ASIDES: Mapping[str, Field] = {
    "video": Field(dims="t h w 3", dtypes="u", required=False, summary="the clip, uint8; not scored"),
    "frame_ids": Field(dims="t", dtypes="iu", required=False, summary="the video's frame that each frame is"),
}
