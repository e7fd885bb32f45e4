"""Answers the engine: which methods the handler has, what its settings are, and calls of its hooks."""
import base64
import dis
import json
import math
import os
import traceback

from . import sync_logging
from ._charmap import CharacterMap
from .core import Core
from .utils import DeleteMode, Operation, SkipEntry

EVENTS = ["data_obj_create", "data_obj_modify", "data_obj_delete", "coll_create", "coll_modify", "coll_delete"]
SETTINGS = ["operation", "delete_mode", "to_resource", "target_path", "as_user", "max_retries", "timeout", "delay",
            "character_map"]
# Characters of an exception that are kept.
LONGEST = 16384
UNENCODABLE = "UnicodeEncodeError"

kept_none = object()


class Unsuitable(Exception):
    """The handler is not one that can be used; the message says why."""


class ActionFailed(Exception):
    """What an event is about could not be done; the message is the engine's. Whoever catches it: the entry has failed all the same."""


class Session:
    """An iRODSSession that connects when it is first used, for another user if one was chosen."""

    def __init__(self, user):
        self.__dict__.update(_made=None, _user=user)

    def _session(self):
        if self._made is None:
            from irods.session import iRODSSession

            other = {"client_zone": self._user[0], "client_user": self._user[1]} if self._user else {}
            names = ["IRODS_HOST", "IRODS_PORT", "IRODS_USER_NAME", "IRODS_ZONE_NAME", "IRODS_PASSWORD"]
            values = [os.environ.get(name) for name in names]
            if all(values):
                host, port, user, zone, password = values
                made = iRODSSession(host=host, port=int(port), user=user, zone=zone, password=password, **other)
            else:
                default = os.path.expanduser("~/.irods/irods_environment.json")
                made = iRODSSession(irods_env_file=os.environ.get("IRODS_ENVIRONMENT_FILE", default), **other)
            self.__dict__["_made"] = made
        return self._made

    def __getattr__(self, name):
        return getattr(self._session(), name)

    def __setattr__(self, name, value):
        setattr(self._session(), name, value)


def is_constant(method):
    """Whether a method can but return one and the same value: its code does nothing but name it."""
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    if code is None or code.co_flags & 0x2A0:  # a generator or coroutine
        return False
    names = {"Operation": Operation, "DeleteMode": DeleteMode}
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL":
            known = names.get(step.argval)
            if known is None or getattr(method, "__globals__", {}).get(step.argval) is not known:
                return False
        elif step.opname == "LOAD_ATTR":
            if step.argval not in Operation.__members__ and step.argval not in DeleteMode.__members__:
                return False
        elif step.opname not in ("RESUME", "NOP", "CACHE", "LOAD_CONST", "LOAD_SMALL_INT", "RETURN_VALUE", "RETURN_CONST"):
            return False
    return True


def is_text(value):
    """Whether it is text that can be sent: what stands for the bytes of a name that is not UTF-8 cannot."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def checked(name, value, is_directory):
    """What a setting returned, as the engine takes it."""
    if name in ("operation", "delete_mode"):
        kind = Operation if name == "operation" else DeleteMode
        if value is None and name == "operation" and not is_directory:
            return Operation.REGISTER_SYNC.name
        if isinstance(value, kind):
            return value.name
        expected = kind.__name__
    elif name in ("to_resource", "target_path"):
        if value is None or is_text(value):
            return value
        expected = "str"
    elif name == "as_user":
        if isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_text, value)):
            return list(value)
        expected = "a pair of zone and user"
    else:
        number = math.ceil(value) if isinstance(value, float) and name != "max_retries" and math.isfinite(value) else value
        if isinstance(number, int) and not isinstance(number, bool):
            if not 0 <= number < 1 << 31:
                raise Unsuitable("%s returned %r; a number from 0 on is expected" % (name, value))
            return number
        expected = "int"
    raise Unsuitable("%s returned %r; %s is expected" % (name, value, expected))


class Host:
    def __init__(self, hello, load_handler, wire):
        self.wire = wire
        self.module = load_handler(hello["text"], hello["path"])
        self.handler = getattr(self.module, "event_handler", None)
        if self.handler is None:
            raise Unsuitable("it does not define event_handler")
        self.meta = hello["meta"]
        self.logger = sync_logging.get_sync_logger()
        self.sessions = {}
        self.settings = [name for name in SETTINGS if self.has(name)]
        self.map = None
        if self.has("character_map"):
            try:
                self.map = CharacterMap(self.handler.character_map())
            except TypeError as error:
                raise Unsuitable(str(error))

    def has(self, name):
        return hasattr(self.handler, name)

    def session(self, user):
        user = tuple(user) if user else None
        if user not in self.sessions:
            self.sessions[user] = Session(user)
        return self.sessions[user]

    def describe(self):
        """What the engine must know before it begins."""
        hooks, replaces = [], []
        for event in EVENTS:
            on = getattr(self.handler, "on_" + event, None)
            if on is None:
                continue
            if getattr(on, "__func__", on) is not getattr(Core, "on_" + event).__func__:
                replaces.append("on_" + event)
            else:
                hooks += [when + event for when in ("pre_", "post_") if self.has(when + event)]
        hooks += [name for name in ("pre_job", "post_job") if self.has(name)]
        constants = {}
        for name in self.settings:
            if name not in ("as_user", "target_path", "character_map") and is_constant(getattr(self.handler, name)):
                constants[name] = checked(name, self.ask(name, {}, 1), name != "to_resource")
        chooses = [name for name in self.settings if name not in constants]
        # The Python tool asks these for the root before it does anything.
        root = {name: value for name, value in constants.items() if value is not None}
        root_meta = self.entry_meta({"path": self.meta["path"], "target": self.meta["target"]})
        for name in chooses:
            if name in ("operation", "delete_mode", "max_retries", "timeout"):
                root[name] = checked(name, self.ask(name, root_meta, 1), True)
        return {"hooks": hooks, "replaces": replaces, "chooses": chooses, "settings": root}

    def ask(self, name, meta, retries, user=None):
        method = getattr(self.handler, name)
        if name in ("operation", "to_resource", "target_path"):
            return method(self.session(user), meta)
        if name in ("delete_mode", "as_user"):
            return method(meta)
        log = self.meta["config"]["log"]
        if name == "delay":
            return method(self.handler, log, meta, retries)
        return method(self.handler, log, meta)

    def entry_meta(self, entry):
        """`meta` of an entry, under the names that the Python tool has."""
        meta = dict(self.meta, **entry)
        if "path_bytes" in meta:
            raw = bytes(meta.pop("path_bytes"))
            meta["path"] = os.fsdecode(raw)
            meta["b64_path_str"] = base64.b64encode(raw)
            meta["b64_reason"] = UNENCODABLE
            meta["unicode_error_filename"] = meta["target"].rsplit("/", 1)[-1]
        return meta

    def choose(self, request):
        names = [name for name in self.settings if name in request["names"]]
        return [self.choose_one(entry, names) for entry in request["choose"]]

    def choose_one(self, entry, names):
        is_directory, placed, attempts = (entry.pop(key) for key in ("is_directory", "placed", "attempts"))
        meta = self.entry_meta(entry)
        chosen = {}
        failed = answer(lambda: self.settings_of(meta, names, is_directory, placed, attempts, chosen))
        if "skip" in failed:
            chosen["skip"] = failed["skip"]
        elif "ok" not in failed:
            chosen["wrong"] = failed.get("unsuitable") or failed["error"] + "\n" + failed["traceback"]
        return chosen

    def settings_of(self, meta, names, is_directory, placed, attempts, chosen):
        # What concerns further attempts first: whatever fails after it is tried again as it says.
        order = ["max_retries", "delay", "character_map", "timeout", "as_user", "delete_mode", "operation", "to_resource",
                 "target_path"]
        for name in order:
            if name not in names or is_directory and name in ("to_resource", "target_path"):
                continue
            if name == "delete_mode" and not is_directory:
                continue
            if name == "character_map":
                self.map_name(meta, is_directory, placed, chosen)
                continue
            chosen[name] = checked(name, self.ask(name, meta, attempts + 1, chosen.get("as_user")), is_directory)

    def map_name(self, meta, is_directory, placed, chosen):
        if placed or meta.get("b64_reason") == UNENCODABLE:
            return
        collection, name = meta["target"].rsplit("/", 1)
        mapped = self.map.name(name)
        if not is_text(mapped):
            raise Unsuitable("character_map makes %r of %r" % (mapped, name))
        if mapped != name:
            meta["target"] = collection + "/" + mapped
            chosen["name"] = mapped
        if not is_directory and self.is_mapped(meta):
            chosen["mapped_from"] = self.mark_mapped(meta)

    def is_mapped(self, meta):
        """Whether the name of an entry, or of a directory above it, is another than in the source."""
        below = meta["target"][len(self.meta["target"]):]
        return not meta["path"].endswith(below)

    def mark_mapped(self, meta):
        """Says in `meta` that a name was mapped; the path as the AVU has it."""
        encoded = base64.b64encode(os.fsencode(meta["path"]))
        meta["b64_reason"] = "character_map"
        meta["b64_path_str_charmap"] = encoded
        return encoded.decode()

    def call(self, request):
        if "choose" in request:
            return self.choose(request)
        name = request["hook"]
        meta = self.entry_meta(request["meta"])
        meta.update(request.get("kept", {}))
        if self.map is not None and meta.get("entry_type") == "file" and "b64_reason" not in meta and self.is_mapped(meta):
            self.mark_mapped(meta)
        before = dict(meta)
        hook = getattr(self.handler, name)
        if name in ("pre_job", "post_job"):
            hook(self.handler, self.logger, meta)
            return None
        session = self.session(request.get("user"))
        args = [self.module, session, meta] if name.endswith("_delete") else [self.module, self.logger, session, meta]
        args += [Operation[name] for name in request["args"]]
        if name.startswith("on_"):
            args.insert(0, lambda *_, **__: self.act(before, meta))
        hook(*args, **request["options"])
        return {"kept": self.kept(before, meta)} if name.startswith("pre_") else None

    def act(self, before, meta):
        """Has the engine do what the event is about."""
        self.kept(before, meta)
        self.wire.send({"act": True})
        done = self.wire.receive()
        if done is None:
            os._exit(0)
        if done["error"] is not None:
            raise ActionFailed(done["error"])

    def kept(self, before, meta):
        """What a hook put into meta, for the hook after it, which another process may run."""
        kept = {key: value for key, value in meta.items() if before.get(key, kept_none) != value}
        if "target" in kept or "path" in kept or len(meta.keys() & {"target", "path"}) < 2:
            raise Unsuitable("it changes meta['target'] or meta['path'], which is not possible")
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
        return {"unsuitable": plain(str(error))}
    except SkipEntry as error:
        return {"skip": plain(str(error)) or "a handler says so"}
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
        made.append(Host(hello, load_handler, wire))
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
