"""The two tools under one interface: a worker that runs all the time, and jobs that are timed from the command to their end."""

import os
import pathlib
import subprocess
import sys
import time

from machine import peak_of
from surroundings import Site

HANDLER = """from irods_capability_automated_ingest.core import Core
from irods_capability_automated_ingest.utils import Operation

class event_handler(Core):
    @staticmethod
    def operation(session, meta, **options):
        return Operation.{operation}
"""
HOOKS = """
    @staticmethod
    def pre_data_obj_create(hdlr_mod, logger, session, meta, **options):
        pass

    @staticmethod
    def post_data_obj_create(hdlr_mod, logger, session, meta, **options):
        pass
"""


class Tool:
    """What the tools have in common. `peak` is what the worker's processes had at most, in MiB."""

    def __init__(self, site: Site, database: int):
        self.site, self.database, self.jobs = site, database, 0
        self.environment = site.environment(database)

    def seconds(self, source, target, operation, hooks=False, flags=()):
        """Runs a job to its end; how long it took, from the command that starts it. Exits if anything failed."""
        self.jobs += 1
        name = f"{self.name}{self.jobs}x{os.getpid()}"
        handler = None
        if hooks or self.needs_handler:
            handler = self.site.work / f"{name}.py"
            handler.write_text(HANDLER.format(operation=operation) + (HOOKS if hooks else ""))
        began = time.monotonic()
        self.run_job(name, source, target, operation, handler, flags)
        return time.monotonic() - began

    def cache_bytes(self):
        """Redis's memory for what the tool remembers of files."""
        return self.site.memory_of(self.database, self.cache)

    def run(self, words):
        done = subprocess.run([str(word) for word in words], env=self.environment, cwd=self.site.work, text=True, capture_output=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


class Ours(Tool):
    """irods_sync, on the same Redis as the Python tool."""

    name, needs_handler, cache = "ours", False, "*sig:*"

    def __init__(self, site, workers):
        super().__init__(site, 1)
        log = open(site.work / "ours.log", "w")
        words = [site.program, "worker", "--concurrency", workers, "--allow_uploaded_handlers"]
        self.worker = site.spawn(words, env=self.environment, cwd=site.work, stdout=log, stderr=log)

    def run_job(self, name, source, target, operation, handler, flags):
        words = [self.site.program, "start", source, target, "--job_name", name]
        words += ["--event_handler", handler] if handler else ["--operation", operation]
        self.run([*words, *flags])
        self.run([self.site.program, "watch", name])

    def peak(self):
        return peak_of(self.worker.pid)


class Reference(Tool):
    """The Python tool: a Celery worker with so many processes, as its manual says."""

    name, needs_handler, cache = "python", True, "sync_time:*"

    def __init__(self, site, workers, python: pathlib.Path):
        super().__init__(site, 0)
        self.python = python
        log = open(site.work / "python.log", "w")
        words = [python, "-m", "celery", "-A", "irods_capability_automated_ingest", "worker", "-l", "error", "-Q", "restart,path,file"]
        words += ["-c", workers, "--without-mingle", "--without-gossip"]
        self.worker = site.spawn(words, env=self.environment, cwd=site.work, stdout=log, stderr=log)

    def run_job(self, name, source, target, operation, handler, flags):
        words = [self.python, "-m", "irods_capability_automated_ingest.irods_sync", "start", source, target]
        self.run([*words, "--job_name", name, "--event_handler", handler, *flags])
        while self.site.ask_redis(self.database, f"EXISTS cleanup:/{name}") != ":0":
            time.sleep(0.02)
        failed = self.site.ask_redis(self.database, f"INCRBY failures:/{name} 0")
        if failed != ":0":
            sys.exit(f"{failed[1:]} tasks of the Python tool failed; see {self.site.work}/python.log")

    def peak(self):
        children = pathlib.Path(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children").read_text().split()
        return peak_of(self.worker.pid, *children)
