"""What the benches ask of the machine: ports, memory, a Redis of their own."""

import os
import shutil
import socket
import subprocess
import sys
import time


def free_port() -> int:
    """A TCP port of the loopback interface that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def peak_of(*pids: int) -> float:
    """The largest resident sizes that living processes had, summed, in MiB."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as status:
            total += next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)
    return total / 1024


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
