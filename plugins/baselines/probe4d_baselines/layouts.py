"""Which published layout a file has, where in it the encoder is, and what may stand beside it.

The prefix of a file's keys is found by one key that every file of a layout has. What belongs to no
encoder (decoder, predictor, text tower, head, optimizer) is known here by name; anything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from attrs import evolve, frozen

from probe4d.errors import DataError
from probe4d_baselines import entries
from probe4d_baselines.converters import converter
from probe4d_baselines.entries import Entries
from probe4d_vit.checkpoints import Checkpoint, Source
from probe4d_vit.config import VitConfig
from probe4d_vit.table import leaves, param_table

_WRAPPED = r"(?:module\.|_orig_mod\.|backbone\.)*"
_BESIDE = r"(?:opt|optimizer|optimizers|scaler|scheduler|lr_schedules?|args|config|epoch|predictor|classifiers?)/"


@frozen(kw_only=True)
class Layout:
    """One way in which weights are published.

    Attributes:
        name: for messages.
        mark: a key that every file of it has, after its prefix.
        prefix: regular expression of the prefix, without the dict that holds the weights.
        tops: dicts of a torch file that may hold them, in order of preference; `""` is the file itself.
        entries: where the parameters are.
        inside: regular expressions of keys that stand among the encoder's and are none of it.
        beside: the same of keys outside the prefix, in the same dict.
        others: the same of other dicts of the file.
        hub: it is the layout of the hub's port.
        may_lack_norm: finetuned files have no final norm, and `fc_norm` after the mean of the tokens.
    """

    name: str
    mark: str
    prefix: str
    entries: Entries
    tops: tuple[str, ...] = ("",)
    inside: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    others: tuple[str, ...] = (_BESIDE,)
    hub: bool = False
    may_lack_norm: bool = False


_DECODER = (r"decoder\.", r"encoder_to_decoder\.", r"mask_token$")
_HEADS = (r"head\.", r"fc_norm\.")

LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "siglip": (
        Layout(
            name="big_vision",
            mark="embedding/kernel",
            prefix=r"(?:params/)?(?:img/)?",
            entries=entries.BIG_VISION,
            inside=(r"MAPHead_0/", r"head/"),
            beside=(r"(?:params/)?txt/", r"(?:params/)?[tb]$", r"opt/"),
        ),
        Layout(
            name="hub siglip",
            mark="embeddings.patch_embedding.weight",
            prefix=r"(?:model\.)?(?:vision_model\.)*",
            entries=entries.HUB_SIGLIP,
            inside=(r"head\.", r"embeddings\.position_ids$"),
            beside=(r"(?:model\.)?text_model\.", r"(?:model\.)?logit_(?:scale|bias)$"),
            hub=True,
        ),
    ),
    "dinov2": (
        Layout(
            name="DINOv2",
            mark="patch_embed.proj.weight",
            prefix=_WRAPPED,
            entries=entries.TIMM,
            tops=("", "model", "teacher"),
            inside=(r"mask_token$", r"head\."),
        ),
        Layout(
            name="hub dinov2",
            mark="embeddings.patch_embeddings.projection.weight",
            prefix=r"(?:dinov2\.|dinov2_with_registers\.|backbone\.)?",
            entries=entries.HUB_DINOV2,
            inside=(r"embeddings\.mask_token$",),
            beside=(r"classifier\.",),
            hub=True,
        ),
    ),
    "videoprism": (
        Layout(
            name="VideoPrism",
            mark="patch_projection/linear/kernel",
            prefix=r"(?:params/)?(?:vision_encoder/)?",
            entries=entries.VIDEOPRISM,
            beside=(r"(?:params/)?(?:auxiliary_encoder|text_encoder|contrastive_vision_pooler)/",),
        ),
        Layout(
            name="hub videoprism",
            mark="spatial_embeddings.patch_embeddings.projection.weight",
            prefix=r"(?:\w+_model\.|videoprism\.|backbone\.|encoder\.)*",
            entries=entries.HUB_VIDEOPRISM,
            beside=(
                r"text_(?:model|encoder)\.",
                r"auxiliary_encoder\.",
                r"contrastive_vision_pooler\.",
                r"classifier\.",
            ),
            hub=True,
        ),
    ),
    "vjepa": (
        Layout(
            name="V-JEPA",
            mark="patch_embed.proj.weight",
            prefix=_WRAPPED,
            entries=entries.TIMM,
            tops=("target_encoder", ""),
            others=(_BESIDE, r"(?:target_)?encoder/"),
        ),
    ),
    "vjepa2": (
        Layout(
            name="V-JEPA 2",
            mark="patch_embed.proj.weight",
            prefix=_WRAPPED,
            entries=entries.TIMM,
            tops=("encoder", "target_encoder", ""),
            inside=(r"pos_embed$",),  # stored, and used by nobody
            others=(_BESIDE, r"(?:target_)?encoder/"),
        ),
        Layout(
            name="hub vjepa2",
            mark="encoder.embeddings.patch_embeddings.proj.weight",
            prefix=r"(?:vjepa2\.)?",
            entries=entries.HUB_VJEPA2,
            beside=(r"(?:vjepa2\.)?predictor\.", r"pooler\.", r"classifier\."),
            hub=True,
        ),
    ),
    "videomae": (
        Layout(
            name="VideoMAE",
            mark="patch_embed.proj.weight",
            prefix=rf"{_WRAPPED}(?:encoder\.|model\.)?",
            entries=entries.TIMM,
            tops=("model", "module", ""),
            inside=_HEADS,
            beside=_DECODER,
            may_lack_norm=True,
        ),
        Layout(
            name="hub videomae",
            mark="embeddings.patch_embeddings.projection.weight",
            prefix=r"(?:videomae\.)?",
            entries=entries.HUB_VIDEOMAE,
            beside=(*_DECODER, r"fc_norm\.", r"classifier\."),
            hub=True,
            may_lack_norm=True,
        ),
    ),
}
LAYOUTS["videomaev2"] = LAYOUTS["videomae"][:1]


@frozen
class Found:
    """A layout, and where it begins in one file.

    Attributes:
        top: the dict with the weights, with its slash; empty for the file itself.
        prefix: what stands before the encoder's keys, `top` included.
    """

    layout: Layout
    top: str
    prefix: str

    @property
    def ignore(self) -> tuple[str, ...]:
        """Regular expressions of the keys that are no part of the encoder, matched from the start."""
        own, within = re.escape(self.top), re.escape(self.prefix)
        apart = rf"(?!{within})" if self.prefix != self.top else ""
        others = [rf"(?!{own}){pattern}" if own else pattern for pattern in self.layout.others]
        return (
            *(within + pattern for pattern in self.layout.inside),
            *(rf"{apart}{own}{pattern}" for pattern in self.layout.beside),
            *others,
        )


def find_layout(checkpoint: Checkpoint, family: str, weights_key: str | None = None) -> Found:
    """Return the layout of a file of that family.

    Args:
        weights_key: the dict of a torch file to take, instead of the one that the family takes.

    Raises:
        DataError: it is no file of the family, or its weights are in another dict.
    """
    keys = list(checkpoint.keys())
    for layout in LAYOUTS[family]:
        places = _places(keys, layout)
        if places:
            found = _choose(checkpoint, layout, places, weights_key)
            return _scanned(found, keys)
    marks = ", ".join(repr(layout.mark) for layout in LAYOUTS[family])
    raise DataError(
        f"{checkpoint.path}: expected weights of {family}, with a key that ends in {marks}, "
        f"got {len(keys)} others such as {sorted(keys)[:2]}. Is it of another family?"
    )


def _places(keys: Iterable[str], layout: Layout) -> dict[str, str]:
    """Return prefix by top, of each key that is the layout's mark."""
    # Keys of an .npz are paths themselves; only those of torch files begin with the dicts that hold them.
    top = "" if "/" in layout.mark else r"(?:\w+/)*?"
    pattern = re.compile(rf"(?P<prefix>(?P<top>{top}){layout.prefix}){re.escape(layout.mark)}")
    matches = [match for key in keys if (match := pattern.fullmatch(key))]
    return {match["top"].removesuffix("/"): match["prefix"] for match in matches}


def _choose(checkpoint: Checkpoint, layout: Layout, places: Mapping[str, str], weights_key: str | None) -> Found:
    tops = layout.tops if weights_key is None else (weights_key,)
    for top in tops:
        if top in places:
            return Found(layout, f"{top}/" if top else "", places[top])
    wanted = " or ".join(repr(top) for top in tops if top) or "the file itself"
    raise DataError(
        f"{checkpoint.path}: expected the weights in {wanted}, got them in {', '.join(map(repr, sorted(places)))}. "
        f"Name the one to take: --set weights_key={sorted(places)[0]}"
    )


def _scanned(found: Found, keys: Iterable[str]) -> Found:
    """Return the layout with stacked blocks, where big_vision's file has them so."""
    stacked = f"{found.prefix}Transformer/encoderblock/LayerNorm_0/scale"
    if found.layout.name != "big_vision" or stacked not in keys:
        return found
    return evolve(found, layout=evolve(found.layout, name="big_vision, scanned", entries=entries.BIG_VISION_SCAN))


def sources(found: Found, config: VitConfig, keys: Iterable[str]) -> dict[str, Source]:
    """Return where each parameter of a configuration is; computed tables that are not stored have no place."""
    present = set(keys)
    places: dict[str, Source] = {}
    for path, _ in leaves(param_table(config)):
        known = found.layout.entries.get(path, ())
        if not known or (path == "position" and config.position == "sinusoid"):
            continue
        chosen = next(((key, kind) for key, kind in known if found.prefix + key.format(i=0) in present), known[0])
        places[path] = Source(found.prefix + chosen[0], converter(chosen[1], config))
    return places
