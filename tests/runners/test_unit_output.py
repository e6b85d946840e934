"""The output of a worker, unit by unit."""

import contextlib
import subprocess
import sys

from probe4d_runners.unit_output import KEPT_BYTES, UnitOutput

WORKER = "import sys\nfor line in sys.stdin: print(eval(line), flush=True); print('done', file=sys.stderr, flush=True)"


def test_each_unit_has_its_own_words_though_one_process_writes_them_all():
    with contextlib.closing(UnitOutput()) as output, contextlib.closing(UnitOutput()) as said:
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=output.fileno(),
            stderr=said.fileno(),
            text=True,
        )
        texts = []
        for words in ("'a' * 100", "'b'", f"'c' * {2 * KEPT_BYTES}"):
            output.clear()
            said.clear()
            worker.stdin.write(f"{words}\n")
            worker.stdin.flush()
            while said.text() != "done\n":
                assert worker.poll() is None
            texts.append(output.text())
        worker.stdin.close()
        worker.wait()
    assert texts[:2] == ["a" * 100 + "\n", "b\n"]
    assert texts[2] == f"[{KEPT_BYTES + 1} bytes before]\n" + "c" * (KEPT_BYTES - 1) + "\n"
