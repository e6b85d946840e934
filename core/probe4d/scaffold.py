"""Writes a new plugin package from the templates in this package: complete, working, ready to change.

A template is a text with `{{word}}` in it; a word that nothing defines is an error.
"""

from __future__ import annotations

import datetime
import importlib.resources
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from probe4d import __version__
from probe4d.errors import Probe4dError, UsageError, did_you_mean
from probe4d.loader import BUILTIN

__all__ = ["KINDS", "check_name", "render", "write"]

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 30  # with it, no line of a template gets longer than 120
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
JAX = 'jax = ["jax>=0.6"]\n'


@frozen(kw_only=True)
class Template:
    """What the package of one kind of plugin holds.

    Attributes:
        category: what `probe4d list` calls the things it provides.
        files: inside the package and tests, by path, the template of each.
        module: the module that the tests look at; `holds` says in words what is in it.
        needs_jax: whether the package has the extra `jax`.
    """

    category: str
    summary: str
    files: Mapping[str, str]
    holds: str
    module: str = "impl"
    needs_jax: bool = False
    implementation: str = field(default="impl.py")


def _simple(kind: str) -> dict[str, str]:
    return {"{{package}}/plugin.py": f"{kind}/plugin.py", "{{package}}/impl.py": f"{kind}/impl.py"}


MADE = {"{{package}}/data.py": "dataset/impl.py", "{{package}}/readout.py": "readout/impl.py"}

KINDS: Mapping[str, Template] = {
    "backbone": Template(
        category="backbones",
        summary="Mean colours of patches: a backbone that learns nothing.",
        files=_simple("backbone"),
        holds="the backbone: video to features, in numpy",
    ),
    "dataset": Template(
        category="datasets",
        summary="A square moves in one of four directions.",
        files=_simple("dataset"),
        holds="the dataset: ids to videos and targets",
    ),
    "task": Template(
        category="tasks",
        summary="Which way does the square move?",
        files={"{{package}}/plugin.py": "task/plugin.py", **MADE},
        holds="the task's data; `readout.py` is its readout",
        module="readout",
        needs_jax=True,
        implementation="data.py",
    ),
    "readout": Template(
        category="readouts",
        summary="The mean token to class logits, by one linear map.",
        files=_simple("readout"),
        holds="the readout, in jax",
        needs_jax=True,
    ),
    "metric": Template(
        category="metrics",
        summary="Balanced accuracy: the mean over classes of their recall.",
        files=_simple("metric"),
        holds="the metric: states that merge exactly",
    ),
    "runner": Template(
        category="runners",
        summary="One unit after the other, each in a process of its own.",
        files=_simple("runner"),
        holds="the runner",
    ),
    "suite": Template(
        category="suites",
        summary="Two clip lengths of one task.",
        files={"{{package}}/plugin.py": "suite/plugin.py", "{{package}}/suite.toml": "suite/suite.toml", **MADE},
        holds="the suite; `data.py` and `readout.py` make its tasks",
        module="readout",
        needs_jax=True,
        implementation="suite.toml",
    ),
}

COMMON = {
    "pyproject.toml": "common/pyproject.toml",
    "README.md": "common/README.md",
    "LICENSE": "common/LICENSE",
    ".gitignore": "common/gitignore",
    ".github/workflows/test.yml": "common/ci.yml",
    "{{package}}/__init__.py": "common/init.py",
    "tests/test_conformance.py": "common/test_conformance.py",
}


def check_name(name: str) -> str:
    """Return the plugin's name, without a leading `probe4d-`.

    Raises:
        UsageError: it cannot be a plugin's name.
    """
    short = name.removeprefix("probe4d-")
    if not NAME.fullmatch(short) or len(short) > LONGEST:
        suggestion = re.sub(r"[^a-z0-9]+", "-", short.lower()).strip("-0123456789")[:LONGEST].rstrip("-")
        hint = f" Try {suggestion!r}." if suggestion and NAME.fullmatch(suggestion) else ""
        raise UsageError(
            f"name: expected lower-case words joined by '-', at most {LONGEST} characters, got {name!r}.{hint}"
        )
    if short == BUILTIN:
        raise UsageError(f"name: expected a name of your own, got {name!r}, which is probe4d itself.")
    return short


def render(name: str, kind: str) -> dict[str, str]:
    """Return the files of a new plugin: path in the project to text.

    Raises:
        UsageError: the name cannot be a plugin's, or there is no template of that kind.
    """
    name = check_name(name)
    if kind not in KINDS:
        raise UsageError(f"--kind: expected one of {', '.join(KINDS)}, got {kind!r}.{did_you_mean(kind, KINDS)}")
    template = KINDS[kind]
    package = f"probe4d_{name.replace('-', '_')}"
    words = {
        "name": name,
        "distribution": f"probe4d-{name}",
        "package": package,
        "category": template.category,
        "summary": template.summary,
        "extras": JAX if template.needs_jax else "",
        "ci_extras": "jax,test" if template.needs_jax else "test",
        "module": template.module,
        "implementation": template.implementation,
        "implementation_holds": template.holds,
        "probe4d_version": __version__,
        "year": str(datetime.datetime.now(tz=datetime.UTC).year),
    }
    files = {**COMMON, **template.files, "tests/test_{{package}}.py": f"{kind}/test_own.py"}
    return {_fill(path, words): _fill(_template(source), words) for path, source in files.items()}


def _template(source: str) -> str:
    return importlib.resources.files("probe4d").joinpath("templates", f"{source}.tmpl").read_text("utf-8")


def _fill(text: str, words: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: words[match[1]], text)


def write(name: str, kind: str, output: Path) -> Path:
    """Write the project into a new folder `output/probe4d-NAME` and return it; whole or not at all.

    Raises:
        UsageError: as `render`, or the folder is there already.
        Probe4dError: it cannot be written.
    """
    files = render(name, kind)
    folder = output / f"probe4d-{check_name(name)}"
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder}: expected no such folder, found one. Choose another name or --output.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".probe4d-new-") as scratch:
            made = Path(scratch) / folder.name
            for path, text in files.items():
                file = made / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            shutil.move(made, folder)
    except OSError as error:
        raise Probe4dError(f"{folder}: expected to write there, {error.strerror or error}.") from error
    return folder
