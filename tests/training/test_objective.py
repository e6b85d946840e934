"""The objective of the masked auto-encoder, against the authors' code and against plain numpy."""

from __future__ import annotations

from math import prod
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d_fourds import checkpoint, objective, step
from probe4d_fourds.flops import forward_flops
from probe4d_fourds.objective import Mae, mae
from probe4d_fourds.sizes import PAPER
from probe4d_runners.jax.optimizer import learning_rate
from probe4d_vit import model
from probe4d_vit.config import VitConfig
from probe4d_vit.init import init_table
from probe4d_vit.table import leaves

GOLDEN = Path(__file__).parent / "goldens" / "encoder_latents_hist.npz"


def _golden(name):
    with np.load(GOLDEN) as arrays:
        return {key.removeprefix(f"{name}/"): arrays[key] for key in arrays.files if key.startswith(f"{name}/")}


def _golden_params(golden, config):
    params = {}
    for path, key in checkpoint.KEYS.items():
        name = f"param:params/{key}"
        value = np.stack([golden[name.format(i=i)] for i in range(config.depth)]) if "{i}" in key else golden[name]
        node = params
        *outer, last = path.split("/")
        for part in outer:
            node = node.setdefault(part, {})
        node[last] = jnp.asarray(value)
    return {"encoder": params, "latents": jnp.asarray(golden["param:params/latent_posenc/embeddings"])}


def _tiny(golden, output_patch):
    grid = golden["param:params/encoder/posenc/embeddings"].shape[:3]
    vit = VitConfig(
        width=24, depth=5, heads=3, mlp=56, patch=(2, 16, 16), grid=grid, activation="gelu_tanh", final_norm=False
    )
    return Mae(vit=vit, decode_layers=2, output_patch=output_patch, masking=0.0)


@pytest.mark.parametrize(("name", "patch"), [("full", (2, 16, 16)), ("coarse", (4, 32, 32))])
def test_latents_join_before_the_last_blocks_as_in_the_authors_code(name, patch):
    golden = _golden(name)
    config = _tiny(golden, patch)
    assert config.latents == golden["n_latent"]
    params = _golden_params(golden, config.vit)
    tokens = model.embed(params["encoder"], jnp.asarray(golden["video"]), config.vit, jnp.float32)
    latents, visible = objective.decode_tokens(params, tokens, config, "einsum")
    both = np.concatenate([latents, visible], axis=1)
    np.testing.assert_allclose(both, golden["final_block_out"], atol=2e-5)


def test_dropped_tokens_change_nothing_but_their_absence():
    """Embedding only what stays equals embedding everything and gathering."""
    golden = _golden("coarse")
    config = _tiny(golden, (4, 32, 32))
    params = _golden_params(golden, config.vit)["encoder"]
    video = jnp.asarray(golden["video"])
    kept = jnp.asarray([[3, 60, 1, 17]])
    whole = model.embed(params, video, config.vit, jnp.float32)
    some = objective.embed_kept(params, video, kept, config.vit, jnp.float32)
    np.testing.assert_allclose(some, np.asarray(whole)[:, kept[0]], rtol=1e-5, atol=1e-5)


def _numpy_loss(predicted, video, patch):
    """Mean squared error by its definition, patch after patch."""
    errors = []
    for clip, patches in zip(video, predicted, strict=True):
        t, h, w = (size // cell for size, cell in zip(clip.shape[:3], patch, strict=True))
        index = 0
        for i in range(t):
            for j in range(h):
                for k in range(w):
                    cut = clip[
                        i * patch[0] : (i + 1) * patch[0],
                        j * patch[1] : (j + 1) * patch[1],
                        k * patch[2] : (k + 1) * patch[2],
                    ]
                    errors.append((patches[index].astype(np.float64) - cut.reshape(-1)) ** 2)
                    index += 1
    return float(np.mean(errors))


@pytest.mark.parametrize("image", [False, True])
def test_the_loss_is_the_mean_squared_error_of_every_pixel(image):
    config = mae("4ds-micro", image=image)
    params = init_table(jax.random.key(0), objective.mae_table(config))
    video = np.random.default_rng(0).random((2, 16, 64, 64, 3), np.float32)
    clip = objective.shown(jnp.asarray(video), config)
    sequences = 2 * (8 if image else 1)
    kept = objective.draw_kept(jax.random.key(1), sequences, config)
    predicted = objective.reconstruct(params, clip, kept, config, "einsum", dtype=jnp.float32)
    loss = float(objective.squared_error(predicted, objective.target_patches(clip, config)).mean())
    # The clip of the twin, cut into its tubelets: every second frame, twice.
    units = np.repeat(video[:, ::2], 2, axis=1).reshape(-1, 2, 64, 64, 3) if image else video
    assert loss == pytest.approx(_numpy_loss(np.asarray(predicted), units, config.output_patch), rel=1e-5)


def test_the_pixels_of_a_prediction_go_where_they_were_cut():
    for image in (False, True):
        config = mae("4ds-micro", image=image)
        clip = objective.shown(jnp.asarray(np.random.default_rng(0).random((2, 16, 64, 64, 3), np.float32)), config)
        np.testing.assert_array_equal(objective.to_video(objective.target_patches(clip, config), config), clip)


def test_masks_are_uniform_without_repeats_and_differ_between_examples():
    config = mae("4ds-micro")
    kept = np.asarray(objective.draw_kept(jax.random.key(0), 400, config))
    assert kept.shape == (400, 25)
    assert all(len(set(row)) == 25 for row in kept)
    assert len({tuple(sorted(row)) for row in kept}) == 400
    counts = np.bincount(kept.ravel(), minlength=512)  # 19.5 each on average, binomial
    assert abs(counts - 400 * 25 / 512).max() < 6 * np.sqrt(400 * 25 / 512)


@pytest.mark.parametrize(
    ("variant", "keep", "latents"),
    [("4ds-s", 78, 1568), ("4ds-e", 78, 1568), ("4ds-j", 102, 256), ("4ds-mini", 25, 64)],
)
def test_so_many_tokens_stay_and_so_many_latents_join(variant, keep, latents):
    config = mae(variant)
    assert (config.keep, config.latents) == (keep, latents)
    assert mae(variant, keep_rounding="ceil").keep == keep + 1


def test_a_whole_number_of_tokens_is_rounded_nowhere():
    assert mae("4ds-micro", masking=0.75).keep == mae("4ds-micro", masking=0.75, keep_rounding="ceil").keep == 128
    assert mae("4ds-micro", masking=0.9).keep == 51  # of 51.2


def test_the_whole_models_have_the_parameters_that_the_text_implies():
    """Table 1 prints encoder + decoder; for j the text's decoder is larger than the table's (protocol, DECIDE)."""
    total = {name: sum(prod(param.shape) for _, param in leaves(objective.mae_table(mae(name)))) for name in PAPER}
    assert round(total["4ds-j"] / 1e6) == 21_545
    for name in ("4ds-l", "4ds-h", "4ds-g", "4ds-e"):
        assert total[name] / 1e6 == pytest.approx(PAPER[name].total_millions, rel=0.01)


def test_weight_decay_pulls_at_kernels_only():
    decayed = {name for name, param in leaves(objective.mae_table(mae("4ds-s"))) if param.decay}
    assert decayed == {
        "encoder/embed/kernel",
        "decoder/kernel",
        *(f"encoder/blocks/{name}/kernel" for name in ("q", "k", "v", "o", "up", "down")),
    }


def test_biases_are_decayed_where_asked_and_norms_and_tables_never():
    table = objective.mae_table(mae("4ds-s"))
    plain, more = (dict(_flags(step.decayed(table, biases=biases))) for biases in (False, True))
    assert plain == {name: param.decay for name, param in leaves(table)}
    added = {name for name in more if more[name] and not plain[name]}
    assert added == {
        "encoder/embed/bias",
        "decoder/bias",
        *(f"encoder/blocks/{name}/bias" for name in ("q", "k", "v", "o", "up", "down")),
    }


def _flags(tree, prefix=""):
    for name, node in tree.items():
        if isinstance(node, dict):
            yield from _flags(node, f"{prefix}{name}/")
        else:
            yield prefix + name, node


def test_the_rate_rises_and_then_falls_as_the_schedule_says():
    def rates(schedule):
        return [
            float(learning_rate(number, 1.0, steps=10, warmup=2, end=0.2, schedule=schedule)) for number in range(10)
        ]

    falling = [(number + 1 - 2) / 8 for number in range(2, 10)]
    wanted = {
        "cosine": [0.2 + 0.8 * (1 + np.cos(np.pi * share)) / 2 for share in falling],
        "linear": [1 - 0.8 * share for share in falling],
        "constant": [1.0] * 8,
    }
    for schedule, then in wanted.items():
        np.testing.assert_allclose(rates(schedule), [0.5, 1.0, *then], rtol=1e-5)
    with pytest.raises(UsageError, match="schedule: expected one of cosine, linear, constant, got 'sine'"):
        rates("sine")


def test_a_clip_of_4ds_s_costs_the_operations_that_were_measured_with():
    """132.5 GF for a training step, the figure that the speed targets are stated in."""
    assert 3 * forward_flops(mae("4ds-s")) / 1e9 == pytest.approx(132.5, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"masking": 1.0}, "masking: expected a share"),
        ({"keep_rounding": "round"}, "keep_rounding: expected floor or ceil, got 'round'"),
        ({"masking": 0.999}, "leaves at least 1 of 512 tokens"),
        ({"decode_layers": 7}, "decode_layers: expected 1 to 6, got 7"),
        ({"output_patch": (3, 8, 8)}, "output_patch: expected a divisor"),
    ],
)
def test_an_objective_that_cannot_be_is_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        mae("4ds-micro", **changes)
