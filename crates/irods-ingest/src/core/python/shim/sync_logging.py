"""The log, as handlers know it: a message and fields. The lines go to the log of irods_sync."""
import logging
import os

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class SyncLogger:
    """Writes a line for each call: the level, a tab, the message, and fields."""

    def __getattr__(self, level):
        if level in ("warn", "exception", "fatal"):
            level = {"warn": "warning", "exception": "error", "fatal": "critical"}[level]
        if level not in _LEVELS:
            raise AttributeError(level)

        def log(event="", *args, **fields):
            text = str(event) % args if args else str(event)
            if fields:
                text += " " + " ".join("%s=%r" % field for field in fields.items())
            lines = ["\x01%s\t%s\n" % (level, line) for line in text.splitlines() or [""]]
            # Not through sys.stderr, which a handler may have closed or put something else in its place.
            os.write(2, "".join(lines).encode("utf-8", "backslashreplace"))

        return log

    def log(self, level, event="", *args, **fields):
        number = level if isinstance(level, int) else _LEVELS.get(str(level).lower(), 20)
        name = max((l for l in _LEVELS if _LEVELS[l] <= number), key=_LEVELS.get, default="debug")
        getattr(self, name)(event, *args, **fields)

    def bind(self, **fields):
        return self


class _ToLog(logging.Handler):
    def emit(self, record):
        level = max((l for l in _LEVELS if _LEVELS[l] <= record.levelno), key=_LEVELS.get, default="debug")
        getattr(_LOGGER, level)(self.format(record))


_LOGGER = SyncLogger()
logging.getLogger().addHandler(_ToLog())


def get_sync_logger(logging_config=None):
    return _LOGGER
