"""Trains the `labels` readout on features in seconds: what do they know of the classes?

A helper of tests, not a test. Other folders load it by path, since tests are no package:

    probe = runpy.run_path("tests/readouts/attentive_probe.py")["attentive_probe"]
    accuracy, predicted = probe((train_features, train_labels), (features, labels))
"""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import optax

from probe4d_readouts.labels import LabelsReadout
from probe4d_readouts.microbatch import value_and_grad


def attentive_probe(train, evaluate, *, steps=600, batch=64, rate=3e-3, width=64, heads=4, decay=1e-4, seed=0):
    """Return `(top-1 accuracy, predicted classes (n,))` on the second pair.

    Args:
        train, evaluate: `(features (n, t, k, c) float32, labels (n,) int)`; time is resampled to t itself,
            so that shuffled or single frames stay what they are.
        steps, batch: AdamW steps on random batches; linear warm-up over a tenth, cosine to 0. What the order
            of frames tells is learned late, after the query has found the embedding of time: too few
            steps at a low rate look like chance. Try `rate=1e-2` before concluding that nothing is there.
    """
    features, labels = (np.asarray(each) for each in train)
    classes = int(max(labels.max(), np.max(evaluate[1]))) + 1
    readout = LabelsReadout(classes=classes, width=width, heads=heads, frames=features.shape[1])
    params = readout.init(jax.random.key(seed), features[:1], {})
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, max(steps // 10, 1), steps)
    optimizer = optax.adamw(schedule, weight_decay=decay, mask=readout.kernels())
    state = optimizer.init(params)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, features, label):
        _, gradient = value_and_grad(readout, params, features, {"label": label})
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    order = np.random.default_rng(seed)
    size = min(batch, len(labels))
    for _ in range(steps):
        rows = order.choice(len(labels), size, replace=False)
        params, state = step(params, state, features[rows], labels[rows])
    predicted = np.argmax(_logits(readout, params, np.asarray(evaluate[0]), size), axis=-1)
    return float(np.mean(predicted == evaluate[1])), predicted


def _logits(readout, params, features, batch):
    """Return `(n, classes)`, in batches of one size, so that one program serves all."""
    apply = jax.jit(lambda params, features: readout.apply(params, features, {}))
    padded = np.concatenate([features, features[: -len(features) % batch or batch]])
    while len(padded) % batch:
        padded = np.concatenate([padded, padded[: batch - len(padded) % batch]])
    parts = [apply(params, padded[start : start + batch]) for start in range(0, len(features), batch)]
    return np.concatenate(parts)[: len(features)]
