"""Answers the engine: which methods the handler has, what its settings are, and calls of its hooks."""
import json
import os
import traceback

from . import sync_logging
from .core import Core
from .utils import DeleteMode, Operation

EVENTS = ["data_obj_create", "data_obj_modify", "data_obj_delete", "coll_create", "coll_modify", "coll_delete"]
# Characters of an exception that are kept.
LONGEST = 16384
# These are the same for all entries of a job, so a setting that looks at nothing else is too.
OF_THE_JOB = {
    "job_name", "config", "interval", "ignore_cache", "initial_ingest", "synchronous", "progress", "profile",
    "files_per_task", "restart_queue", "path_queue", "file_queue", "event_handler", "root", "root_target_collection",
    "exclude_file_type", "exclude_file_name", "exclude_directory_name", "idle_disconnect_seconds",
}


kept_none = object()


class Unsuitable(Exception):
    """The handler is not one that can be used; the message says why."""


class JobMeta(dict):
    """`meta` as settings see it before there is any entry: what belongs to one entry cannot be asked for."""

    def _check(self, key):
        if key not in OF_THE_JOB:
            raise Unsuitable("it looks at meta[%r], so it may differ from entry to entry, which is not possible yet" % key)

    def __getitem__(self, key):
        self._check(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        self._check(key)
        return super().get(key, default)

    def copy(self):
        return self


class Session:
    """An iRODSSession that connects when it is first used."""

    def __init__(self):
        self.__dict__["_made"] = None

    def _session(self):
        if self._made is None:
            from irods.session import iRODSSession

            names = ["IRODS_HOST", "IRODS_PORT", "IRODS_USER_NAME", "IRODS_ZONE_NAME", "IRODS_PASSWORD"]
            values = [os.environ.get(name) for name in names]
            if all(values):
                host, port, user, zone, password = values
                made = iRODSSession(host=host, port=int(port), user=user, zone=zone, password=password)
            else:
                default = os.path.expanduser("~/.irods/irods_environment.json")
                made = iRODSSession(irods_env_file=os.environ.get("IRODS_ENVIRONMENT_FILE", default))
            self.__dict__["_made"] = made
        return self._made

    def __getattr__(self, name):
        return getattr(self._session(), name)

    def __setattr__(self, name, value):
        setattr(self._session(), name, value)


class NoSession:
    """Settings are asked for before anything connects."""

    def __getattr__(self, name):
        raise Unsuitable("it uses its session, so it may differ from entry to entry, which is not possible yet")


class Host:
    def __init__(self, hello, load_handler):
        self.module = load_handler(hello["text"], hello["path"])
        self.handler = getattr(self.module, "event_handler", None)
        if self.handler is None:
            raise Unsuitable("it does not define event_handler")
        self.meta = hello["meta"]
        self.logger = sync_logging.get_sync_logger()
        self.session = Session()

    def has(self, name):
        return hasattr(self.handler, name)

    def describe(self):
        """What the engine must know before it begins."""
        hooks = []
        for event in EVENTS:
            on = getattr(self.handler, "on_" + event, None)
            if on is None:
                continue
            if getattr(on, "__func__", on) is not getattr(Core, "on_" + event).__func__:
                raise Unsuitable("it defines on_%s, which is not possible yet; pre_ and post_ are" % event)
            hooks += [when + event for when in ("pre_", "post_") if self.has(when + event)]
        for name in ("as_user", "target_path", "character_map"):
            if self.has(name):
                raise Unsuitable("it defines %s, which is not possible yet" % name)
        hooks += [name for name in ("pre_job", "post_job") if self.has(name)]
        return {"hooks": hooks, "settings": self.settings()}

    def settings(self):
        meta = JobMeta(self.meta)
        log = self.meta["config"]["log"]
        settings = {}
        self.ask(settings, "operation", Operation, lambda method: method(NoSession(), meta))
        self.ask(settings, "delete_mode", DeleteMode, lambda method: method(meta))
        self.ask(settings, "to_resource", str, lambda method: method(NoSession(), meta))
        self.ask(settings, "max_retries", int, lambda method: method(self.handler, log, meta))
        self.ask(settings, "timeout", int, lambda method: method(self.handler, log, meta))
        self.ask(settings, "delay", int, lambda method: method(self.handler, log, meta, 1))
        if self.has("delay") and self.handler.delay(self.handler, log, meta, 2) != settings["delay"]:
            raise Unsuitable("delay: it differs from try to try, which is not possible yet; --delay doubles")
        return settings

    def ask(self, settings, name, kind, call):
        if not self.has(name):
            return
        try:
            value = call(getattr(self.handler, name))
        except Unsuitable as error:
            raise Unsuitable("%s: %s" % (name, error))
        if value is None and name == "to_resource":
            return
        if kind is int and isinstance(value, float) and value == int(value):
            value = int(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise Unsuitable("%s returned %r; %s is expected" % (name, value, kind.__name__))
        if kind is int and value < 0:
            raise Unsuitable("%s returned %d; a number from 0 on is expected" % (name, value))
        settings[name] = value.name if kind in (Operation, DeleteMode) else value

    def call(self, request):
        name = request["hook"]
        meta = dict(self.meta, **request["meta"])
        meta.update(request.get("kept", {}))
        if "path_bytes" in meta:
            meta["path"] = os.fsdecode(bytes(meta.pop("path_bytes")))
        hook = getattr(self.handler, name)
        if name in ("pre_job", "post_job"):
            hook(self.handler, self.logger, meta)
        elif name.endswith("_delete"):
            hook(self.module, self.session, meta)
        else:
            args = [Operation[name] for name in request["args"]]
            hook(self.module, self.logger, self.session, meta, *args, **request["options"])
        return {"kept": self.kept(request, meta)} if name.startswith("pre_") else None

    def kept(self, request, meta):
        """What a hook put into meta, for the hook after it, which another process may run."""
        before = dict(self.meta, **request["meta"])
        kept = {key: value for key, value in meta.items() if key != "path" and before.get(key, kept_none) != value}
        if "target" in kept or ("path" in before and meta.get("path") != before["path"]):
            raise Unsuitable("it changes meta['target'] or meta['path'], which is not possible yet")
        try:
            json.dumps(kept)
        except (TypeError, ValueError) as error:
            raise Unsuitable("it puts into meta what cannot go to another process: %s" % error)
        return kept


def answer(call):
    """What `call` returns, or what it raised. Whatever a handler raises is an answer, sys.exit too."""
    try:
        return {"ok": call()}
    except Unsuitable as error:
        return {"unsuitable": str(error)}
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        told = traceback.format_exception(type(error), error, error.__traceback__)
        shown = [line for line in told if "_host>" not in line and "<string>" not in line]
        summary = traceback.format_exception_only(type(error), error)[-1].strip()
        return {"error": plain(summary), "traceback": plain("".join(shown))}


def plain(text):
    """Text that can be sent and kept: names that are not UTF-8 escaped, and of a very long one the beginning."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + " [and %d more]" % (len(text) - LONGEST)
    return text.encode("utf-8", "backslashreplace").decode()


def serve(wire, hello, load_handler):
    made = []

    def begin():
        made.append(Host(hello, load_handler))
        return made[0].describe()

    first = answer(begin)
    wire.send(first)
    if "ok" not in first:
        return
    me = os.getpid()
    while True:
        request = wire.receive()
        if request is None:
            return
        reply = answer(lambda: made[0].call(request))
        if os.getpid() != me:
            # A hook forked and came back twice; only one of the two is the host.
            os._exit(0)
        wire.send(reply)
