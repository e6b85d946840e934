"""The sections of the report: one module each, `panel(run) -> HTML | None`."""
