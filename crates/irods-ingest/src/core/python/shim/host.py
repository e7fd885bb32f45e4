"""Answers the engine: which methods the handler has, what its settings are, and calls of its hooks."""
import base64
import json
import os
import traceback

from . import sync_logging
from ._changes import Changes, places_files
from ._charmap import CharacterMap
from ._settings import SETTINGS, Unsuitable, checked, is_constant, is_text
from .core import Core
from .utils import Operation, SkipEntry

EVENTS = ["data_obj_create", "data_obj_modify", "data_obj_delete", "coll_create", "coll_modify", "coll_delete"]
# Characters of an exception that are kept.
LONGEST = 16384
UNENCODABLE = "UnicodeEncodeError"

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


class Host:
    def __init__(self, hello, load_handler, wire):
        self.wire = wire
        self.module = load_handler(hello["text"], hello["path"])
        self.handler = getattr(self.module, "event_handler", None)
        if self.handler is None:
            raise Unsuitable("it does not define event_handler")
        self.meta = hello["meta"]
        # What hooks may change in place, each call gets anew.
        self.nested = json.dumps({key: value for key, value in self.meta.items() if isinstance(value, (dict, list))})
        self.places_files = places_files(hello["text"])
        self.logger = sync_logging.get_sync_logger()
        self.sessions = {}
        self.settings = [name for name in SETTINGS if self.has(name)]
        # The Python tool asks for a delay whenever it waits, and waits exactly as long.
        never = ("as_user", "target_path", "character_map", "delay")
        self.constants = [name for name in self.settings if name not in never and is_constant(getattr(self.handler, name))]
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
        constants = {name: checked(name, self.ask(name, {}, 1), name != "to_resource") for name in self.constants}
        if self.has("delay") and is_constant(self.handler.delay):
            checked("delay", self.ask("delay", {}, 1), True)
        chooses = [name for name in self.settings if name not in constants]
        # The Python tool asks these for the root before it does anything.
        root = {name: value for name, value in constants.items() if value is not None}
        root_meta = self.entry_meta({"path": self.meta["path"], "target": self.meta["target"]})
        for name in chooses:
            if name in ("operation", "delete_mode", "max_retries", "timeout"):
                root[name] = checked(name, self.ask(name, root_meta, 1), True)
        return {"hooks": hooks, "replaces": replaces, "chooses": chooses, "settings": root, "places_files": self.places_files}

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
        meta = dict(self.meta, **json.loads(self.nested))
        meta.update(entry)
        if "path_bytes" in meta:
            raw = bytes(meta.pop("path_bytes"))
            meta["path"] = os.fsdecode(raw)
            meta["b64_path_str"] = base64.b64encode(raw)
            meta["b64_reason"] = UNENCODABLE
            meta["unicode_error_filename"] = meta["target"].rsplit("/", 1)[-1]
        if "size" in meta:
            meta["chunk"] = {meta["path"]: {key: meta[key] for key in ("is_link", "is_socket", "mtime", "ctime", "size")}}
        return meta

    def nested_again(self, meta):
        """A copy of the meta of an entry that changes of it in place do not reach."""
        return dict(meta, **json.loads(self.nested))

    def choose(self, request):
        """Answers for each entry as soon as it can, so that one that takes for ever is known."""
        names = [name for name in self.settings if name in request["names"]]
        for entry in request["choose"]:
            self.wire.send({"ok": self.choose_one(entry, names)})

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
        name = request["hook"]
        if name in ("pre_job", "post_job"):
            getattr(self.handler, name)(self.handler, self.logger, self.entry_meta(request["meta"]))
            return None
        meta = self.entry_meta(request["meta"])
        if self.map is not None and meta.get("entry_type") == "file" and "b64_reason" not in meta and self.is_mapped(meta):
            self.mark_mapped(meta)
        when, event = name.split("_", 1)
        changes = Changes(self, event, meta, request["user"]) if when != "post" else None
        if request["kept"] is not None:
            Changes.take(request["kept"], meta)
        session = self.session(request["user"])
        args = [self.module, session, meta] if event.endswith("_delete") else [self.module, self.logger, session, meta]
        args += [Operation[name] for name in request["args"]]
        if when == "on":
            args.insert(0, lambda *args, **_: self.act(changes, args))
        getattr(self.handler, name)(*args, **request["options"])
        return changes.made(meta) if when == "pre" else None

    def act(self, changes, args):
        """Has the engine do what the event is about."""
        self.wire.send({"act": changes.told(next((arg for arg in args if isinstance(arg, dict)), changes.meta))})
        done = self.wire.receive()
        if done is None:
            os._exit(0)
        if done["error"] is not None:
            raise ActionFailed(done["error"])


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
    host = made[0]
    while True:
        request = wire.receive()
        if request is None:
            return
        if "choose" in request:
            host.choose(request)
        else:
            wire.send(answer(lambda: host.call(request)))
