"""The choices that handlers return."""
from enum import Enum


class Operation(Enum):
    REGISTER_SYNC = 0
    REGISTER_AS_REPLICA_SYNC = 1
    PUT = 2
    PUT_SYNC = 3
    PUT_APPEND = 4
    NO_OP = 5


class DeleteMode(Enum):
    DO_NOT_DELETE = 0
    UNREGISTER = 1
    TRASH = 2
    NO_TRASH = 3


class SkipEntry(Exception):
    """Raised by a setting or a pre hook: this entry is left out, for the reason that it says. (Only irods_sync knows it.)"""
