"""Where features are read: as the suite says, or else the backbone, or else the protocol."""

from __future__ import annotations

from types import SimpleNamespace as Of

import pytest

from probe4d.planning.resolve import layers_of
from probe4d_runners.protocols import FrozenProtocol

SETTINGS = FrozenProtocol(layers_by_kind={"labels": (0.75,)})


@pytest.mark.parametrize(
    ("suite", "backbone", "kind", "want"),
    [
        ((), (), "points", (0.95,)),
        ((), (), "labels", (0.75,)),
        ((), (1.0,), "labels", (1.0,)),
        ((0.5, 6), (1.0,), "labels", (0.5, 6)),
    ],
)
def test_the_suite_goes_before_the_backbone_and_the_backbone_before_the_protocol(suite, backbone, kind, want):
    found = layers_of(Of(layers=suite), Of(spec=Of(layers=backbone)), Of(spec=Of(kind=kind)), Of(settings=SETTINGS))
    assert found == want
