"""The attentive readout itself on the true state of every frame: what order, bags and single frames tell it.

Features are more than a perfect per-frame vision model could know: which things move in the clip,
where they are within the ranges that places are drawn from, how they are turned and how far apart.
So what the readout cannot tell here, no frames tell it.
"""

from __future__ import annotations

import numpy as np
import pytest

from probe4d_datasets.playroom.leakage import CEILING
from probe4d_datasets.playroom.sampling import draw_scene
from probe4d_datasets.playroom.scene import MOTIONS, PAIRS

jax = pytest.importorskip("jax", reason="the readout runs on jax")
optax = pytest.importorskip("optax", reason="the readout is trained by optax")
labels = pytest.importorskip("probe4d_readouts.labels", reason="the readouts are a plugin")

FRAMES = 16
TRAIN, TEST, STEPS, BATCH = 12_000, 2_400, 1_000, 64


def state(scene, s):
    """Return (2, 14): a row per mover (twice the same for one), in the frame that left and right are meant in."""
    stage = scene.stage
    frame = np.array([stage.right, stage.forward, (0, 0, 1)])
    movers = [scene.things[i] for i in (scene.movers * 2)[:2]]
    poses = [thing.path.pose(s) for thing in movers]
    (one, other) = (np.array(center) for _, center in poses)
    gap = np.sqrt(((one - other) ** 2).sum()) - (one != other).any() * (movers[0].radius + movers[1].radius)
    rows = []
    for thing, (rotation, center) in zip(movers, poses, strict=True):
        side, depth, height = stage.locate(center)
        seen = side / depth / scene.camera.tan_half
        rows.append([seen, side, depth, height - thing.radius, gap, *(frame @ np.array(rotation)).ravel()])
    return rows


def clips(start, count):
    """Return states (n, 16, 2, 14) and labels (n,): every class as often."""
    scenes = []
    for n in range(count):
        label = n % 12
        motion = MOTIONS[label // 2] if label < 2 * PAIRS else MOTIONS[label - PAIRS]
        scenes.append(draw_scene(start + n, motion, bool(label % 2 if label < 2 * PAIRS else (n // 12) % 2)))
    states = np.array([[state(scene, scene.time(t, FRAMES)) for t in range(FRAMES)] for scene in scenes])
    return states, np.array([scene.label for scene in scenes])


@pytest.fixture(scope="module")
def data():
    train, test = clips(50_000, TRAIN), clips(90_000, TEST)
    mean, scale = train[0].mean((0, 1)), train[0].std((0, 1)) + 1e-6
    lift = np.random.default_rng(0).normal(size=(14, 82)) * 0.3

    def features(states):
        x = (states - mean) / scale
        return np.concatenate([x, np.tanh(x @ lift)], -1).astype(np.float32)

    return (features(train[0]), train[1]), (features(test[0]), test[1])


def shuffled(x, rng):
    order = np.argsort(rng.random(x.shape[:2]), axis=1)
    return np.take_along_axis(x, order[:, :, None, None], axis=1)


def first_only(x, rng):
    return np.repeat(x[:, :1], FRAMES, axis=1)


def trained(data, change):
    """Return accuracy over all classes, and within pairs, of a readout that sees what `change` leaves."""
    (x, y), (u, v) = data
    rng = np.random.default_rng(1)
    readout = labels.LabelsReadout(classes=12, width=96, heads=4)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 100, STEPS, 1e-7)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-4))
    params = readout.init(jax.random.key(0), x[:2], {"label": y[:2]})
    opt = optimizer.init(params)

    @jax.jit
    def step(params, opt, features, label):
        def loss(params):
            return readout.loss(readout.apply(params, features, {}), {"label": label})[0]

        gradient = jax.grad(loss)(params)
        updates, opt = optimizer.update(gradient, opt, params)
        return optax.apply_updates(params, updates), opt

    for _ in range(STEPS):
        chosen = rng.integers(0, len(x), BATCH)
        params, opt = step(params, opt, change(x[chosen], rng), y[chosen])
    seen = change(u, rng)
    logits = np.concatenate([np.asarray(readout.apply(params, seen[i : i + 200], {})) for i in range(0, len(u), 200)])
    paired = v < 2 * PAIRS
    two = np.stack([logits[np.arange(len(v)), v], logits[np.arange(len(v)), np.where(paired, v ^ 1, v)]])
    return float((logits.argmax(1) == v).mean()), float((two[0] > two[1])[paired].mean())


@pytest.mark.slow
def test_ordered_frames_tell_the_readout_the_class(data):
    over_classes, within_pairs = trained(data, lambda x, rng: x)
    print(f"ordered: {over_classes:.3f} over classes, {within_pairs:.3f} within pairs")
    assert over_classes > 0.95
    assert within_pairs > 0.95


@pytest.mark.slow
def test_shuffled_frames_leave_the_readout_at_chance_within_pairs(data):
    over_classes, within_pairs = trained(data, shuffled)
    print(f"shuffled: {over_classes:.3f} over classes, {within_pairs:.3f} within pairs")
    assert 0.45 < within_pairs < 0.55
    assert over_classes < 0.583 + 0.05


@pytest.mark.slow
def test_a_single_frame_tells_the_readout_no_more_than_the_stated_ceiling(data):
    over_classes, within_pairs = trained(data, first_only)
    print(f"first frame: {over_classes:.3f} over classes, {within_pairs:.3f} within pairs")
    assert within_pairs < CEILING.within_pairs + 0.03
    assert over_classes < CEILING.over_classes + 0.03
