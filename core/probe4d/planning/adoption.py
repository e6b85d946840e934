"""Features that another environment has stored: taken where everything but the platform is the same.

An environment with torch fills the store, and one without it trains readouts on what is there. The address that
features have in the other one is the address that they would have here with another platform: nothing else can differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from probe4d.planning.sets import StoredSet
from probe4d.planning.units import Sweep
from probe4d.store import FeatureAddress, FeatureStore, NotExtractedError
from probe4d.store.files import join
from probe4d.store.sets import stored_addresses

__all__ = ["Stored"]


class Stored:
    """The sets under a root, whose descriptions are read once, and only when somebody asks."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._found: dict[str, FeatureAddress] | None = None

    def taken(self, sweep: Sweep) -> Sweep:
        """Return the sweep with features that are there, whole: this platform's own, else those of one other.

        Training and evaluation features are of the same platform.

        Raises:
            NotExtractedError: there are none; says what the nearest set differs in.
        """
        own = sweep.train.address.platform
        for platform in [own, *self._platforms(sweep.train.address)]:
            train, evaluate = (_of_platform(one, platform) for one in (sweep.train, sweep.evaluate))
            if self._whole(train) and self._whole(evaluate):
                return attrs.evolve(sweep, train=train, evaluate=evaluate)
        raise NotExtractedError(
            f"{self._root}: expected features of {sweep.backbone.ref.label} that were extracted before, got "
            f"{'; '.join(dict.fromkeys(self._lacking(one) for one in (sweep.train, sweep.evaluate)))}. Extract them "
            "where the backbone runs, by `probe4d run SUITE --only extract` into the same --store."
        )

    @property
    def _addresses(self) -> Mapping[str, FeatureAddress]:
        if self._found is None:
            self._found = dict(stored_addresses(self._root))
        return self._found

    def _platforms(self, like: FeatureAddress) -> list[Mapping[str, Any]]:
        """Return the other platforms that this backbone's features were made on, the most alike first.

        The batch is the suite's choice and no environment's, so it is the same.
        """
        others = {
            str(sorted(address.platform.items())): address.platform
            for address in self._addresses.values()
            if address.backbone == like.backbone and address.platform != like.platform
        }
        alike = {
            text: len(like.differences(attrs.evolve(like, platform=platform)))
            for text, platform in others.items()
            if platform.get("batch") == like.platform.get("batch")
        }
        return [others[text] for text in sorted(alike, key=lambda text: (alike[text], text))]

    def _whole(self, wanted: StoredSet) -> bool:
        if wanted.digest not in self._addresses:
            return False
        return not self._missing(wanted.address)

    def _missing(self, address: FeatureAddress) -> tuple[int, ...]:
        return FeatureStore.open(join(self._root, address.digest), address, stamp=False).missing()

    def _lacking(self, wanted: StoredSet) -> str:
        """Return in words why there is no set in place of this one: what the nearest one differs in."""
        clips, want = f"{wanted.clips.dataset}:{wanted.clips.split}", wanted.address
        near = [
            (_apart(want, address), digest)
            for digest, address in self._addresses.items()
            if (address.backbone, address.dataset, address.split) == (want.backbone, want.dataset, want.split)
        ]
        if not near:
            return f"none of {clips}"
        differing, digest = min(near, key=lambda item: (len(item[0]), item[1]))
        if not differing:
            missing = self._missing(self._addresses[digest])
            return f"{clips} {digest[:12]} without {len(missing)} of its shards" if missing else f"{clips} whole"
        listed = ", ".join(f"{name} (here {a!r}, there {b!r})" for name, (a, b) in differing.items())
        return f"{clips} {digest[:12]}, which differs in {listed}"


def _of_platform(one: StoredSet, platform: Mapping[str, Any]) -> StoredSet:
    if platform == one.address.platform:
        return one
    return attrs.evolve(one, address=attrs.evolve(one.address, platform=platform), here=one.address)


def _apart(want: FeatureAddress, address: FeatureAddress) -> dict[str, tuple[Any, Any]]:
    """Return what two addresses differ in besides the platform; its batch counts."""
    found = want.differences(address)
    return {name: both for name, both in found.items() if not name.startswith("platform.") or name == "platform.batch"}
