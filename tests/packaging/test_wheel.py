"""The built wheel, installed alone: what a user who wants nothing but scores gets."""

from __future__ import annotations

import json
import re
import zipfile


def test_the_wheel_holds_the_four_packages_and_their_data(fresh_environment, repository):
    names = zipfile.ZipFile(fresh_environment.wheel).namelist()
    tops = {name.partition("/")[0] for name in names} - {name for name in names if ".dist-info/" in name}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"probe4d", "probe4d_metrics", "probe4d_datasets", "probe4d_runners"}
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    assert [name for name in names if name.startswith("probe4d/scoring/schemas/")]
    assert [name for name in names if name.startswith("probe4d/templates/")]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_needs_five_light_packages(fresh_environment):
    metadata = zipfile.ZipFile(fresh_environment.wheel).read(
        next(name for name in zipfile.ZipFile(fresh_environment.wheel).namelist() if name.endswith("/METADATA"))
    )
    required = re.findall(r"^Requires-Dist: ([A-Za-z0-9-]+)[^;\n]*$", metadata.decode(), flags=re.MULTILINE)
    assert sorted(required) == ["attrs", "cattrs", "click", "numpy", "pluggy"]


def test_an_install_of_the_wheel_alone_lists_and_says_what_to_add(fresh_environment):
    done = fresh_environment.run("probe4d", "list")
    assert "probe4d/point_tracks" in done.stdout
    assert "pip install probe4d-fourds" in done.stdout
    assert fresh_environment.run("probe4d", "doctor").returncode == 0


def test_an_install_of_the_wheel_alone_scores(fresh_environment, tmp_path):
    make = (
        "import numpy as np, json, sys\n"
        "meta = {'schema': 'probe4d/labels/1'}\n"
        "np.savez('t.npz', ids=np.array(['a', 'b']), label=np.array([1, 0]), meta=json.dumps(meta))\n"
        "np.savez('p.npz', ids=np.array(['a', 'b']), label=np.array([1, 1]), meta=json.dumps(meta))\n"
    )
    fresh_environment.run("python", "-c", make, cwd=tmp_path)
    done = fresh_environment.run(
        "probe4d", "score", "labels", "--predictions", "p.npz", "--targets", "t.npz", "--json", cwd=tmp_path
    )
    assert json.loads(done.stdout)["values"]["top1"] == 0.5
    assert fresh_environment.run("python", "-c", "import torch", check=False).returncode


def test_what_needs_an_extra_names_the_pip_line(fresh_environment, tmp_path):
    (tmp_path / "p.zarr").mkdir()
    (tmp_path / "t.zarr").mkdir()
    line = ["probe4d", "score", "depth", "--predictions", "p.zarr", "--targets", "t.zarr"]
    done = fresh_environment.run(*line, cwd=tmp_path, check=False)
    assert done.returncode == 3
    assert "probe4d[zarr]" in done.stderr
    assert done.stdout == ""
