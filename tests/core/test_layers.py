"""Who may import whom, and what may be imported at module level."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = {
    "probe4d": "core/probe4d",
    "probe4d_metrics": "metrics/probe4d_metrics",
    "probe4d_datasets": "datasets/probe4d_datasets",
    "probe4d_runners": "runners/probe4d_runners",
}
# package -> first-party packages that it may import besides itself
ALLOWED = {
    "probe4d_metrics": set(),
    "probe4d": {"probe4d_metrics"},
    "probe4d_datasets": {"probe4d"},
    "probe4d_runners": {"probe4d", "probe4d_datasets", "probe4d_metrics"},
}
PLUGINS_MAY = {"probe4d", "probe4d_metrics", "probe4d_datasets", "probe4d_runners", "probe4d_vit"}
# Modules on the way of `probe4d list`: nothing heavier than attrs, pluggy and click.
LIGHT = ("errors", "specs", "hookspecs", "contracts", "loader", "registry", "listing", "settings", "paths", "cli")
HEAVY = {"numpy", "zarr", "jax", "torch", "fsspec", "cattrs", "flax", "optax", "av", "PIL", "scipy", "pyarrow"}


def imports(file: Path, *, module_level: bool = False) -> Iterator[tuple[int, str]]:
    """Yield line and top package (`a.b` for our own) of each import, those for type checking aside."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in _nodes(tree, module_level):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def _nodes(node: ast.AST, module_level: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if module_level and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        yield child
        yield from _nodes(child, module_level)


def modules(repository: Path) -> list[tuple[str, Path]]:
    """Return every module of the root distribution and of the plugins, with its package."""
    found = [(name, file) for name, folder in FOLDERS.items() for file in (repository / folder).rglob("*.py")]
    found += [
        (file.relative_to(repository / "plugins").parts[1], file)
        for file in repository.glob("plugins/*/probe4d_*/**/*.py")
    ]
    return [(name, file) for name, file in found if "templates" not in file.parts]


def test_each_package_imports_only_what_stands_left_of_it(repository):
    wrong = []
    for package, file in modules(repository):
        allowed = ALLOWED.get(package, PLUGINS_MAY)
        for line, name in imports(file):
            top = name.partition(".")[0]
            if top.startswith("probe4d") and top != package and top not in allowed:
                wrong.append(f"{file.relative_to(repository)}:{line} imports {name}")
    assert wrong == []


def test_modules_on_the_way_of_list_import_nothing_heavy(repository):
    core = repository / "core/probe4d"
    light = [core / f"{name}.py" for name in LIGHT] + sorted((core / "builtin").glob("*.py"))
    light += [core / "commands" / f"{name}.py" for name in ("list", "info", "plugins", "doctor", "completion")]
    light += sorted(repository.glob("plugins/*/probe4d_*/plugin.py"))
    wrong = [
        f"{file.relative_to(repository)}:{line} imports {name}"
        for file in light
        for line, name in imports(file, module_level=True)
        if name.partition(".")[0] in HEAVY
    ]
    assert wrong == []


def test_nothing_imports_a_plugin_but_vit(repository):
    plugins = {file.parent.name for file in repository.glob("plugins/*/probe4d_*/__init__.py")} - {"probe4d_vit"}
    wrong = [
        f"{file.relative_to(repository)}:{line} imports {name}"
        for package, file in modules(repository)
        for line, name in imports(file)
        if name.partition(".")[0] in plugins and name.partition(".")[0] != package
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["core", "metrics", "datasets", "runners"])
def test_nothing_importable_stands_beside_the_one_package(folder, repository):
    packages = [item.name for item in (repository / folder).iterdir() if item.is_dir() or item.suffix == ".py"]
    assert len(packages) == 1
    assert (repository / folder / packages[0] / "py.typed").exists()


def test_no_file_is_named_for_nothing(repository):
    vague = {"utils.py", "helpers.py", "common.py", "manager.py", "misc.py"}
    assert [str(file) for _, file in modules(repository) if file.name in vague] == []
