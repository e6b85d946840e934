"""`probe4d cache`: list, verify, prune and export the feature sets of a store."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from probe4d.errors import UsageError
from probe4d.listing import table

if TYPE_CHECKING:
    from probe4d.store.feature_store import FeatureStore
    from probe4d.store.sets import StoredSet
    from probe4d.store.verifying import Damage

store_option = click.option(
    "--store", metavar="URL", help="Folder or fsspec URL of the sets. [default: the user's cache]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("cache")
def command() -> None:
    """List, verify, prune and export cached features. DIGEST may be cut short while it is unique."""


@command.command("list")
@store_option
@json_option
def list_sets(store: str | None, as_json: bool) -> None:
    """Show the feature sets: what made them, bytes, shards done, last use."""
    from probe4d.store.sets import stored_sets

    found = sorted(stored_sets(store), key=lambda item: (-item.last_used, item.name))
    if as_json:
        click.echo(json.dumps([item.to_json() for item in found], indent=2))
    elif not found:
        click.echo("No features are cached here.")
    else:
        head = ["DIGEST", "BACKBONE", "LAYERS", "DATA", "VIEWS", "DTYPE", "SHARDS", "BYTES", "USED"]
        click.echo(table([head, *map(_row, found)]))
        click.echo(f"{_count(len(found), 'set')}, {_human(sum(item.bytes for item in found))}")


@command.command()
@click.argument("digests", nargs=-1, metavar="[DIGEST]...")
@store_option
@json_option
@click.option("--repair", is_flag=True, help="Forget damaged shards, so that the next run makes them again.")
@click.pass_context
def verify(ctx: click.Context, digests: tuple[str, ...], store: str | None, as_json: bool, repair: bool) -> None:
    """Check every byte of the sets against their receipts. Exit code 1 where anything is wrong."""
    from probe4d.store import verifying
    from probe4d.store.sets import find_sets

    results: list[dict[str, Any]] = []
    for item in find_sets(digests, store):
        opened, damages = _verify(item)
        again = verifying.repair(opened, damages) if repair and opened is not None and damages else []
        results.append(
            {
                **{name: value for name, value in item.to_json().items() if name != "address"},
                "damages": [damage.to_json() for damage in damages],
                "forgotten_shards": again,
            }
        )
        if not as_json:
            _print_verified(results[-1])
    if as_json:
        click.echo(json.dumps(results, indent=2))
    ctx.exit(1 if any(result["damages"] for result in results) else 0)


@command.command()
@store_option
@json_option
@click.option("--older-than", metavar="AGE", help="Not used for so long (30d, 12h, 2w).")
@click.option("--max-bytes", metavar="BYTES", help="Remove the longest unused until this is not exceeded (500GB).")
@click.option("--incomplete", is_flag=True, help="Only unfinished sets, not used for --older-than (default: 1h).")
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@click.option("--yes", is_flag=True, help="Remove; without it (and without --dry-run) nothing is done.")
def prune(
    store: str | None,
    as_json: bool,
    older_than: str | None,
    max_bytes: str | None,
    incomplete: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove feature sets by age, size or incompleteness, and say how many bytes that frees."""
    from probe4d.store import pruning
    from probe4d.store.sets import stored_sets

    if older_than is None and max_bytes is None and not incomplete:
        raise UsageError("prune: expected --older-than, --max-bytes or --incomplete, got none of them.")
    if not (dry_run or yes):
        raise UsageError("prune: expected --yes to remove or --dry-run to look, got neither.")
    chosen = pruning.choose(
        list(stored_sets(store)),
        now=time.time(),
        older_than=None if older_than is None else pruning.parse_age(older_than),
        max_bytes=None if max_bytes is None else pruning.parse_bytes(max_bytes),
        incomplete=incomplete,
    )
    freed = 0
    for stored, reason in chosen:
        freed += stored.bytes if dry_run else pruning.remove(stored)
        if not as_json:
            click.echo(
                f"{'would remove' if dry_run else 'removed'} {stored.name[:12]}  {_human(stored.bytes)}  {reason}"
            )
    if as_json:
        removed = [{**stored.to_json(), "reason": reason} for stored, reason in chosen]
        click.echo(json.dumps({"dry_run": dry_run, "bytes": freed, "sets": removed}, indent=2))
    else:
        click.echo(f"{'would free' if dry_run else 'freed'} {freed} bytes ({_human(freed)})")


@command.command()
@click.argument("digest")
@click.argument("destination", type=click.Path())
@store_option
@json_option
@click.option(
    "--format", "kind", type=click.Choice(["zarr", "npz"]), default="zarr", show_default=True,
    help="zarr: the group itself. npz: a file for each sample.",
)  # fmt: skip
def export(digest: str, destination: str, store: str | None, as_json: bool, kind: str) -> None:
    """Copy one set to the folder DESTINATION, for any program that reads zarr v3 or numpy files."""
    from probe4d.store import FeatureStore, exporting
    from probe4d.store.sets import find_sets

    item = find_sets([digest], store)[0]
    copy = exporting.export_zarr if kind == "zarr" else exporting.export_npz
    written = copy(FeatureStore.open(item.url), destination)
    if as_json:
        click.echo(json.dumps({"digest": item.name, "format": kind, "path": destination, "bytes": written}, indent=2))
    else:
        click.echo(f"{item.name[:12]} as {kind} in {destination}: {written} bytes ({_human(written)})")


def _verify(item: StoredSet) -> tuple[FeatureStore | None, list[Damage]]:
    from probe4d.errors import Probe4dError
    from probe4d.store import FeatureStore
    from probe4d.store.description import SET_FILE
    from probe4d.store.verifying import Damage, verify

    try:
        opened = FeatureStore.open(item.url, stamp=False)
        if opened.digest != item.name:
            detail = f"the set of digest {opened.digest}"
            return opened, [Damage(what="damaged description", file=SET_FILE, detail=detail), *verify(opened)]
    except Probe4dError as error:
        return None, [Damage(what="damaged description", file=SET_FILE, detail=item.problem or str(error))]
    return opened, list(verify(opened))


def _print_verified(result: dict[str, Any]) -> None:
    damages = result["damages"]
    state = _count(len(damages), "damage") if damages else "sound"
    click.echo(f"{result['digest'][:12]}  {_shards(result)} shards  {_human(result['bytes'])}  {state}")
    for damage in damages:
        shard = "" if damage["shard"] is None else f" (shard {damage['shard']})"
        click.echo(f"  {damage['what']}: {damage['file']}{shard}: {damage['detail']}".rstrip(": "))
    if result["forgotten_shards"]:
        click.echo(f"  to be made again: shards {', '.join(map(str, result['forgotten_shards']))}")


def _row(item: StoredSet) -> list[str]:
    address = item.address
    if address is None:
        return [
            item.name[:12],
            item.problem or "",
            "",
            "",
            "",
            "",
            str(item.shards_done),
            _human(item.bytes),
            _used(item),
        ]
    data = f"{address['dataset']} {address['split']} ({item.samples})"
    layers, views = ",".join(address["layers"]), str(len(address["views"]))
    facts = [address["backbone"], layers, data, views, address["dtype"]]
    return [item.name[:12], *facts, _shards(item.to_json()), _human(item.bytes), _used(item)]


def _shards(facts: dict[str, Any]) -> str:
    return f"{facts['shards_done']}/{'?' if facts['shards'] is None else facts['shards']}"


def _used(item: StoredSet) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(item.last_used)) if item.last_used else "never"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _human(size: float) -> str:
    """Return bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
