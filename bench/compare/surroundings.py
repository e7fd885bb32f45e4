"""What both tools work with: a zone, a Redis, and the environment of the Python tool; all in a directory of their own."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from machine import Redis, peak_of, start_zone, use_free_memory

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Site:
    """A zone and a Redis, until `close`.

    The zone is an embedded one, unless IRODS_ENVIRONMENT_FILE names another; then the tests' collection is made below the
    user's home there, and the server must see the files of `work` under the same paths. `large` files are what is measured, or not.
    """

    def __init__(self, work: pathlib.Path, program: pathlib.Path, large: bool):
        self.work, self.program, self.large, self.children = work, program, large, []
        self.foreign = "IRODS_ENVIRONMENT_FILE" in os.environ
        self.environment_file = os.environ.get("IRODS_ENVIRONMENT_FILE", str(work / "zone/irods_environment.json"))
        (work / "home").mkdir(parents=True)
        self.bucket = None
        self.zone = None
        if not self.foreign:
            self.zone = start_zone(program, work / "zone")
            self.children.append(self.zone)
        facts = json.loads(pathlib.Path(self.environment_file).read_text())
        self.home = f"/{facts['irods_zone_name']}/home/{facts['irods_user_name']}"
        self.redis = Redis(work)

    def environment(self, database: int):
        """Of a tool's processes; each tool has a database of Redis for itself."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.work / "home"),
            "XDG_STATE_HOME": str(self.work / "home"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUTF8": "1",
            "IRODS_ENVIRONMENT_FILE": self.environment_file,
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{self.redis.port}/{database}",
        }

    def spawn(self, words, **options):
        """A process that ends with the site."""
        self.children.append(subprocess.Popen([str(word) for word in words], **options))
        return self.children[-1]

    def fill_bucket(self, prefix: str, objects: int, weed: str | None):
        """A bucket's prefix with so many objects, as both tools are told of it: the source and flags."""
        from seaweed import Server

        self.bucket = Server(weed or sys.exit("an S3 server must be named by --weed"), self.work)
        self.bucket.fill([f"{prefix}/d{number // 500:03}/k{number:07}" for number in range(objects)])
        return f"/bucket/{prefix}", self.bucket.flags

    def memory_of(self, database: int, pattern: str) -> int:
        """Bytes of the keys of this pattern."""
        each = "for _, k in ipairs(r[2]) do n = n + redis.call('MEMORY', 'USAGE', k, 'SAMPLES', 0) end"
        script = f"local n, c = 0, '0' repeat local r = redis.call('SCAN', c, 'MATCH', ARGV[1], 'COUNT', 10000) c = r[1] {each} until c == '0' return n"
        return int(self.ask_redis(database, f'EVAL "{script}" 0 {pattern}')[1:])

    def peaks(self):
        """MiB that the zone, if it is an embedded one, and Redis had at most."""
        return {"redis": peak_of(self.redis.process.pid)} | ({"zone": peak_of(self.zone.pid)} if self.zone else {})

    def ask_redis(self, database: int, command: str) -> str:
        """The first line of the answer."""
        return self.redis.ask(f"SELECT {database}", command).splitlines()[1]

    def level(self):
        """Makes all that is timed begin alike: nothing waits to be written, the disk that large objects took is free, and where they
        are what is measured, memory is as quick to write to for all. Nobody asks for these objects any more."""
        os.sync()
        for path in (self.work / "zone" / "Vault").rglob("*"):
            if path.is_file() and path.stat().st_size > 1 << 24:
                os.truncate(path, 0)
        if self.large:
            use_free_memory()
        # Processors that had nothing to do for seconds are slower at first, to the harm of whoever follows a long wait.
        awake = time.monotonic() + 0.3
        while time.monotonic() < awake:
            pass

    def close(self):
        if self.bucket:
            self.bucket.close()
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
                child.wait()
        self.redis.close()


def reference() -> pathlib.Path:
    """An interpreter that has the Python tool, from the package index; kept in `target`, or taken from IRODS_TEST_INGEST_TOOL."""
    if given := os.environ.get("IRODS_TEST_INGEST_TOOL"):
        return pathlib.Path(given)
    wanted = ROOT / "tests-python/ingest-tool.txt"
    there = ROOT / "target/python-ingest-tool"
    if not (there / "requirements.txt").exists() or (there / "requirements.txt").read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", there], check=True)
        subprocess.run([there / "bin/pip", "install", "--quiet", "-r", wanted], check=True)
        shutil.copy(wanted, there / "requirements.txt")
    return there / "bin/python"
