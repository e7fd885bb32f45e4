"""The log, as handlers know it: a message and fields. The lines go to the log of irods_sync."""
import json
import logging
import sys

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class SyncLogger:
    """Writes a line for each call: the level, a tab, the message, and fields as JSON."""

    def __getattr__(self, level):
        if level in ("warn", "exception", "fatal"):
            level = {"warn": "warning", "exception": "error", "fatal": "critical"}[level]
        if level not in _LEVELS:
            raise AttributeError(level)

        def log(event="", *args, **fields):
            text = str(event) % args if args else str(event)
            if fields:
                text += " " + json.dumps(fields, default=str)
            for line in text.splitlines() or [""]:
                sys.stderr.write("\x01%s\t%s\n" % (level, line))
            sys.stderr.flush()

        return log


class _ToLog(logging.Handler):
    def emit(self, record):
        level = max((l for l in _LEVELS if _LEVELS[l] <= record.levelno), key=_LEVELS.get, default="debug")
        getattr(_LOGGER, level)(self.format(record))


_LOGGER = SyncLogger()
logging.getLogger().addHandler(_ToLog())


def get_sync_logger(logging_config=None):
    return _LOGGER
