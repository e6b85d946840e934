"""What the feature store raises.

StoreMismatchError (UsageError)    2   a set is not the one that was asked for
StoreWriteError (OSError)          1   nothing can be written there
StoreReadError (OSError)           1   nothing can be read there
StoreConflictError                 1   a shard exists with other bytes
StoreDamageError (DataError)       4   stored bytes are not those that were written
NotExtractedError (DataError)      4   the shard has not been written yet
"""

from __future__ import annotations

from probe4d.errors import DataError, Probe4dError, UsageError

__all__ = [
    "NotExtractedError",
    "StoreConflictError",
    "StoreDamageError",
    "StoreMismatchError",
    "StoreReadError",
    "StoreWriteError",
]


class StoreMismatchError(UsageError):
    """A set is not the one that was asked for; the message names each field that differs."""


class StoreWriteError(Probe4dError, OSError):
    """Nothing can be written there: no space, no permission, a limit."""


class StoreReadError(Probe4dError, OSError):
    """A store cannot be read: no network, no credentials, no right. That says nothing of what is in it."""


class StoreConflictError(Probe4dError):
    """A shard that is done has other bytes than those now given for it."""


class StoreDamageError(DataError):
    """Stored bytes are not those that were written."""


class NotExtractedError(DataError):
    """The shard has not been written yet."""
