#!/usr/bin/env python3
"""Measures ingests into a zone that is far away: what is sent either way arrives so many milliseconds later.

    bench/far.py [--delays 0 5 20] [--files 5000] [--mib 256] [--rounds 3] [--programs target/release/irods_sync ...]

Files are registered with several numbers of tasks at once, and with as many as are found to be best; then one large file is uploaded over one
connection and over four. With several programs each is measured, in turns. Seconds are those of the job, from its first task to its
last. The zone and the delaying proxy are processes of their own. Prints tables in Markdown, of medians with the slowest and the fastest round.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import tempfile

from machine import seconds_of, start_zone

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIDTHS = ["4", "16", "32", "auto"]
STREAMS = ["1", "4"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delays", type=float, nargs="+", default=[0, 5, 20], help="milliseconds, each way")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--mib", type=int, default=256, help="size of the large file")
    parser.add_argument("--rounds", type=int, default=3)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--programs", type=pathlib.Path, nargs="+", default=[target / "release/irods_sync"])
    return parser.parse_args()


async def pump(reader, writer, delay):
    """Passes on what comes, each piece `delay` seconds after it came."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue(256)

    async def read():
        while piece := await reader.read(1 << 18):
            await queue.put((loop.time() + delay, piece))
        await queue.put((0, b""))

    reading = asyncio.create_task(read())
    try:
        while True:
            due, piece = await queue.get()
            if not piece:
                break
            await asyncio.sleep(max(0, due - loop.time()))
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        reading.cancel()
        writer.close()


def proxy(port, delay, started):
    async def serve():
        async def connected(reader, writer):
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
            await asyncio.gather(pump(reader, there_writer, delay), pump(there_reader, writer, delay))

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 22)
        started.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


class Site:
    def __init__(self, work: pathlib.Path, program):
        self.work, self.jobs = work, 0
        self.file = work / "zone/irods_environment.json"
        self.zone = start_zone(program, work / "zone", env=self.environment())
        self.port = json.loads(self.file.read_text())["irods_port"]

    def environment(self, port=None):
        """With a state directory for each job."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.work), "XDG_STATE_HOME": str(self.work / f"state{self.jobs}")}
        return own | {"IRODS_ENVIRONMENT_FILE": str(self.file)} | ({"IRODS_PORT": str(port)} if port else {})

    def seconds(self, program, port, source, *flags):
        """Of a job, from its first task to its last."""
        self.jobs += 1
        environment = self.environment(port)
        words = [program, "start", source, f"/tempZone/home/rods/t{self.jobs}", "--synchronous", "--job_name", "j", *flags]
        subprocess.run(words, env=environment, check=True, capture_output=True)
        told = subprocess.run([program, "status", "j", "--json"], env=environment, check=True, capture_output=True, text=True).stdout
        return seconds_of(json.loads(told))


def shown(amount, seconds):
    rates = [amount / value for value in seconds]
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def table(args, site, head, amount, source, choices):
    """A line for each delay and program, a column for each of the choices, which are names and flags."""
    print(f"| {head} | " + " | ".join(choices) + " |\n|" + "---|" * (len(choices) + 1))
    for delay in args.delays:
        started = multiprocessing.Queue()
        there = multiprocessing.Process(target=proxy, args=(site.port, delay / 1000, started), daemon=True)
        there.start()
        port = started.get()
        took = {}
        for _ in range(args.rounds):
            for name, flags in choices.items():
                for program in args.programs:
                    took.setdefault((program, name), []).append(site.seconds(program, port, source, *flags))
        there.terminate()
        for program in args.programs:
            label = f"{delay:g} ms" + (f", {program}" if len(args.programs) > 1 else "")
            print(f"| {label} | " + " | ".join(shown(amount, took[program, name]) for name in choices) + " |", flush=True)
    print()


def main():
    args = arguments()
    args.programs = [program.absolute() for program in args.programs]
    with tempfile.TemporaryDirectory(prefix="irods-far-") as work:
        work = pathlib.Path(work)
        for number in range(args.files):
            path = work / f"small/d{number // 500:03}/f{number:06}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (work / "large").mkdir()
        with open(work / "large/f", "wb") as file:
            for _ in range(args.mib):
                file.write(os.urandom(1 << 20))
        site = Site(work, args.programs[0])
        try:
            widths = {f"{width} tasks at once" if width != "auto" else "auto": ["--concurrency", width] for width in WIDTHS}
            table(args, site, "files registered in a second", args.files, work / "small", widths)
            put = ["--operation", "PUT", "--concurrency", "1", "--transfer_streams"]
            table(args, site, "MiB uploaded in a second", args.mib, work / "large", {f"{n} connections": [*put, n] for n in STREAMS})
        finally:
            site.zone.terminate()
            site.zone.wait()
    print(f"{os.cpu_count()} cores, {args.rounds} rounds, load at the end {os.getloadavg()[0]:.1f}")


main()
