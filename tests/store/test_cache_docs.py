"""The code of `docs/feature-cache.md` runs, and prints what the page says."""

from __future__ import annotations

import re
import subprocess
import sys


def test_the_programs_of_the_page_run_as_shown(repository, tmp_path, monkeypatch):
    text = (repository / "docs/feature-cache.md").read_text(encoding="utf-8")
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(tmp_path))
    extract, train, read = re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    def run(code: str, *arguments: object) -> str:
        line = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    written = run(extract).splitlines()
    assert written[1:]
    for line in written[1:]:  # the first one names the digest, which this machine's processor is part of
        assert line in text
    (folder,) = (tmp_path / "features").iterdir()
    for output in (run(train, folder), run(read, folder / "features.zarr")):
        assert output.rstrip() in text
