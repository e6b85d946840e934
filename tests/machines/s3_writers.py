"""`python -m machines.s3_writers URL SEED`: write each shard of a toy set in a random order, as others may too."""

from __future__ import annotations

import random
import sys

from store import toy_sets


def main(url: str, seed: int) -> None:
    """Write the whole set, done or not."""
    store = toy_sets.create(url, samples=24)
    print("ready", flush=True)
    order = list(range(store.num_shards))
    random.Random(seed).shuffle(order)
    for shard in order:
        store.write_shard(shard, toy_sets.arrays(store, shard), store.shard_ids(shard))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
