"""`probe4d score` as it is typed: answers, tables, options, exit codes, and what it imports."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys

import jsonschema
import numpy as np
import pytest

from probe4d.contracts import LeftOut
from probe4d.errors import UsageError
from probe4d.registry import find, make
from probe4d.scoring import Score, score
from probe4d.scoring.answer import per_sample_lines
from probe4d.scoring.conventions import parse_options
from probe4d.scoring.schema import answer_schema, input_schema

KINDS = ("points", "depth", "pose", "boxes", "labels")


@pytest.fixture
def files(points, write):
    return write(points)


def arguments(files):
    return ["points", "--predictions", files[0], "--targets", files[1]]


def test_json_is_one_object_that_fits_its_schema_and_nothing_else(run, files):
    ran = run(*arguments(files), "--json")
    assert (ran.code, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert ran.out.count("\n") == 1
    jsonschema.validate(answer, answer_schema(), cls=jsonschema.Draft202012Validator)
    assert list(answer)[:8] == ["schema", "kind", "samples", "values", "ci95", "left_out", "inputs", "version"]
    assert (answer["schema"], answer["kind"], answer["samples"]) == ("probe4d/score/1", "points", 6)
    assert answer["left_out"] == [{"id": "clip_3", "reason": "no target point is visible after its query frame"}]
    low, high = answer["ci95"]["average_jaccard"]
    assert low < answer["values"]["average_jaccard"] < high


def test_the_table_is_for_people(run, files):
    lines = run(*arguments(files)).out.splitlines()
    assert lines[0] == "points  6 samples"
    assert lines[2].split() == ["value", "score", "95", "%", "interval"]
    assert lines[3].startswith("average_jaccard")
    assert "left out: 1" in lines
    assert "  clip_3  no target point is visible after its query frame" in lines


def test_a_real_process_says_the_same(run, files):
    line = [sys.executable, "-m", "probe4d", "score", *map(str, arguments(files)), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == run(*arguments(files), "--json").out
    wrong = subprocess.run([*line, "--match", "rows"], capture_output=True, text=True, timeout=60, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Traceback" not in wrong.stderr


def test_help_imports_no_numpy():
    code = (
        "import sys\nfrom probe4d import cli\n"
        "try: cli.main(['score', '--help'])\n"
        "except SystemExit: print(sorted({'numpy', 'zarr', 'fsspec', 'pyarrow', 'jax', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_scoring_an_npz_imports_no_extra(files):
    code = (
        f"import sys\nfrom probe4d import cli\n"
        f"try: cli.main(['score', *{[*map(str, arguments(files))]!r}])\n"
        "except SystemExit: print(sorted({'zarr', 'fsspec', 'pyarrow', 'PIL', 'scipy', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_per_sample_writes_a_line_per_sample_whose_mean_is_the_value(run, files, tmp_path):
    ran = run(*arguments(files), "--json", "--per-sample", tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"clip_{i}" for i in range(6)]
    own = [line["values"]["average_jaccard"] for line in lines if "average_jaccard" in line["values"]]
    assert np.mean(own) == pytest.approx(json.loads(ran.out)["values"]["average_jaccard"], rel=1e-12)
    assert list(tmp_path.glob("tmp*")) == []


def test_per_sample_into_nowhere_is_refused_and_nothing_is_printed(run, files, tmp_path):
    ran = run(*arguments(files), "--per-sample", tmp_path / "no" / "out.jsonl")
    assert (ran.code, ran.out) == (2, "")
    assert "a file that can be written" in ran.err


def test_against_adds_the_paired_difference(run, points, write, files, tmp_path):
    worse = {
        sample_id: {**fields, "tracks": fields["tracks"] + np.array([4.0, 0])}
        for sample_id, fields in points.predictions.items()
    }
    other = tmp_path / "other"
    other.mkdir()
    np.savez(
        other / "Q.npz",
        meta=json.dumps(points.meta["predictions"]),
        **{f"{i}/{name}": value for i, fields in worse.items() for name, value in fields.items()},
    )
    answer = json.loads(run(*arguments(files), "--against", other / "Q.npz", "--json").out)
    jsonschema.validate(answer, answer_schema(), cls=jsonschema.Draft202012Validator)
    found = answer["against"]
    assert found["values"]["points_within_4"] < answer["values"]["points_within_4"]
    assert found["difference"]["points_within_4"] == pytest.approx(
        answer["values"]["points_within_4"] - found["values"]["points_within_4"]
    )
    low, high = found["ci95"]["points_within_4"]
    assert 0 < low <= found["difference"]["points_within_4"] <= high
    assert found["verdict"]["points_within_4"] == "higher"
    assert "against" in answer["inputs"]
    table = run(*arguments(files), "--against", other / "Q.npz").out
    assert "difference" in table.splitlines()[2]
    same = json.loads(run(*arguments(files), "--against", files[0], "--json").out)["against"]
    assert set(same["difference"].values()) == {0.0}
    assert set(same["verdict"].values()) == {"too close to call"}


def test_the_bootstrap_is_seeded(run, files):
    first, again = (run(*arguments(files), "--json", "--seed", 3).out for _ in range(2))
    other = run(*arguments(files), "--json", "--seed", 4).out
    assert first == again
    assert json.loads(first)["ci95"] != json.loads(other)["ci95"]
    assert json.loads(run(*arguments(files), "--json", "--resamples", 0).out)["ci95"] == {}


def test_missing_predictions_are_an_error_unless_stated(run, points, write):
    del points.predictions["clip_1"], points.predictions["clip_4"]
    files = write(points)
    ran = run(*arguments(files))
    assert (ran.code, ran.out) == (4, "")
    assert "none for 'clip_1', 'clip_4'" in ran.err
    worst, skip = (json.loads(run(*arguments(files), "--json", "--missing", how).out) for how in ("worst", "skip"))
    assert worst["samples"] == 6
    assert skip["samples"] == 4
    assert {"id": "clip_1", "reason": "no prediction"} in skip["left_out"]
    # Two of the five clips that have a value are wrong now.
    assert worst["values"]["average_jaccard"] == pytest.approx(skip["values"]["average_jaccard"] * 3 / 5)
    assert (worst["settings"]["missing"], skip["settings"]["missing"]) == ("worst", "skip")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_scored_as_wrong_is_worse_than_any_honest_one(kind, example):
    of = example(kind, 6)
    options = {"match": "rows"} if kind == "boxes" else {}
    whole = score(kind, of.predictions, of.targets, meta=of.stated, **options)
    del of.predictions["clip_2"]
    worst = score(kind, of.predictions, of.targets, meta=of.stated, missing="worst", **options)
    higher = {"points": "average_jaccard", "boxes": "mean_iou", "labels": "top1"}
    if kind in higher:
        value = higher[kind]
        assert worst.values[value] == pytest.approx(whole.values[value] * 5 / 6)
    else:
        assert worst.per_sample["clip_2"][{"depth": "abs_rel", "pose": "epe"}[kind]] > 0.3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--meta", "order"], "expected key=value, got 'order'"),
        (["--meta", "order=yx"], "states 'xy' itself, got 'yx'"),
        (["--meta", "ordr=yx"], "Did you mean 'order'"),
        (["--meta", "targets.threshold=1"], "expected one of"),
        (["--meta", "threshold=high"], "expected a finite number, got 'high'"),
        (["--meta", "threshold=1", "--meta", "threshold=2"], "expected it once"),
        (["--match", "rows"], "does not take it"),
        (["--align", "median"], "does not take it"),
        (["--missing", "ignore"], "--missing: expected one of error, worst, skip"),
        (["--format", "mot"], "expected one of npz, zarr, jsonl, parquet, perception-test"),
        (["--format", "npz", "--format", "targets=npz"], "each once"),
        (["--format", "tapvid-pickle"], "a pickle runs whatever code"),
        (["--metric", "box_iou"], "expected one of kind probe4d/points"),
        (["--metric", "no-such"], "there is none of that name"),
        (["--data-root", "/data"], "either targets or a data root"),
        (["--resamples", "-1"], "resamples"),
    ],
)
def test_wrong_options_end_with_code_2(options, says, run, files):
    ran = run(*arguments(files), *options)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_what_is_not_given_is_asked_for(run, files):
    assert "expected a KIND" in run().err
    assert "--predictions" in run("points").err
    assert "--targets" in run("points", "--predictions", files[0]).err
    assert "Did you mean 'points'" in run("point", "--predictions", files[0], "--targets", files[1]).err
    for ran in (run(), run("points"), run("points", "--predictions", files[0])):
        assert (ran.code, ran.out) == (2, "")


def test_a_file_that_does_not_exist_is_missing_data(run, files, tmp_path):
    for path in ("no.npz", "no.zarr", "no.jsonl", "no.parquet", "no"):
        ran = run("points", "--predictions", tmp_path / path, "--targets", files[1])
        assert (ran.code, ran.out) == (4, ""), ran.err
    (tmp_path / "P.dat").write_bytes(b"x")
    ran = run("points", "--predictions", tmp_path / "P.dat", "--targets", files[1])
    assert ran.code == 2
    assert "--format predictions=<npz | zarr" in ran.err


def test_meta_options_are_read_as_json_where_they_are():
    found = parse_options(("frame_size=480x640", "a=1,2", "b=[3, 4]", "c=true", "d=0.5", "e=xy", "f=a=b"))
    assert found == {"frame_size": [480, 640], "a": [1, 2], "b": [3, 4], "c": True, "d": 0.5, "e": "xy", "f": "a=b"}


def test_conventions_may_be_stated_by_options_alone(run, points, write):
    bare = type(points)(points.kind, points.predictions, points.targets, {"predictions": {}, "targets": {}})
    stated = [
        "order=xy",
        "coords=pixels",
        "predictions.frame_size=240x320",
        "targets.frame_size=240,320",
        "query_mode=first",
    ]
    answer = json.loads(run(*arguments(write(bare)), "--json", *(o for s in stated for o in ("--meta", s))).out)
    expected = score("points", points.predictions, points.targets, meta=points.stated)
    assert answer["values"] == dict(expected.values)
    assert answer["inputs"]["predictions"]["meta"]["frame_size"] == [240, 320]


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_schema_is_printed_and_shipped_and_describes_what_is_read(kind, run, repository, example, tmp_path):
    entry = find("kinds", kind)
    schema = input_schema(make(entry), entry.spec.name, entry.spec.schema)
    assert json.loads(run("--schema", kind).out) == schema
    shipped = repository / "core" / "probe4d" / "scoring" / "schemas" / f"{kind}.json"
    assert json.loads(shipped.read_text()) == schema, f"write it anew: probe4d score --schema {kind} > {shipped}"
    of = example(kind)
    for role in ("predictions", "targets"):
        validator = jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{role}"})
        validator.validate(json.loads(json.dumps({"meta": {"schema": entry.spec.schema, **of.meta[role]}})))
        for sample_id, fields in getattr(of, role).items():
            validator.validate({"id": sample_id, **{name: value.tolist() for name, value in fields.items()}})
        assert not validator.is_valid({"id": "a", "nonsense": 1})


def test_the_answers_schema_is_printed(run):
    printed = json.loads(run("--schema", "answer").out)
    assert printed == answer_schema()
    jsonschema.Draft202012Validator.check_schema(printed)


def test_the_python_door_answers_a_frozen_score(points):
    answer = score("points", points.predictions, points.targets, meta=points.stated)
    assert isinstance(answer, Score)
    with pytest.raises(AttributeError):
        answer.samples = 3
    assert json.loads(answer.to_json()) == answer.to_dict()
    assert answer.left_out[0] == LeftOut("clip_3", "no target point is visible after its query frame")
    assert json.loads(per_sample_lines(answer).splitlines()[0])["id"] == "clip_0"
    with pytest.raises(UsageError, match="seed: expected an integer"):
        score("points", points.predictions, points.targets, meta=points.stated, seed=-1)


def test_the_answer_does_not_depend_on_how_samples_are_batched(points):
    whole = score("points", points.predictions, points.targets, meta=points.stated)
    ragged = dict(points.targets)
    predictions = dict(points.predictions)
    # A sample of another shape in the middle splits the batch of the others in two.
    ragged["clip_2b"] = {**{k: v[:2] for k, v in ragged["clip_2"].items()}}
    predictions["clip_2b"] = {k: v[:2] for k, v in predictions["clip_2"].items()}
    mixed = score("points", dict(sorted(predictions.items())), dict(sorted(ragged.items())), meta=points.stated)
    for sample_id, values in whole.per_sample.items():
        assert mixed.per_sample[sample_id] == values


@pytest.mark.parametrize(
    ("module", "kind", "options", "extra"),
    [
        ("zarr", "depth", ["--predictions", "P.zarr", "--targets", "T.zarr"], "zarr"),
        ("pyarrow", "depth", ["--predictions", "P.parquet", "--targets", "T.parquet"], "parquet"),
        ("PIL.Image", "depth", ["--format", "depth-png", "--predictions", "p", "--targets", "t"], "png"),
        ("fsspec", "depth", ["--predictions", "memory://P.npz", "--targets", "memory://T.npz"], "zarr"),
    ],
)
def test_a_container_without_its_extra_names_the_pip_line(module, kind, options, extra, run, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    ran = run(kind, *options)
    assert (ran.code, ran.out) == (3, "")
    assert f"pip install 'probe4d[{extra}]'" in ran.err


def test_the_example_of_the_python_door_is_right():
    from probe4d.scoring import api

    result = doctest.testmod(api)
    assert (result.attempted > 0, result.failed) == (True, 0)
