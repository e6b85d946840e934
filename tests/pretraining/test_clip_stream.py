"""The stream: the same clips whatever reads them, continued at the exact next example."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d_datasets.pretraining import open_stream
from probe4d_datasets.pretraining.sources import open_source

pytest.importorskip("grain")

PROGRAM = """
import hashlib, multiprocessing, sys
from probe4d_datasets.pretraining import ClipData, open_stream

if __name__ == "__main__":
    data = ClipData(source=sys.argv[1], frames=4, size=32, batch_size=2, workers=2)
    with open_stream(data) as stream:
        for batch in stream:
            pids = [child.pid for child in multiprocessing.active_children()]
            print(hashlib.sha256(batch["video"]).hexdigest(), pids, stream.get_state().decode(), sep="|", flush=True)
"""


def test_the_same_seed_gives_the_same_clips_and_another_others(clips, take, same):
    expected = take(open_stream(clips(flip=True, size=32)), 8)
    same(take(open_stream(clips(flip=True, size=32)), 8), expected)
    other = take(open_stream(clips(flip=True, size=32, seed=1)), 8)
    assert [batch["ids"] for batch in other] != [batch["ids"] for batch in expected]


def test_each_epoch_shows_every_video_once_in_an_order_of_its_own(clips, take):
    shown = [name for batch in take(open_stream(clips(frames=2, batch_size=3)), 25) for name in batch["ids"]]
    epochs = [tuple(shown[at : at + 5]) for at in range(0, 75, 5)]
    assert all(len(set(epoch)) == 5 for epoch in epochs)
    assert len(set(epochs)) > 10


def test_so_many_epochs_end_with_the_last_whole_batch(clips):
    with open_stream(clips(epochs=3, batch_size=2)) as stream:
        assert len(list(stream)) == 7  # 15 examples
        assert list(stream) == []


@pytest.mark.parametrize("count", [2, 3, 6])
def test_processes_read_the_parts_of_one_global_batch(clips, take, count):
    data = clips(batch_size=6, flip=True, size=32)
    whole = take(open_stream(data), 4)
    parts = [take(open_stream(data, process_index=i, process_count=count), 4) for i in range(count)]
    for batch, *pieces in zip(whole, *parts, strict=True):
        assert [name for piece in pieces for name in piece["ids"]] == batch["ids"]
        np.testing.assert_array_equal(np.concatenate([piece["video"] for piece in pieces]), batch["video"])


@pytest.mark.parametrize(
    ("index", "count", "message"), [(0, 4, "multiple of the 4 .* Take 8"), (2, 2, "expected 0 to 1")]
)
def test_a_batch_that_does_not_divide_is_an_error(clips, index, count, message):
    with pytest.raises(UsageError, match=message):
        open_stream(clips(batch_size=6), process_index=index, process_count=count)


def test_any_state_continues_with_the_very_next_example(clips, take, same):
    data = clips(batch_size=3, flip=True, size=32)
    expected = take(open_stream(data), 9)
    with open_stream(data) as stream:
        states = [stream.get_state()] + [stream.get_state() for _ in range(8) if next(stream)]
    for done in (0, 1, 4, 8):
        same(take(open_stream(data, start=states[done]), 9 - done), expected[done:])


def test_a_stream_may_go_back(clips, same):
    with open_stream(clips()) as stream:
        state = stream.get_state()
        first = [next(stream) for _ in range(3)]
        stream.set_state(state)
        same([next(stream) for _ in range(3)], first)


def test_another_number_of_processes_or_another_batch_goes_on_from_the_same_example(clips, take):
    expected = take(open_stream(clips(batch_size=1)), 18)
    with open_stream(clips(batch_size=6), process_index=1, process_count=3) as stream:
        next(stream)
        state = stream.get_state()
    (six,) = take(open_stream(clips(batch_size=6), start=state), 1)
    (four,) = take(open_stream(clips(batch_size=4), start=state), 1)
    assert six["ids"] == [batch["ids"][0] for batch in expected[6:12]]
    assert four["ids"] == six["ids"][:4]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"seed": 1}, "seed"), ({"frames": 5}, "frames"), ({"stride": 1}, "stride"), ({"margin": 1.2}, "margin")],
)
def test_a_state_of_other_data_names_the_field(clips, changes, field):
    state = open_stream(clips()).get_state()
    with pytest.raises(UsageError, match=f"state of the clips, {field}: expected"):
        open_stream(clips(**changes), start=state)


def test_a_state_of_another_list_of_videos_is_refused(clips, videos):
    state = open_stream(clips(source=f"{videos}/*.mp4")).get_state()
    with pytest.raises(UsageError, match="videos: expected 3"):
        open_stream(clips(source=f"{videos}/sub/**/*"), start=state)
    with pytest.raises(UsageError, match="list: expected"):
        open_stream(clips(source=f"{videos}/sub/*"), start=state)


@pytest.mark.parametrize("state", [b"", b"\xff\xfe", b"[]", b'{"schema": "another/1"}'])
def test_bytes_that_are_no_state_are_refused(clips, state):
    with pytest.raises(UsageError, match="state of the clips: expected"):
        open_stream(clips(), start=state)


def test_a_state_is_small_json(clips, take):
    stream = open_stream(clips())
    take(stream, 5)
    assert json.loads(stream.get_state())["position"] == 10
    assert len(stream.get_state()) < 1000


@pytest.fixture
def read(clips, monkeypatch):
    """Return the list that every clip that is read from now on is noted in, after 0.2 seconds."""
    source, noted = type(open_source(clips())), []
    cut_clip = source.cut_clip

    def slowly(self, *rest):
        time.sleep(0.2)
        cut_clip(self, *rest)
        noted.append(rest[0])

    monkeypatch.setattr(source, "cut_clip", slowly)
    return noted


def wait_for(noted, count):
    deadline = time.monotonic() + 30
    while len(noted) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)


def test_the_time_spent_waiting_is_counted(clips, read):
    with open_stream(clips(ahead=1)) as stream:
        next(stream)
        first = stream.wait_seconds
        assert first >= 0.4  # two clips, nothing ready
        wait_for(read, 4)
        next(stream)
        assert stream.wait_seconds - first < 0.4


def test_no_more_is_read_ahead_than_was_asked_for(clips, read):
    with open_stream(clips(ahead=2)) as stream:
        next(stream)
        wait_for(read, 3 * 2)
        assert len(read) == 3 * 2  # the batch that was returned, and two


def test_an_error_while_reading_costs_no_batch(clips, monkeypatch, take, same):
    expected = take(open_stream(clips()), 3)
    source, broken = type(open_source(clips())), [True]
    cut_clip = source.cut_clip

    def once(self, index, *rest):
        if index == 0 and broken:
            broken.clear()
            raise MemoryError
        cut_clip(self, index, *rest)

    monkeypatch.setattr(source, "cut_clip", once)
    found = []
    with open_stream(clips()) as stream:
        while len(found) < 3:
            try:
                found.append(next(stream))
            except MemoryError:
                assert not broken
    assert not broken
    same(found, expected)


def test_worker_processes_change_no_clip_and_leave_none_when_killed(videos, clips, take, same, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(videos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline().split("|") for _ in range(5)]
        os.kill(process.pid, signal.SIGKILL)
    workers = json.loads(lines[-1][1])
    assert len(workers) == 2

    data = clips(frames=4, size=32, margin=1.15, flip=True)
    expected = [hashlib.sha256(batch["video"]).hexdigest() for batch in take(open_stream(data), 8)]
    assert [digest for digest, _, _ in lines] == expected[:5]
    state = lines[-1][2].encode()
    continued = take(open_stream(data, start=state), 3)
    assert [hashlib.sha256(batch["video"]).hexdigest() for batch in continued] == expected[5:]

    deadline = time.monotonic() + 20
    while any(map(runs, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if runs(pid)]


def runs(pid):
    """Return whether a process is there and is no zombie."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return shown.strip()[:1] not in ("", "Z")


def test_a_signal_to_all_processes_leaves_the_workers_to_who_trains(clips, take, same):
    data = {"size": 32, "flip": True, "margin": 1.15}
    expected = take(open_stream(clips(**data)), 8)
    before = multiprocessing.active_children()
    with open_stream(clips(**data, workers=1, ahead=1)) as stream:
        found = [next(stream)]
        (worker,) = [child for child in multiprocessing.active_children() if child not in before]
        os.kill(worker.pid, signal.SIGTERM)
        os.kill(worker.pid, signal.SIGINT)
        found += [next(stream) for _ in range(7)]
    same(found, expected)
    assert not worker.is_alive()
