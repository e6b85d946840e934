"""JSON Schemas: of a kind's inputs, made from its fields and conventions, and of the answer.

An input schema describes the two sorts of line of a `.jsonl`: `header` and `sample`. The other
containers hold the same fields as arrays; `dims` and `dtypes` say of what shape and type.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from probe4d.contracts import Field, Kind, MetaKey, Role
from probe4d.scoring.asides import ABOUT, ASIDES

__all__ = ["answer_schema", "input_schema"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "size": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 2},
    "range": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    "names": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "integer", "minimum": 1}]},
}
ITEMS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "U": "string", "S": "string"}


def answer_schema() -> dict[str, Any]:
    """Return the schema of what `probe4d score --json` answers."""
    schema: dict[str, Any] = json.loads((files("probe4d.scoring") / "schemas" / "answer.json").read_text("utf-8"))
    return schema


def input_schema(kind: Kind, name: str, schema: str) -> dict[str, Any]:
    """Return the schema of prediction and target files of a kind.

    Args:
        name: what the kind is called.
        schema: what `meta.schema` says of such files.
    """
    roles: tuple[Role, ...] = ("predictions", "targets")
    return {
        "$schema": DRAFT,
        "$id": schema,
        "title": f"probe4d score: predictions and targets of the kind {name}",
        "description": "Lines of a .jsonl: a header, then samples. Arrays of other containers have the same names.",
        "$defs": {role: _of_role(kind, role, schema) for role in roles},
    }


def _of_role(kind: Kind, role: Role, schema: str) -> dict[str, Any]:
    about = {"type": "object", "description": "what else there is to say of the file; nothing is read from it"}
    keys = {"schema": {"const": schema}, ABOUT: about, **{n: _meta_key(key) for n, key in kind.meta(role).items()}}
    meta = {"type": "object", "properties": keys, "additionalProperties": False}
    fields = kind.fields(role) if role == "predictions" else {**ASIDES, **kind.fields(role)}
    sample = {
        "type": "object",
        "properties": {"id": {"type": "string", "minLength": 1}, **{n: _field(f) for n, f in fields.items()}},
        "required": ["id", *(name for name, field in fields.items() if field.required)],
        "additionalProperties": False,
    }
    header = {"type": "object", "properties": {"meta": meta}, "required": ["meta"], "additionalProperties": False}
    return {"header": header, "sample": sample, "anyOf": [_ref(role, "header"), _ref(role, "sample")]}


def _ref(role: Role, name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{role}/{name}"}


def _meta_key(key: MetaKey) -> dict[str, Any]:
    described: dict[str, Any] = {"enum": list(key.choices)} if key.choices else dict(TYPES[key.type])
    if key.type == "size" and not key.choices:
        described = {"anyOf": [described, {"const": "same"}]}
    described["description"] = _sentence(key)
    if key.default is not None:
        described["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    return described


def _sentence(key: MetaKey) -> str:
    notes = [key.summary]
    if key.required:
        condition = f" where {key.only_if[0]} is {key.only_if[1]}" if key.only_if else ""
        notes.append(f"to be stated here or by --meta{condition}")
    if key.agree:
        notes.append("the same in both files")
    return "; ".join(note for note in notes if note)


def _field(field: Field) -> dict[str, Any]:
    items = sorted({ITEMS[kind] for kind in field.dtypes})
    if "number" in items and "integer" in items:
        items.remove("integer")
    shapes = [_nested(dims.split(), items) for dims in field.dims.split("|")]
    described = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    return {**described, "description": field.summary, "dims": field.dims, "dtypes": field.dtypes}


def _nested(dims: list[str], items: list[str]) -> dict[str, Any]:
    if not dims:
        return {"type": items[0] if len(items) == 1 else items}
    size = {"minItems": int(dims[0]), "maxItems": int(dims[0])} if dims[0].isdigit() else {}
    return {"type": "array", "items": _nested(dims[1:], items), **size}
