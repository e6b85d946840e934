"""`python s3_writers.py URL SEED`: write every shard of a toy set in a random order, whoever else does so too."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path


def main(url: str, seed: int) -> None:
    """Write the whole set, done or not."""
    place = Path(__file__).parents[1] / "store/toy_sets.py"
    spec = importlib.util.spec_from_file_location("probe4d_test_toy_sets", place)
    assert spec is not None
    assert spec.loader is not None
    toy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toy)
    store = toy.create(url, samples=24)
    print("ready", flush=True)
    order = list(range(store.num_shards))
    random.Random(seed).shuffle(order)
    for shard in order:
        store.write_shard(shard, toy.arrays(store, shard), store.shard_ids(shard))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
