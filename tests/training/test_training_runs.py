"""A run that is stopped, killed or moved ends in the bits of one that nothing disturbed."""

from __future__ import annotations

import json
import random
import shutil
import signal
import struct
import time

import numpy as np
import pytest

import probe4d
from loopback import free_address
from probe4d_fourds.export import read_model, write_safetensors
from probe4d_fourds.objective import mae
from probe4d_fourds.run_log import RunLog


def losses(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder):
    with np.load(folder / "weights.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def assert_same_result(folder, finished):
    assert losses(folder) == losses(finished)
    for name, array in weights(finished).items():
        np.testing.assert_array_equal(weights(folder)[name], array, err_msg=name)


def test_a_run_learns_and_says_what_it_did(finished):
    lines = losses(finished)
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert lines[-1]["loss"] < lines[0]["loss"]
    done = json.loads((finished / "done.json").read_text())
    assert (done["step"], done["skipped"], done["data"]["read"]) == (8, 0, 32)


def test_tensorboard_gets_the_numbers_of_the_log(tmp_path):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX: the extra of events")
    with RunLog(tmp_path, 0, tensorboard=True) as log:
        log.write({"step": 1, "loss": 0.5, "learning_rate": None})
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"loss" in content
    assert struct.pack("<f", 0.5) in content
    assert b"learning_rate" not in content  # a number that is none is no event


def kill_at_random(start, folder, kills, seed):
    """Kill the run with -9 at random moments of its life, so many times; then let it end."""
    drawn, ends = random.Random(seed), []
    for _ in range(kills):
        process = start(folder)
        seen = len(losses(folder)) if (folder / "metrics.jsonl").exists() else 0
        enough = seen + drawn.randint(0, 3)
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            if (folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").read_text().count("\n") >= enough:
                break
            time.sleep(0.01)
        time.sleep(drawn.random() * 0.3)
        process.kill()
        process.communicate()
        ends.append(process.returncode)
    assert ends.count(-signal.SIGKILL) >= 2, ends  # one after its end hits nothing
    process = start(folder)
    out, error = process.communicate(timeout=500)
    assert process.returncode == 0, error
    return out


def test_a_run_that_is_killed_ends_in_the_same_bits(start, finished, tmp_path):
    kill_at_random(start, tmp_path / "killed", 3, seed=0)
    assert_same_result(tmp_path / "killed", finished)


@pytest.mark.slow
def test_twenty_kills_change_nothing(start, finished, tmp_path):
    for i in range(4):
        kill_at_random(start, tmp_path / f"killed-{i}", 5, seed=i + 1)
        assert_same_result(tmp_path / f"killed-{i}", finished)


def preempt(start, folder):
    """Send SIGTERM to a run after its first step, and return what it prints."""
    process = start(folder, "--set", "run.checkpoint_every=100")
    while process.poll() is None and not (folder / "metrics.jsonl").exists():
        time.sleep(0.01)
    while process.poll() is None and not (folder / "metrics.jsonl").read_text():
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return out


def test_a_preempted_run_saves_and_goes_on(start, finished, tmp_path):
    for number in range(5):  # one may be over before the signal comes
        folder = tmp_path / f"preempted-{number}"
        out = preempt(start, folder)
        if "stopped by SIGTERM" in out:
            break
    assert "the same command goes on" in out
    done = len(losses(folder))
    assert 0 < done < 8
    assert [entry.name for entry in (folder / "checkpoints").iterdir() if entry.name.isdigit()] == [str(done)]
    again = start(folder)
    _, error = again.communicate(timeout=300)
    assert again.returncode == 0, error
    assert_same_result(folder, finished)


def test_a_half_written_checkpoint_is_never_restored(start, finished, tmp_path):
    folder = tmp_path / "torn"
    shutil.copytree(finished, folder)
    (folder / "checkpoints" / "8" / "commit_success.txt").unlink(missing_ok=True)
    newest = folder / "checkpoints" / "8"
    newest.rename(newest.with_name("8.orbax-checkpoint-tmp"))  # what a killed save leaves
    (folder / "weights.npz").unlink()
    process = start(folder)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "steps 6 to 8" in out
    assert_same_result(folder, finished)


def test_a_folder_of_another_configuration_is_refused(start, finished):
    process = start(finished, "--set", "optimizer.learning_rate=0.5")
    _, error = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "expected optimizer.learning_rate = 0.001" in error
    assert "Traceback" not in error


def test_a_loss_that_is_not_finite_stops_with_the_examples_and_the_last_checkpoint(start, tmp_path):
    process = start(tmp_path / "nan", "--set", "optimizer.learning_rate=1e30", "--set", "optimizer.warmup_steps=0")
    _, error = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "expected a finite loss and gradient" in error
    assert "pretrain-0000" in error  # ids of the batch
    assert "checkpoint" in error
    assert "Traceback" not in error


def test_updates_that_are_not_finite_can_be_skipped_and_are_counted(start, tmp_path):
    folder = tmp_path / "skip"
    changes = ["optimizer.learning_rate=1e30", "optimizer.warmup_steps=0", "run.on_nonfinite=skip"]
    process = start(folder, *(part for change in changes for part in ("--set", change)))
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    skipped = json.loads((folder / "done.json").read_text())["skipped"]
    assert 0 < skipped < 8
    assert f"skipped {skipped}" in out


def test_two_processes_train_as_one_does(start, finished, tmp_path):
    address = free_address()
    processes = [start(tmp_path / "two", "--distributed", f"{address},{i}/2") for i in range(2)]
    ends = [process.communicate(timeout=500) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends[0][1][-2000:] + ends[1][1][-2000:]
    both, one = losses(tmp_path / "two"), losses(finished)
    np.testing.assert_allclose([line["loss"] for line in both], [line["loss"] for line in one], rtol=2e-5)


def test_exported_weights_are_read_back_bit_equal(finished, tmp_path):
    config = mae("4ds-micro")
    params = read_model(finished / "weights.npz", config)
    (index, *parts) = write_safetensors(tmp_path / "parts.safetensors", params, part_bytes=1_000_000)
    assert len(parts) > 1
    video = np.random.default_rng(0).random((1, 16, 64, 64, 3), np.float32)
    want = probe4d.load_backbone("4ds-micro", weights=finished / "weights.npz").encode(video, (0.95,))[0]
    for file in (finished / "weights.safetensors", index):
        for name, array in read_model(file, config)["encoder"]["blocks"]["q"].items():
            np.testing.assert_array_equal(array, params["encoder"]["blocks"]["q"][name])
        got = probe4d.load_backbone("4ds-micro", weights=file).encode(video, (0.95,))[0]
        np.testing.assert_array_equal(got, want)
