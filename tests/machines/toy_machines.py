"""A suite that runs in a second, without jax: a toy backbone and a probe in numpy; all else is the real thing.

As a program, `python toy_machines.py run toy.toml …` is `probe4d run toy.toml …` with the toys in place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PLUGIN = """
from probe4d import BackboneSpec, TokenGrid, VideoInput, hookimpl

@hookimpl
def probe4d_backbones():
    grid = TokenGrid(time=2, space=4, channels=3)
    return [BackboneSpec(name="mean", target="toy_work:Mean", summary="means of pixels", params=0, layers=(1,),
                         input=VideoInput(frames=16, height=16, width=16), tokens=grid)]
"""

# Read by every process as it starts. What a kill leaves is the same with or without fsync.
SITE = """
import os, time
os.fsync = lambda descriptor: None
if shift := float(os.environ.get("TOY_CLOCK", "0")):
    right = time.time
    time.time = lambda: right() + shift
"""

WORK = """
import hashlib, os, signal, sys, time
from pathlib import Path
import numpy as np

class Mean:
    def __init__(self, weights=None, seed=0, **options):
        pass

    def encode(self, video, layers):
        rest = int(hashlib.sha256(video.tobytes()).hexdigest(), 16) % 5
        if os.environ.get("TOY_HOSTILE") == str(rest):
            os.kill(os.getpid(), signal.SIGKILL)
        if words := os.environ.get("TOY_SAYS"):
            print(words, file=sys.stderr)
        time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
        b, t, h, w, c = video.shape
        parts = video.reshape(b, 2, t // 2, 2, h // 2, 2, w // 2, c).mean((2, 4, 6))
        return tuple(parts.reshape(b, 2, 4, c) * (1 + i) for i, _ in enumerate(layers))


def probe(sets, backbone, task, protocol, layers, output, unit):
    from probe4d.atomic import sha256_of, write_json
    from probe4d_runners.probing.data import open_split
    from probe4d_runners.probing.files import write_samples

    train, evaluate = (open_split(sets, split, 0.5) for split in ("train", "evaluate"))

    def matrix(split):
        (_, features, targets), = split.in_order(len(split.rows), tuple(layers), split.rows)
        return features[0].reshape(len(split.rows), -1).astype(np.float64), targets["label"]

    x, labels = matrix(train)
    held, _ = matrix(evaluate)
    members = []
    for rate in (0.1, 10.0):
        # Sums in a fixed order, so that the bits hang on nothing.
        means = np.stack([x[labels == one].mean(0) if (labels == one).any() else x.mean(0) for one in range(12)])
        logits = -((held[:, None] - means[None]) ** 2).sum(-1) * rate
        name = f"rate-{rate}"
        file = Path(output) / "evaluate" / f"{name}.npz"
        rows = zip(evaluate.ids(evaluate.rows), logits.astype(np.float32))
        write_samples(file, [(i, {"logits": row}) for i, row in rows], {"schema": "probe4d/labels/1"})
        stated = {"file": f"evaluate/{name}.npz", "sha256": sha256_of(file)}
        members.append({"name": name, "layer": layers[0], "learning_rate": rate, "weight_decay": 0.0,
                        "final_loss": 1.0, "diverged": False, "files": {"evaluate": stated}})
    write_json(Path(output) / "sweep.json", {
        "unit": unit, "members": members, "targets": {}, "losses": {"steps": [0], "values": [1.0]},
        "left_out": {"train": train.left_out, "evaluate": evaluate.left_out},
        "clips": {"train": len(train.rows), "evaluate": len(evaluate.rows), "holdout": 0},
        "timings": {}, "environment": {}})
    return {}
"""

SUITE = """
name = "toy"
backbones = ["mean"]
tasks = ["playroom-labels"]
protocols = ["frozen-quick"]
[clip]
size = [16, 16]
[data.playroom]
size = [16, 16]
[data.playroom.train]
length = 24
[data.playroom.val]
length = 8
"""
SHARDS = 4  # rows of one
PATIENCE = 600  # seconds that a command may take: a bound for what hangs, on however busy a machine
PARTS_OF_RESULT = ("run/cells/*/predictions.npz", "run/cells/*/samples.jsonl", "run/targets/*.npz")


class Toy:
    """A folder with the suite, its store and its run.

    Args:
        store: another place of the store, a folder or URL.
    """

    def __init__(self, folder: Path, store: str | None = None) -> None:
        self.folder = folder
        self.store = store or str(folder / "store")
        self.site = folder / "site"
        info = self.site / "toy_mean-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-mean\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[probe4d]\ntoys = toy_plugin\n")
        (self.site / "toy_plugin.py").write_text(PLUGIN)
        (self.site / "toy_work.py").write_text(WORK)
        (self.site / "sitecustomize.py").write_text(SITE)
        (folder / "toy.toml").write_text(SUITE)

    def environment(self, **changes: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "1", **changes}

    def start(self, *options: str, workers: int | None = 1, **environment: str) -> subprocess.Popen[str]:
        """Start a run in the folder; all its processes are its children."""
        line = [sys.executable, __file__, "run", "toy.toml", "-o", "run", "--store", self.store]
        line += [] if workers is None else ["--workers", str(workers)]
        line += ["--no-report", "--display", "none", *options]
        return subprocess.Popen(
            line,
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str, workers: int | None = 1, **environment: str) -> tuple[int, str, str]:
        """Run to the end; return exit code, output and errors."""
        process = self.start(*options, workers=workers, **environment)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return process.returncode, out, err

    def probe4d(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the folder."""
        line = [sys.executable, "-m", "probe4d", *arguments]
        return subprocess.run(
            line,
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the run's records as they are in their files."""
        return [json.loads(file.read_text()) for file in sorted(self.folder.glob("run/cells/*/record.json"))]

    def results(self) -> dict[str, Any]:
        """Return what must not hang on how the run went: numbers, and digests of predictions and features."""
        found: dict[str, Any] = {}
        for file in sorted(self.folder.glob("run/cells/*/record.json")):
            record = json.loads(file.read_text())
            keys = ("values", "ci95", "counts", "members", "primary", "selected", "samples", "targets_sha256")
            found[file.parent.name] = {key: record[key] for key in keys}
        for pattern in PARTS_OF_RESULT:
            for file in sorted(self.folder.glob(pattern)):
                found[str(file.relative_to(self.folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
        return found | self.stored()

    def stored(self) -> dict[str, Any]:
        """Return what the receipts state of the store's arrays, by set and shard."""
        from probe4d.store import FeatureStore
        from probe4d.store.sets import stored_sets

        found = {}
        for one in stored_sets(self.store):
            opened = FeatureStore.open(one.url, stamp=False)
            for shard in range(opened.num_shards):
                receipt = opened.done_receipt(shard)
                files = {path: file.sha256 for path, file in receipt.files.items()}
                found[f"{one.name}/{shard}"] = [receipt.ids, files]
        return found

    def orphans(self) -> list[str]:
        """Return what no reader wants: damages of the store, and half-written files of the run."""
        from probe4d.store import FeatureStore
        from probe4d.store.sets import stored_sets
        from probe4d.store.verifying import verify

        sets = [FeatureStore.open(one.url, stamp=False) for one in stored_sets(self.store)]
        damages = [f"{one.digest[:8]} {item.what}: {item.file}" for one in sets for item in verify(one)]
        return damages + [str(file) for file in self.folder.glob("run/**/.*.tmp")]


def workers_of(process: int) -> list[int]:
    """Return the worker processes of a run."""
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def tell(process: int, sign: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, sign)


def main() -> None:
    """Run probe4d with the toy probe, small shards, and workers that are given up after some seconds."""
    from probe4d import cli
    from probe4d.planning import units
    from probe4d_runners import local

    units.PROBE, units.ROWS_PER_SHARD = "toy_work:probe", SHARDS
    given = local.LocalRunner.__init__
    timeout, retries = float(os.environ.get("TOY_TIMEOUT", "60")), int(os.environ.get("TOY_RETRIES", "2"))
    local.LocalRunner.__init__ = lambda self, workers=None: given(self, workers, retries, timeout)  # type: ignore[method-assign]
    cli.main()


if __name__ == "__main__":
    main()
