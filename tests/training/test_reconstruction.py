"""`probe4d reconstruct` draws what the model saw and made, from the weights that come along."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from probe4d.errors import DataError
from probe4d_fourds.objective import mae
from probe4d_fourds.reconstruction import GAP, GREY, command, draw, rebuild


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    """A clip as large as the model takes it: a square that moves over a gradient."""
    video = np.zeros((31, 64, 64, 3), np.uint8)
    video[:] = np.linspace(40, 200, 64, dtype=np.uint8)[None, None, :, None]
    for frame in range(31):
        video[frame, 20:36, frame : frame + 16] = (250, 30, 30)
    file = tmp_path_factory.mktemp("clips") / "moving.npy"
    np.save(file, video)
    return file


def test_the_picture_has_input_visible_part_and_reconstruction_of_each_frame(clip_file, tmp_path):
    from PIL import Image

    out = tmp_path / "out.png"
    ran = CliRunner().invoke(command, ["4ds-micro", "--video", str(clip_file), "-o", str(out), "--frames", "1,9"])
    assert ran.exit_code == 0, ran.output
    assert "mean squared error" in ran.output
    picture = np.asarray(Image.open(out))
    assert picture.shape == (3 * 64, 3 * (6 * 64 + 5 * GAP), 3)
    video = np.load(clip_file)
    np.testing.assert_array_equal(picture[::3, ::3][:, :64], video[0])  # frame 1
    np.testing.assert_array_equal(picture[::3, ::3][:, 3 * (64 + GAP) : 3 * (64 + GAP) + 64], video[16])  # frame 9


def test_only_what_stays_is_visible(clip_file):
    from probe4d.backbones import weights_of
    from probe4d.registry import find

    config = mae("4ds-micro")
    video = np.load(clip_file)[::2]
    made = rebuild(video, weights_of(find("backbones", "4ds-micro"), None), config, seed=0)
    hidden = (made.visible == GREY).all(-1)
    assert 1 - hidden.mean() == pytest.approx(25 / 512, abs=0.005)
    np.testing.assert_array_equal(made.visible[~hidden], video[~hidden])
    assert draw([made], [0]).size == (3 * (3 * 64 + 2 * GAP), 3 * 64)
    with pytest.raises(DataError, match=r"clip: expected shape \(16, 64, 64, 3\)"):
        rebuild(video[:8], "weights.npz", config, seed=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["4ds-micro", "--frames", "0"], "--frames: expected numbers from 1 to 16"),
        (["4ds-micro", "--frames", "a"], "--frames: expected numbers, as 1,9"),
        (["4ds-none"], "model: expected a folder of `probe4d train`"),
        (["4ds-s"], "expected weights, got none"),
    ],
)
def test_bad_arguments_are_named(clip_file, tmp_path, arguments, words):
    ran = CliRunner().invoke(command, [*arguments, "--video", str(clip_file), "-o", str(tmp_path / "x.png")])
    assert words in str(ran.exception)
