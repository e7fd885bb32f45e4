"""Runs event handlers of the Python tool for irods_sync. Started with `python3 -c`; the engine is on the other end of
standard input, which is a socket. The first message brings the modules that handlers import, so no file is written."""
import importlib.abc
import importlib.util
import json
import linecache
import os
import socket
import struct
import sys
import threading
import time

PACKAGE = "irods_capability_automated_ingest"


class Wire:
    """Messages: four bytes of length, most significant first, then JSON."""

    def __init__(self, fd):
        self.stream = socket.socket(fileno=fd).makefile("rwb")
        self.pid = os.getpid()

    def receive(self):
        head = self.stream.read(4)
        if len(head) < 4:
            return None
        (length,) = struct.unpack(">I", head)
        body = self.stream.read(length)
        return json.loads(body) if len(body) == length else None

    def send(self, message):
        if os.getpid() != self.pid:
            # A handler forked and came back twice; only one of the two is the host.
            os._exit(0)
        body = json.dumps(message).encode()
        self.stream.write(struct.pack(">I", len(body)) + body)
        self.stream.flush()


class Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports from texts. They go before anything that is installed under the same name."""

    def __init__(self, texts):
        self.texts = texts

    def find_spec(self, name, path=None, target=None):
        if name != PACKAGE and name not in self.texts:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=name == PACKAGE)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        text = self.texts.get(module.__name__, "")
        exec(compile(text, "<%s>" % module.__name__, "exec"), module.__dict__)


def load_handler(text, path):
    """The module of a handler file, with its source where tracebacks look for it."""
    linecache.cache[path] = (len(text), None, text.splitlines(True), path)
    spec = importlib.util.spec_from_loader("event_handler", loader=None, origin=path)
    module = importlib.util.module_from_spec(spec)
    module.__file__ = path
    sys.modules["event_handler"] = module
    exec(compile(text, path, "exec"), module.__dict__)
    return module


def leave_with(parent):
    """Ends this process soon after its parent: a hook that still runs must not meet its own second run."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main():
    threading.Thread(target=leave_with, args=(os.getppid(),), daemon=True).start()
    # What the handler prints goes to the log and what it reads is empty: the socket is nobody else's.
    wire = Wire(os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    hello = wire.receive()
    if hello is None:
        return
    sys.meta_path.insert(0, Modules(hello["modules"]))
    from irods_capability_automated_ingest import _host

    _host.serve(wire, hello, load_handler)
    # Threads that a handler left behind keep nothing alive.
    os._exit(0)


main()
