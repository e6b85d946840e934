"""Every kind of wrong input ends in one message that says where, what was expected and what was found."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CONVENTION = {"order": "xy", "coords": "pixels", "frame_size": [64, 64]}
TRACKS = np.arange(12.0).reshape(2, 3, 2) + 5
VISIBLE = np.ones((2, 3), bool)
QUERIES = np.concatenate([np.zeros((2, 1)), TRACKS[:, 0, ::-1]], axis=1)
GOOD = {"a/tracks": TRACKS, "a/visible": VISIBLE}
TARGET = {**GOOD, "a/query_points": QUERIES}


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), **options)
    return file.getvalue()


def raw_npy(header: str, data: bytes = b"", magic: bytes = b"\x93NUMPY\x01\x00") -> bytes:
    return magic + struct.pack("<H", len(header)) + header.encode("latin-1") + data


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def members(changes: dict[str, Any], meta: Any = CONVENTION) -> dict[str, bytes]:
    """Return the members of a good prediction file with changes; None takes one away."""
    arrays = {**GOOD, **changes}
    found = {
        f"{name}.npy": value if isinstance(value, bytes) else npy(value)
        for name, value in arrays.items()
        if value is not None
    }
    if meta is not None:
        found["meta.npy"] = npy(np.array(json.dumps(meta)))
    return found


def header_for(shape: str, descr: str = "'<f8'", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


def arrays(**changes: Any) -> Callable[[Path], Path]:
    """Return a writer of a prediction file with these members changed (`tracks` is `a/tracks`)."""
    return lambda path: archive(path, members({f"a/{name}": value for name, value in changes.items()}))


def stating(meta: Any) -> Callable[[Path], Path]:
    return lambda path: archive(path, members({}, meta))


def with_meta(value: Any) -> Callable[[Path], Path]:
    return lambda path: archive(path, {**members({}, None), "meta.npy": npy(value)})


def renamed(path: Path) -> Path:
    return archive(path, {f"b{name[1:]}" if name[0] == "a" else name: value for name, value in members({}).items()})


def raw(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


def extra(**contents: bytes) -> Callable[[Path], Path]:
    return lambda path: archive(path, {**members({}), **contents})


def truncated(share: float) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        content = archive(path, members({})).read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return write


def twice(path: Path) -> Path:
    archive(path, members({}))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as file:
        file.writestr("a/tracks.npy", npy(TRACKS))
    return path


def damaged(path: Path) -> Path:
    content = bytearray(archive(path, members({})).read_bytes())
    place = content.find(TRACKS.tobytes())
    content[place + 3] ^= 0xFF
    path.write_bytes(bytes(content))
    return path


def encrypted(path: Path) -> Path:
    content = bytearray(archive(path, members({})).read_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    return path


def bomb(path: Path) -> Path:
    """Write 64 MB of zeros as an array that claims 64 GB, deflated to kilobytes."""
    huge = raw_npy(header_for("(4000000000, 2, 2)"), bytes(1 << 26))
    return archive(path, {**members({}), "a/tracks.npy": huge}, zipfile.ZIP_DEFLATED)


def claiming(size: int) -> Callable[[Path], Path]:
    """Write a deflated member whose directory entry claims another size."""

    def write(path: Path) -> Path:
        content = bytearray(archive(path, members({}), zipfile.ZIP_DEFLATED).read_bytes())
        for place in (content.find(b"PK\x01\x02") + 24, 22):
            content[place : place + 4] = struct.pack("<I", size)
        path.write_bytes(bytes(content))
        return path

    return write


def batch(**changes: Any) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        found = {"ids": np.array(["a"]), "tracks": TRACKS[None], "visible": VISIBLE[None], **changes}
        np.savez(
            path, meta=json.dumps(CONVENTION), **{name: value for name, value in found.items() if value is not None}
        )
        return path

    return write


NPZ: dict[str, tuple[Callable[[Path], Path], int, str]] = {
    # files
    "an empty file": (raw(b""), 4, "got an empty file"),
    "text": (raw(b"hello"), 4, "truncated or foreign file"),
    "a pickle": (raw(b"\x80\x04}."), 4, "like a pickle, which is never loaded"),
    "a bare npy": (raw(npy(TRACKS)), 4, "truncated or foreign file"),
    "a file cut in half": (truncated(0.5), 4, "truncated"),
    "a file without its end": (truncated(0.97), 4, "truncated"),
    "a zip without members": (lambda path: archive(path, {}), 4, "at least one sample"),
    "a file with meta alone": (lambda path: archive(path, {"meta.npy": npy(np.array("{}"))}), 4, "at least one sample"),
    # archives
    "a member twice": (twice, 4, "'a/tracks.npy' twice"),
    "a damaged member": (damaged, 4, "damaged data"),
    "an encrypted member": (encrypted, 4, "an encrypted one"),
    "a bzip2 member": (lambda path: archive(path, members({}), zipfile.ZIP_BZIP2), 4, "compression method 12"),
    "a bomb": (bomb, 4, "bytes in one array"),
    "a member that unpacks to more than it says": (claiming(10), 4, "more when unpacked"),
    "a member that unpacks to less than it says": (claiming(100_000), 4, "damaged data"),
    "a member that claims gigabytes": (claiming(0xF0000000), 4, "bytes claimed in"),
    "a path that climbs": (extra(**{"../a/tracks.npy": npy(TRACKS)}), 4, "a path that leaves the archive"),
    "an absolute path": (extra(**{"/etc/x.npy": npy(TRACKS)}), 4, "a path that leaves the archive"),
    "a foreign member": (extra(**{"readme.txt": b"hi"}), 4, "'readme.txt'"),
    "a field without a sample among samples": (extra(**{"tracks.npy": npy(TRACKS)}), 4, "or none"),
    "a sample without a name": (extra(**{"/tracks.npy": npy(TRACKS)}), 4, "leaves the archive"),
    "a sample id with control characters": (extra(**{"a\n/tracks.npy": npy(TRACKS)}), 4, "printable characters"),
    "an id of a thousand letters": (extra(**{"x" * 1000 + "/tracks.npy": npy(TRACKS)}), 4, "at most 512"),
    # npy headers
    "objects": (arrays(tracks=npy(np.array([{}, []], dtype=object), allow_pickle=True)), 4, "which are never loaded"),
    "records": (arrays(tracks=npy(np.zeros(3, dtype=[("x", "f4")]))), 4, "a structured array"),
    "complex numbers": (arrays(tracks=npy(TRACKS.astype(complex))), 4, "dtype '<c16'"),
    "dates": (arrays(tracks=npy(np.zeros((2, 3, 2), "M8[s]"))), 4, "dtype '<M8[s]'"),
    "long doubles": (
        arrays(tracks=raw_npy(header_for("(2, 3, 2)", "'<f16'"), bytes(192))), 4,
        "floats of at most 64 bits",
    ),
    "a member that is no npy": (arrays(tracks=b"hello, world!"), 4, "a .npy array"),
    "an empty member": (arrays(tracks=b""), 4, "a .npy array"),
    "a npy of version 9": (arrays(tracks=b"\x93NUMPY\x09\x00" + bytes(40)), 4, "version 9"),
    "a header cut short": (arrays(tracks=npy(TRACKS)[:40]), 4, "truncated"),
    "a header that is no literal": (arrays(tracks=raw_npy("__import__('os')\n")), 4, "descr, fortran_order and shape"),
    "a header nested without end": (arrays(tracks=raw_npy("[" * 9000)), 4, "descr, fortran_order and shape"),
    "a header of other keys": (arrays(tracks=raw_npy("{'shape': (1,)}\n")), 4, "descr, fortran_order and shape"),
    "a negative size": (arrays(tracks=raw_npy(header_for("(-1, 2)"))), 4, "sizes of at least 0"),
    "a size that is no integer": (arrays(tracks=raw_npy(header_for("(1.5, 2)"))), 4, "a shape of integers"),
    "a size beyond any memory": (arrays(tracks=raw_npy(header_for("(99999999999999, 2)"))), 4, "at most"),
    "sizes beyond addresses behind a zero": (
        arrays(tracks=raw_npy(header_for(f"(0, {10**30})"))), 4,
        "memory can address",
    ),
    "forty axes": (arrays(tracks=raw_npy(header_for(str((1,) * 40)), bytes(8))), 4, "at most 8 axes"),
    "less data than the shape": (arrays(tracks=npy(TRACKS)[:-8]), 4, "96 bytes of data"),
    "more data than the shape": (arrays(tracks=npy(TRACKS) + b"\0" * 8), 4, "96 bytes of data"),
    "an unknown dtype": (arrays(tracks=raw_npy(header_for("(1,)", "'<q9'"))), 4, "'<q9'"),
    # fields
    "a missing field": (arrays(tracks=None), 4, "the field 'tracks' (n t 2)"),
    "an unknown field": (arrays(visable=VISIBLE), 4, "Did you mean 'visible'"),
    "a field of another kind": (arrays(depth=TRACKS), 4, "got 'depth'"),
    "two axes for three": (arrays(tracks=TRACKS[0]), 4, "shape (n, t, 2), got shape (3, 2)"),
    "three coordinates": (arrays(tracks=np.zeros((2, 3, 3))), 4, "shape (n, t, 2), got shape (2, 3, 3)"),
    "sizes that disagree": (arrays(visible=np.ones((2, 4), bool)), 4, "t = 3 as in tracks, got 4"),
    "visibility as integers": (arrays(visible=VISIBLE.astype(int)), 4, "expected booleans, got dtype int64"),
    "tracks as text": (arrays(tracks=TRACKS.astype(str)), 4, "expected floats or integers"),
    "tracks as booleans": (arrays(tracks=TRACKS > 3), 4, "got dtype bool"),
    "visible and occluded together": (arrays(occluded=~VISIBLE), 4, "visibility stated once"),
    "certainty without visibility": (
        arrays(visible=None, certainty_prob=np.ones((2, 3))), 4,
        "visible_logit or visible_prob",
    ),
    "probabilities above 1": (
        arrays(visible=None, visible_prob=np.full((2, 3), 7.0)), 2,
        "meta.threshold is stated neither",
    ),
    "NaN logits": (arrays(visible=None, visible_logit=np.full((2, 3), np.nan)), 4, "finite numbers, got nan at (0, 0)"),
    "an infinite query": (arrays(query_points=np.full((2, 3), np.inf)), 4, "finite numbers"),
    "other queries": (arrays(query_points=QUERIES + 1), 4, "the targets' queries, got another at row 0"),
    "fewer tracks than targets": (arrays(tracks=TRACKS[:1], visible=VISIBLE[:1]), 4, "expected 2 tracks"),
    "fewer frames than targets": (arrays(tracks=TRACKS[:, :2], visible=VISIBLE[:, :2]), 4, "expected 3 frames"),
    "frames that the targets lack": (arrays(frame_ids=np.array([0, 1, 7])), 4, "got none that is 2"),
    "a frame twice": (arrays(frame_ids=np.array([0, 1, 1])), 4, "each id once, got 1 twice"),
    "a frame size of zero": (arrays(frame_size=np.array([0, 64])), 4, "(height, width) in pixels"),
    "query ids that the targets lack": (arrays(query_ids=np.array([0, 1])), 4, "query_ids in the targets too"),
    "no tracks at all": (arrays(tracks=np.zeros((0, 3, 2)), visible=np.zeros((0, 3), bool)), 4, "expected 2 tracks"),
    # ids
    "a surplus sample": (extra(**{"b/tracks.npy": npy(TRACKS), "b/visible.npy": npy(VISIBLE)}), 4, "got 'b' besides"),
    "no sample of the targets": (renamed, 4, "got 'b' besides"),
    # meta
    "no meta": (stating(None), 2, "meta.order is stated neither by the file nor by --meta"),
    "meta without order": (stating({"coords": "pixels", "frame_size": [64, 64]}), 2, "one of: xy, yx"),
    "pixels without a frame size": (stating({"order": "xy", "coords": "pixels"}), 4, "expected a frame_size"),
    "an unknown key": (stating({**CONVENTION, "ordre": "xy"}), 4, "Did you mean 'order'?"),
    "an unknown choice": (stating({**CONVENTION, "order": "yz"}), 4, "expected one of xy, yx, got 'yz'"),
    "a choice that is a number": (stating({**CONVENTION, "order": 1}), 4, "expected one of xy, yx, got 1"),
    "a choice that is a list": (stating({**CONVENTION, "order": ["xy"]}), 4, "expected one of xy, yx"),
    "a frame size of one number": (stating({**CONVENTION, "frame_size": [64]}), 4, "expected [height, width]"),
    "a negative frame size": (stating({**CONVENTION, "frame_size": [-64, 64]}), 4, "expected [height, width]"),
    "a frame size as text": (stating({**CONVENTION, "frame_size": "64x64"}), 4, "expected [height, width]"),
    "another kind's schema": (stating({**CONVENTION, "schema": "probe4d/depth/1"}), 4, "expected 'probe4d/points/1'"),
    "a later schema": (stating({**CONVENTION, "schema": "probe4d/points/2"}), 4, "got 'probe4d/points/2'"),
    "centred normalized coordinates": (
        stating({**CONVENTION, "coords": "normalized", "pixel_origin": "center"}), 2,
        "pixel_origin",
    ),
    "meta that is a list": (stating([1, 2]), 4, "a JSON object, got list"),
    "meta that is no JSON": (with_meta(np.array("{order")), 4, "expected JSON"),
    "meta that is a number": (with_meta(3.0), 4, "one JSON object"),
    "meta of two strings": (with_meta(np.array(["{}", "{}"])), 4, "one JSON object"),
    "meta that is not UTF-8": (with_meta(np.array(b"\xff\xfe")), 4, "UTF-8"),
    "meta with a key twice": (
        with_meta(np.array('{"order": "xy", "order": "yx"}')), 4, "'order' twice",
    ),
    "meta nested without end": (
        with_meta(np.array("[" * 200_000)), 4, "nested too deeply",
    ),
    # batches
    "a batch without ids": (batch(ids=None), 4, "'ids' beside the members"),
    "a batch with an id twice": (batch(ids=np.array(["a", "a"])), 4, "'a' twice"),
    "a batch of other length than its ids": (batch(ids=np.array(["a", "b"])), 4, "a leading axis of 2 samples"),
    "a batch with two-dimensional ids": (batch(ids=np.array([["a"]])), 4, "text or integers of shape (n,)"),
    "a batch with float ids": (batch(ids=np.array([1.5])), 4, "text or integers of shape (n,)"),
    "a batch of none": (
        batch(ids=np.zeros(0, "U1"), tracks=np.zeros((0, 2, 3, 2)), visible=np.zeros((0, 2, 3), bool)), 4,
        "at least one sample",
    ),
    "a batch in Fortran order": (
        batch(tracks=np.asfortranarray(np.stack([TRACKS] * 2)), ids=np.array(["a", "b"]), visible=VISIBLE[None]),
        4,
        "C order",
    ),
    "a batch with a single value": (batch(visible=np.array(True)), 4, "a leading axis of 1 samples"),
}  # fmt: skip


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    found = {f"{name}.npy": npy(value) for name, value in TARGET.items()}
    meta = {**CONVENTION, "query_mode": "first"}
    return archive(tmp_path / "T.npz", {**found, "meta.npy": npy(np.array(json.dumps(meta)))})


def assert_refused(ran: Any, code: int, says: str, path: Path | None) -> None:
    assert ran.out == ""
    assert (ran.code, says in ran.err) == (code, True), ran.err
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("Error: ")
    assert path is None or str(path) in lines[0], ran.err
    assert len(lines[0]) < 1200


def test_what_is_well_formed_is_scored(run, tmp_path, targets):
    ran = run("points", "--predictions", arrays()(tmp_path / "P.npz"), "--targets", targets, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["values"]["average_jaccard"] == 1


@pytest.mark.parametrize("what", NPZ)
def test_a_malformed_npz_is_refused(what, run, tmp_path, targets):
    write, code, says = NPZ[what]
    path = write(tmp_path / "P.npz")
    assert_refused(
        run("points", "--predictions", path, "--targets", targets, "--json"), code, says, path if code == 4 else None
    )


GOOD_LINE = json.dumps({"id": "a", "tracks": TRACKS.tolist(), "visible": VISIBLE.tolist()})
HEAD = json.dumps({"meta": CONVENTION})
JSONL: dict[str, tuple[str | bytes, int, str]] = {
    "nothing": ("", 4, "at least one sample"),
    "a header alone": (HEAD, 4, "at least one sample"),
    "no header": (GOOD_LINE, 2, "meta.order is stated neither"),
    "no JSON": (f"{HEAD}\nhello", 4, "line 2: expected JSON"),
    "half a line": (f"{HEAD}\n{GOOD_LINE[:-9]}", 4, "line 2: expected JSON"),
    "a list": (f"{HEAD}\n[1]", 4, "line 2: expected a JSON object, got list"),
    "a meta that is a list": ('{"meta": []}\n' + GOOD_LINE, 4, "line 1: meta"),
    "a line without an id": (HEAD + '\n{"tracks": []}', 4, "an 'id'"),
    "an id that is a number": (HEAD + '\n{"id": 3, "tracks": []}', 4, "non-empty strings"),
    "an empty id": (HEAD + '\n{"id": "", "tracks": []}', 4, "non-empty strings"),
    "an id twice": (f"{HEAD}\n{GOOD_LINE}\n{GOOD_LINE}", 4, "'a' again (first in line 2)"),
    "a key twice": (HEAD + '\n{"id": "a", "id": "b"}', 4, "'id' twice"),
    "ragged lists": (HEAD + '\n{"id": "a", "tracks": [[[1, 2], [3]]]}', 4, "nested lists of equal lengths"),
    "null": (HEAD + '\n{"id": "a", "tracks": [[[1, null]]]}', 4, "expected numbers"),
    "text for numbers": (HEAD + '\n{"id": "a", "tracks": [[["1", "2"]]]}', 4, "expected floats or integers"),
    "an object for numbers": (HEAD + '\n{"id": "a", "tracks": {"x": 1}}', 4, "expected numbers"),
    "a huge integer": (HEAD + '\n{"id": "a", "tracks": [[[1' + "0" * 400 + ", 2]]]}", 4, "expected numbers"),
    "a number of a million digits": (HEAD + '\n{"id": "a", "tracks": ' + "9" * 1_000_000 + "}", 4, "expected JSON"),
    "brackets without end": (HEAD + '\n{"id": "a", "tracks": ' + "[" * 100_000, 4, "nested too deeply"),
    "forty axes": (HEAD + '\n{"id": "a", "tracks": ' + "[" * 70 + "]" * 70 + "}", 4, "a/tracks"),
    "no UTF-8": (HEAD.encode() + b"\n\xff\xfe\xfd", 4, "UTF-8"),
    "binary": (bytes(range(256)), 4, "line 1"),
}


@pytest.mark.parametrize("what", JSONL)
def test_a_malformed_jsonl_is_refused(what, run, tmp_path, targets):
    content, code, says = JSONL[what]
    path = tmp_path / "P.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    says = "tracks" if says == "a/tracks" else says
    assert_refused(run("points", "--predictions", path, "--targets", targets), code, says, path if code == 4 else None)


TEXT: dict[str, tuple[str, str, str, str]] = {
    "a MOT line of five numbers": ("boxes", "mot", "1,1,2,3,4\n", "line 1: expected 7 or 8 or 9 or 10 numbers"),
    "a MOT line of words": ("boxes", "mot", "a,b,c,d,e,f,g\n", "line 1: expected numbers"),
    "an empty MOT file": ("boxes", "mot", "\n", "at least one line"),
    "MOT lines of different lengths": (
        "boxes", "mot", "1,1,2,3,4,5,6\n1,2,2,3,4,5,6,7\n",
        "line 2: expected 7 numbers",
    ),
    "MOT frame 0": ("boxes", "mot", "0,1,2,3,4,5,1\n", "frames from 1"),
    "MOT frame 1.5": ("boxes", "mot", "1.5,1,2,3,4,5,1\n", "whole numbers as frame"),
    "a MOT frame beyond any memory": ("boxes", "mot", "99999999999,1,2,3,4,5,1\n", "bytes in one array"),
    "a NaN in MOT": ("boxes", "mot", "1,1,nan,3,4,5,1\n", "finite numbers"),
    "a KITTI line of 11 numbers": ("pose", "kitti-poses", "1 0 0 0 0 1 0 0 0 0 1\n", "line 1: expected 12 numbers"),
    "one KITTI pose": ("pose", "kitti-poses", "1 0 0 0 0 1 0 0 0 0 1 0\n", "at least two poses"),
    "a singular KITTI pose": ("pose", "kitti-poses", "1 0 0 0 0 1 0 0 0 0 1 0\n" + "0 " * 12 + "\n", "can be inverted"),
    "TUM time that stands still": ("pose", "tum", "1 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n", "timestamps that increase"),
    "no Perception Test JSON": ("points", "perception-test", "[]", "an object {video: tracks}"),
    "a Perception Test video of text": ("points", "perception-test", '{"v": "x"}', "a list of tracks"),
    "a Perception Test track without points": (
        "points", "perception-test", '{"v": [{"id": 0, "frame_ids": []}]}',
        "the keys id",
    ),
    "a Perception Test frame twice": (
        "points", "perception-test", '{"v": [{"id": 0, "frame_ids": [1, 1], "points": [[0, 0], [0, 0]]}]}',
        "distinct integers",
    ),
    "a Perception Test frame below 0": (
        "points", "perception-test", '{"v": [{"id": 0, "frame_ids": [-4], "points": [[0], [0]]}]}', "frames from 0",
    ),
    "a Perception Test frame beyond any memory": (
        "points", "perception-test", '{"v": [{"id": 0, "frame_ids": [9000000000], "points": [[0], [0]]}]}',
        "bytes in one array",
    ),
    "a Perception Test id of text": (
        "boxes", "perception-test", '{"v": [{"id": "x", "frame_ids": [], "bounding_boxes": []}]}', "an integer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TEXT)
def test_a_malformed_foreign_file_is_refused(what, run, tmp_path):
    kind, form, content, says = TEXT[what]
    path = tmp_path / "P.txt"
    path.write_text(content)
    options = ["--match", "first-overlap"] if kind == "boxes" else ["--meta", "unit=metre"] if kind == "pose" else []
    ran = run(kind, "--format", form, "--predictions", path, "--targets", path, *options)
    assert_refused(ran, 4, says, path)


def test_targets_are_checked_like_predictions(run, tmp_path):
    wrong = {
        "tracks": (TRACKS * 1e4, "visible points in the frame"),
        "query_points": (QUERIES + np.array([9, 0, 0]), "frames 0 to 2, got 9"),
        "visible": (None, "one of occluded and visible, got none"),
    }
    meta = npy(np.array(json.dumps({**CONVENTION, "query_mode": "first"})))
    predictions = arrays()(tmp_path / "P.npz")
    for name, (value, says) in wrong.items():
        changed = {f"{n}.npy": npy(v) for n, v in {**TARGET, f"a/{name}": value}.items() if v is not None}
        path = archive(tmp_path / f"T_{name}.npz", {**changed, "meta.npy": meta})
        assert_refused(run("points", "--predictions", predictions, "--targets", path), 4, says, path)


ONES = {"depth": np.ones((1, 2, 2))}
UNIT_BOX = {"boxes": np.array([[[0, 0, 1, 1.0]] * 2])}
INVERTED = {"boxes": np.array([[[1, 1, 0, 0.0]] * 2])}
IN_PIXELS = {"boxes": np.array([[[1, 1, 90, 90.0]] * 2])}
ROWS = {"match": "rows"}


@pytest.mark.parametrize(
    ("kind", "predictions", "target", "options", "says"),
    [
        ("depth", {"depth": np.full((1, 2, 2), np.nan)}, ONES, {}, "finite numbers at valid pixels, got nan"),
        ("depth", {"depth": np.ones((1, 2, 3))}, ONES, {}, "expected shape (1, 2, 2)"),
        ("depth", ONES, {"depth": np.zeros((1, 2, 2))}, {}, "at least one sample with a value"),
        ("pose", {"pose": np.full((3, 4), np.nan)}, {"pose": np.eye(3, 4)}, {}, "finite numbers"),
        ("pose", {"pose": np.ones((4, 4))}, {"pose": np.eye(3, 4)}, {}, "a last row (0, 0, 0, 1)"),
        ("pose", {"pose": np.ones(11)}, {"pose": np.eye(3, 4)}, {}, "shape (3, 4) or (4, 4) or (12,)"),
        ("pose", {"pose": np.eye(3, 4)}, {"pose": np.ones((3, 4))}, {}, "expected a rotation"),
        ("pose", {"pose": np.eye(3, 4) * 1e200}, {"pose": np.eye(3, 4)}, {}, "moderate size"),
        ("boxes", {"boxes": np.full((1, 2, 4), np.nan)}, UNIT_BOX, ROWS, "where a box is present"),
        ("boxes", {"boxes": np.zeros((1, 2, 4))}, INVERTED, ROWS, "inverted or empty"),
        ("boxes", {"boxes": np.zeros((1, 2, 4))}, IN_PIXELS, ROWS, "Are they pixels?"),
        ("boxes", {"boxes": np.zeros((2, 2, 4))}, UNIT_BOX, ROWS, "expected 1 rows"),
        ("labels", {"label": np.array(-1)}, {"label": np.array(1)}, {}, "a class from 0, got -1"),
        ("labels", {"logits": np.zeros(3)}, {"label": np.array(3)}, {}, "a class from 0 to 2, got 3"),
        ("labels", {"logits": np.zeros(3), "label": np.array(1)}, {"label": np.array(1)}, {}, "either logits or label"),
        ("labels", {"label": np.array(1.0)}, {"label": np.array(1)}, {}, "expected integers, got dtype float64"),
        ("labels", {"logits": np.zeros(0)}, {"label": np.array(0)}, {}, "a class from 0"),
    ],
)  # fmt: skip
def test_wrong_arrays_of_the_other_kinds_are_refused(kind, predictions, target, options, says, run, tmp_path):
    meta = {
        "depth": {"quantity": "depth", "unit": "metre", "surface": "z"},
        "pose": {"unit": "metre", "direction": "first_to_last", "axes": "opencv"},
        "boxes": {"order": "yxyx", "coords": "normalized"},
        "labels": {},
    }[kind]
    for role, fields in (("P", predictions), ("T", target)):
        np.savez(
            tmp_path / f"{role}.npz", meta=json.dumps(meta), **{f"s/{name}": value for name, value in fields.items()}
        )
    arguments = [item for name, value in options.items() for item in (f"--{name}", value)]
    ran = run(kind, "--predictions", tmp_path / "P.npz", "--targets", tmp_path / "T.npz", *arguments)
    assert_refused(ran, 4, says, None)
    assert str(tmp_path) in ran.err


def test_samples_of_one_file_have_the_same_fields(run, tmp_path, targets):
    both = {**TARGET, **{f"b{name[1:]}": value for name, value in TARGET.items()}}
    meta = {**CONVENTION, "query_mode": "first"}
    np.savez(tmp_path / "T2.npz", meta=json.dumps(meta), **both)
    np.savez(tmp_path / "P2.npz", meta=json.dumps(CONVENTION), **{**GOOD, "b/tracks": TRACKS})
    ran = run("points", "--predictions", tmp_path / "P2.npz", "--targets", tmp_path / "T2.npz")
    assert_refused(ran, 4, "the same fields as sample 'a'", tmp_path / "P2.npz")


def test_a_damaged_zarr_is_refused(run, tmp_path, targets, write, points):
    predictions, found = write(points, "zarr")
    chunk = next(
        file for file in (predictions / "clip_0" / "tracks").rglob("*") if file.is_file() and file.name != "zarr.json"
    )
    chunk.write_bytes(b"\0\1\2")
    assert_refused(
        run("points", "--predictions", predictions, "--targets", found), 4, "a readable zarr array", predictions
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda meta: meta["codecs"].append({"name": "numcodecs.pickle", "configuration": {}}), "clip_0"),
        (lambda meta: meta.update(shape=[10**12, 10**6, 2]), "clip_0"),
        (lambda meta: meta.update(data_type="complex128", fill_value=[0, 0]), "dtype complex128"),
        (lambda meta: meta["chunk_grid"]["configuration"].update(chunk_shape=[10**6, 10**6, 2]), "bytes in one array"),
    ],
)
def test_a_zarr_array_that_claims_too_much_is_refused(change, says, run, write, points):
    predictions, targets = write(points, "zarr")
    path = predictions / "clip_0" / "tracks" / "zarr.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))
    assert_refused(run("points", "--predictions", predictions, "--targets", targets), 4, says, predictions)


def test_a_zarr_array_packed_by_pickle_is_refused_before_it_is_read(run, write, points, tmp_path):
    _, targets = write(points)
    folder = tmp_path / "P.zarr"
    (folder / "clip_0" / "tracks").mkdir(parents=True)
    for group in (folder, folder / "clip_0"):
        (group / ".zgroup").write_text('{"zarr_format": 2}')
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C",
             "compressor": None, "filters": [{"id": "pickle", "protocol": 4}]}  # fmt: skip
    (folder / "clip_0" / "tracks" / ".zarray").write_text(json.dumps(array))
    marker = tmp_path / "marker"
    code = f"cposix\nsystem\n(S'touch {marker}'\ntR."
    (folder / "clip_0" / "tracks" / "0").write_bytes(code.encode())
    ran = run("points", "--predictions", folder, "--targets", targets, "--missing", "skip")
    assert ran.code in (2, 4)
    assert ran.out == ""
    assert not marker.exists()


@pytest.mark.parametrize("container", ["zarr", "parquet"])
def test_what_is_no_such_container_is_refused(container, run, tmp_path, targets):
    path = tmp_path / f"P.{container}"
    path.write_bytes(b"hello")
    assert_refused(run("points", "--predictions", path, "--targets", targets), 4, "expected a", path)


def test_a_parquet_without_ids_or_with_nulls_is_refused(run, tmp_path, targets):
    import pyarrow as pa
    import pyarrow.parquet as pq

    wrong = {
        "a column 'id'": [{"tracks": TRACKS.tolist()}],
        "nested lists of equal lengths": [{"id": "a", "tracks": [[[1.0, 2.0], [3.0]]]}],
        "expected numbers, got nulls": [{"id": "a", "tracks": [[[1.0, None]]]}],
        "expected a value, got null": [{"id": "a", "tracks": None}],
        "'a' twice": [{"id": "a", "tracks": TRACKS.tolist()}] * 2,
    }
    for says, rows in wrong.items():
        table = pa.Table.from_pylist(rows).replace_schema_metadata({"meta": json.dumps(CONVENTION)})
        pq.write_table(table, tmp_path / "P.parquet")
        assert_refused(
            run("points", "--predictions", tmp_path / "P.parquet", "--targets", targets),
            4,
            says,
            tmp_path / "P.parquet",
        )


def test_what_the_limit_on_arrays_refuses_is_not_unpacked(run, tmp_path, targets):
    zeros = {"a/tracks.npy": npy(np.zeros((100_000, 3, 2))), "a/visible.npy": npy(np.zeros((100_000, 3), bool))}
    path = archive(tmp_path / "P.npz", {**members({}), **zeros}, zipfile.ZIP_DEFLATED)
    ran = run("points", "--predictions", path, "--targets", targets, "--max-array-bytes", 1_000_000)
    assert_refused(ran, 4, "4,800,128 bytes claimed in", path)
