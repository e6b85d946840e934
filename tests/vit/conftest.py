"""Parameters for tests, without the seconds that compiling a real initialisation takes."""

from __future__ import annotations

import numpy as np
import pytest

from probe4d_vit.table import map_table, param_table, truncate


def _made(config, blocks=None, seed=0):
    rng = np.random.default_rng(seed)
    whole = map_table(lambda param: (0.2 * rng.normal(size=param.shape)).astype(np.float32), param_table(config))

    def cut(table, tree):
        return {
            name: cut(node, tree[name]) if isinstance(node, dict) else tree[name][tuple(map(slice, node.shape))]
            for name, node in table.items()
        }

    return cut(truncate(param_table(config), config.total_depth if blocks is None else blocks, config), whole)


@pytest.fixture(scope="session")
def made_params():
    """`made_params(config, blocks=None, seed=0)`: normal numbers; fewer blocks are the first of all."""
    return _made
