"""A torch module read as a backbone: its features are those of the module itself, whichever way they come out."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: it is what is bridged")

from probe4d.errors import DataError, UsageError  # noqa: E402
from probe4d_torch import TorchBackbone  # noqa: E402
from probe4d_torch.example import TinyViT  # noqa: E402

READ = {"frames": 4, "size": 8, "tokens": (2, 4, 12)}
BLOCKS = {**READ, "blocks": "blocks.{i}", "depth": 2, "norm": "norm", "prefix": 1}


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(3)
    return TinyViT().eval()


@pytest.fixture(scope="module")
def video():
    return np.random.default_rng(0).random((3, 4, 8, 8, 3), dtype=np.float32)


def by_hand(vit, video, blocks):
    """Return the tokens after so many blocks, the final norm after the last: (b, 2, 4, 12)."""
    with torch.inference_mode():
        x = vit.embed(torch.from_numpy(video).permute(0, 4, 1, 2, 3)).flatten(2).transpose(1, 2)
        x = torch.cat([vit.cls.expand(len(video), -1, -1), x], 1) + vit.position
        for block in vit.blocks[:blocks]:
            x = block(x)
        x = vit.norm(x) if blocks == len(vit.blocks) else x
    return x[:, 1:].reshape(len(video), 2, 4, 12).numpy()


def test_blocks_are_read_by_hook_and_the_norm_follows_the_last(vit, video):
    half, last = TorchBackbone(vit, **BLOCKS).encode(video, (0.5, 1.0))
    assert half.shape == (3, 2, 4, 12)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, by_hand(vit, video, 1), atol=1e-5)
    np.testing.assert_allclose(last, by_hand(vit, video, 2), atol=1e-5)


def test_the_output_gives_the_same_as_the_last_block(vit, video):
    (last,) = TorchBackbone(vit, **READ, output="tokens", prefix=1).encode(video, (1.0,))
    np.testing.assert_allclose(last, by_hand(vit, video, 2), atol=1e-5)


def test_nothing_behind_the_layer_is_computed(vit, video):
    called = []
    handle = vit.blocks[1].register_forward_pre_hook(lambda *_: called.append(1))
    backbone = TorchBackbone(vit, **BLOCKS)
    backbone.encode(video, (1,))
    before = len(called)
    backbone.encode(video, (2,))
    handle.remove()
    assert (before, len(called)) == (0, 1)


def test_no_hook_is_left_on_the_module(vit, video):
    TorchBackbone(vit, **BLOCKS).encode(video, (1,))
    assert not any(block._forward_hooks for block in vit.blocks)


def test_mean_and_std_are_those_of_the_channels(vit, video):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    (got,) = TorchBackbone(vit, **BLOCKS, mean=mean, std=std).encode(video, (2,))
    want = by_hand(vit, (video - np.float32(mean)) / np.float32(std), 2)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_batch_is_cut_and_the_last_part_filled_up(vit, video):
    sizes = []
    handle = vit.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    (got,) = TorchBackbone(vit, **BLOCKS, batch_size=2).encode(video, (2,))
    handle.remove()
    assert sizes == [2, 2]
    np.testing.assert_allclose(got, by_hand(vit, video, 2), atol=1e-5)


class Shows(torch.nn.Module):
    """Puts out what `make` makes of its input, so that a test sees which value went where."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, video, scale=1.0):
        return self.make(video * scale)


def cells(video):
    """Return mean colours of 4 x 4 cells of each frame: (b, t, 4, 3), rows first."""
    b, t = video.shape[:2]
    return video.reshape(b, t, 2, 4, 2, 4, 3).mean((3, 5)).reshape(b, t, 4, 3)


LAYOUTS = {
    "bcthw": lambda x: x.permute(0, 2, 3, 4, 1),
    "btchw": lambda x: x.permute(0, 1, 3, 4, 2),
    "bthwc": lambda x: x,
    "(bt)chw": lambda x: x.permute(0, 2, 3, 1).unflatten(0, (-1, 4)),
    "b (tc) h w": lambda x: x.unflatten(1, (4, 3)).permute(0, 1, 3, 4, 2),
}
AXES = {
    "b(tk)c": lambda x: x.flatten(1, 2),
    "b(kt)c": lambda x: x.transpose(1, 2).flatten(1, 2),
    "btkc": lambda x: x,
    "(bt)kc": lambda x: x.flatten(0, 1),
    "(bt)chw": lambda x: x.unflatten(2, (2, 2)).permute(0, 1, 4, 2, 3).flatten(0, 1),
    "bcthw": lambda x: x.unflatten(2, (2, 2)).permute(0, 4, 1, 2, 3),
    "b(thw)c": lambda x: x.flatten(1, 2),
    "b c (wht)": lambda x: x.unflatten(2, (2, 2)).permute(0, 4, 3, 2, 1).flatten(2),
}


def of_torch(x):
    return torch.from_numpy(cells(x.numpy()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_input_shows_the_module_the_same_video(layout, video):
    module = Shows(lambda x: of_torch(LAYOUTS[layout](x)))
    (got,) = TorchBackbone(module, frames=4, size=8, tokens=(4, 4, 3), layout=layout, axes="btkc").encode(video, (1.0,))
    np.testing.assert_allclose(got, cells(video), atol=1e-6)


@pytest.mark.parametrize("axes", AXES)
def test_every_order_of_the_output_gives_the_same_features(axes, video):
    module = Shows(lambda x: AXES[axes](of_torch(x)))
    (got,) = TorchBackbone(module, frames=4, size=8, tokens=(4, 4, 3), layout="bthwc", axes=axes).encode(video, (1.0,))
    np.testing.assert_allclose(got, cells(video), atol=1e-6)


@pytest.mark.parametrize("output", ["deep.1", "deep.-1"])
def test_an_output_is_found_by_key_and_index_and_the_argument_by_its_name(output, video):
    module = Shows(lambda x: {"deep": (x[:, :1], of_torch(x))})
    backbone = TorchBackbone(
        module, frames=4, size=8, tokens=(4, 4, 3), layout="bthwc", axes="btkc", output=output, argument="video",
        arguments={"scale": 2.0},
    )  # fmt: skip
    np.testing.assert_allclose(backbone.encode(video, (1,))[0], 2 * cells(video), atol=1e-6)


def test_places_before_which_prefix_tokens_stand_are_those_of_each_frame(video):
    module = Shows(lambda x: torch.nn.functional.pad(of_torch(x), (0, 0, 2, 0), value=9.0).flatten(0, 1))
    reading = {"frames": 4, "size": 8, "tokens": (4, 4, 3), "layout": "bthwc", "axes": "(bt)kc"}
    (got,) = TorchBackbone(module, **reading, prefix=2).encode(video, (1.0,))
    np.testing.assert_allclose(got, cells(video), atol=1e-6)
    with pytest.raises(DataError, match=r"got \(12, 6, 3\)\. Is it 2 prefix tokens\?"):
        TorchBackbone(module, **reading).encode(video, (1.0,))


def test_bfloat16_and_compile_change_little(vit, video):
    (want,) = TorchBackbone(vit, **BLOCKS).encode(video, (2,))
    (half,) = TorchBackbone(vit, **BLOCKS, dtype="bfloat16").encode(video, (2,))
    assert half.dtype == np.float32
    assert 0 < np.abs(half - want).max() < 0.1


def test_training_mode_and_gradients_are_off():
    module = TinyViT().train()
    TorchBackbone(module, **BLOCKS)
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prefixes": 1}, r"got 'prefixes'\. Did you mean 'prefix'"),
        ({"tokens": (2, 4)}, r"tokens: expected 3 integers"),
        ({"layout": "bchw"}, r"layout: expected each of b t c h w"),
        ({"axes": "b(tk)(c"}, r"axes: expected axes as bcthw"),
        ({"axes": "bkc"}, r"axes: expected each of b t k c"),
        ({"dtype": "float16"}, r"dtype: expected 'float32' or 'bfloat16'"),
        ({"std": (1.0, 0.0, 1.0)}, r"std: expected numbers other than 0"),
        ({"blocks": "layers.{i}"}, r"blocks: expected a submodule, got 'layers\.0'\. There are embed, blocks"),
        ({"blocks": "norm"}, r"blocks: expected '\{i\}' in the name if and only if depth is above 1"),
        ({"norm": "norms"}, r"norm: expected a submodule, got 'norms'"),
        ({"output": "tokens"}, r"output: expected none beside blocks"),
        ({"device": "tpu9"}, r"device: expected one that torch has here, got 'tpu9'"),
    ],
)
def test_a_wrong_option_is_named(vit, fields, said):
    with pytest.raises(UsageError, match=said):
        TorchBackbone(vit, **{**BLOCKS, **fields})


@pytest.mark.parametrize(
    ("fields", "layer", "said"),
    [
        ({"tokens": (2, 9, 12)}, 1.0, r"blocks\.1: expected shape \(3, 19, 12\), .*got \(3, 9, 12\)"),
        ({"tokens": (2, 4, 16)}, 1, r"blocks\.0: expected shape \(3, 9, 16\), .*got \(3, 9, 12\)"),
        ({"axes": "btkc"}, 1, r"got \(3, 9, 12\)\. Say in `axes` what its axes are"),
        ({"axes": "bc(thw)", "tokens": (3, 5, 7)}, 1, r"expected bc\(thw\) with 5 places, got an output of shape"),
    ],
)
def test_another_shape_than_was_said_is_named_with_what_was_got(vit, video, fields, layer, said):
    with pytest.raises(DataError, match=said):
        TorchBackbone(vit, **{**BLOCKS, **fields}).encode(video, (layer,))


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("", r"output: expected a tensor, got a table of tokens \(a tensor of shape \(3, 9, 12\)\)"),
        ("token", r"output\.token: expected something of that name, got a table of tokens"),
    ],
)
def test_an_output_that_is_no_tensor_is_described(vit, video, output, said):
    with pytest.raises(UsageError, match=said):
        TorchBackbone(vit, **READ, output=output, prefix=1).encode(video, (1.0,))


@pytest.mark.parametrize("layer", [0.4, 0.0, 3, 0, True, "block_0"])
def test_a_layer_that_there_is_not_is_refused(vit, video, layer):
    with pytest.raises(UsageError, match="layer: expected 1 to 2 blocks"):
        TorchBackbone(vit, **BLOCKS).encode(video, (layer,))


def test_a_block_that_is_not_called_is_named(video):
    class Skips(TinyViT):
        def forward(self, video):
            return {"tokens": self.norm(self.blocks[0](self.position))}

    with pytest.raises(UsageError, match=r"expected the module to call 'blocks\.1', got no call of it by 'forward'"):
        TorchBackbone(Skips(), **BLOCKS).encode(video, (2,))


def test_what_is_no_module_is_refused():
    with pytest.raises(UsageError, match=r"expected a torch\.nn\.Module, got function"):
        TorchBackbone(lambda video: video, **READ)


def test_a_clip_of_another_shape_is_refused(vit, video):
    with pytest.raises(UsageError, match=r"video: expected shape \(b, 4, 8, 8, 3\), got \(3, 3, 8, 8, 3\)"):
        TorchBackbone(vit, **BLOCKS).encode(video[:, 1:], (1,))
