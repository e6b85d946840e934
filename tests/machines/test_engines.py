"""A suite by each engine, by the plain run command: the result of one worker to the last bit, whatever happens."""

from __future__ import annotations

import pytest

pytest.importorskip("distributed", reason="needs distributed: pip install 'probe4d[dask]'")
pytest.importorskip("submitit", reason="needs submitit: pip install 'probe4d[slurm]'")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_of_dask_give_the_bits_of_one(toys, undisturbed, tmp_path, workers):
    toy = toys.Toy(tmp_path)
    code, out, err = toy.run("--runner", "dask", workers=workers)
    assert code == 0, out + err
    assert toy.results() == undisturbed.results()
    assert toy.orphans() == []


def test_jobs_on_this_machine_give_the_bits_of_one(toys, undisturbed, tmp_path):
    toy = toys.Toy(tmp_path)
    code, out, err = toy.run("--runner", "slurm", "--runner-set", "cluster=local", workers=2)
    assert code == 0, out + err
    assert toy.results() == undisturbed.results()
    assert toy.orphans() == []
