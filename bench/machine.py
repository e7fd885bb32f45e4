"""What the benches ask of the machine: ports, memory, a Redis and a zone of their own; and how they keep what they found."""

import datetime
import mmap
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import sys
import time


PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/performance.md"


def free_port() -> int:
    """A TCP port of the loopback interface that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def kib_of(path: str, fact: str) -> int:
    """What a file of /proc says of something in KiB; 0 if it says nothing."""
    with open(path) as facts:
        return next((int(line.split()[1]) for line in facts if line.startswith(f"{fact}:")), 0)


def peak_of(*pids: int) -> float:
    """The largest resident sizes that living processes had, summed, in MiB."""
    return sum(kib_of(f"/proc/{pid}/status", "VmHWM") for pid in pids) / 1024


def processors() -> str:
    """How many, and which."""
    with open("/proc/cpuinfo") as facts:
        model = next((line.split(":", 1)[1].strip() for line in facts if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores ({model})"


def use_free_memory():
    """Writes to all memory that nobody has, but for a GiB.

    The host of a virtual machine may take back what is free; then the first write to each page of it is several times slower.
    """
    free = kib_of("/proc/meminfo", "MemFree") * 1024 - (1 << 30)
    if free > 0:
        piece = bytes(1 << 20)
        with mmap.mmap(-1, free) as memory:
            for at in range(0, free - len(piece), len(piece)):
                memory[at : at + len(piece)] = piece


def start_zone(program, directory, **options) -> subprocess.Popen:
    """An embedded zone that can be used, in a process of its own."""
    zone = subprocess.Popen([program, "zone", directory], stdout=subprocess.PIPE, text=True, **options)
    if not any("is open at" in line for line in zone.stdout):
        sys.exit("the zone did not start")
    return zone


def seconds_of(job: dict) -> float:
    """From its first task to its last, of a job as `status --json` tells it."""
    began, ended = (datetime.datetime.fromisoformat(job[when]) for when in ("started", "ended"))
    return (ended - began).total_seconds()


def save_on_page(bench: str, text: str):
    """Puts the text in the place that is this bench's in docs/performance.md."""
    begin, end = (f"<!-- {bench}: {mark} -->\n" for mark in ("begin", "end"))
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(before + begin + text + end + after)


class Redis:
    """A server (REDIS_SERVER, or that of the path) with its log in `folder`, and what it is asked."""

    def __init__(self, folder):
        self.port = free_port()
        server = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or sys.exit("there is no redis-server")
        words = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(folder)]
        words += ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
        self.process = subprocess.Popen([server, *words], stdout=subprocess.DEVNULL)
        while not self.is_there():
            time.sleep(0.01)

    def is_there(self) -> bool:
        try:
            return "PONG" in self.ask("PING")
        except OSError:
            return False

    def ask(self, *commands: str) -> str:
        """Their answers, as they come."""
        with socket.create_connection(("127.0.0.1", self.port)) as stream:
            stream.sendall("\r\n".join([*commands, "QUIT", ""]).encode())
            answer = b""
            while block := stream.recv(65536):
                answer += block
            return answer.decode(errors="replace")

    def memory(self) -> dict:
        lines = self.ask("INFO memory").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        return {key: int(facts[key]) for key in ("used_memory", "used_memory_peak")}

    def processor_seconds(self) -> float:
        with open(f"/proc/{self.process.pid}/stat") as stat:
            user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.process.terminate()
        self.process.wait()
