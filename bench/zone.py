#!/usr/bin/env python3
"""Measures how fast the embedded zone answers one client, and writes the tables of docs/performance.md.

    bench/zone.py [--rounds 5] [--large_mib 1024] [--grown 100000] [--work DIR] [--print]

Zone and client are processes of their own on this machine (built if need be: target/release/examples/serve, zone_rates). The
measurements of a round follow each other, and the rounds each other, so that whatever else the machine does meets all
of them; medians are shown, with the slowest and fastest. --print writes no file.
"""

import argparse
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from machine import processors, save_on_page, use_free_memory

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONNECTIONS = [1, 4, 16]
# Calls of one measurement, about half a second's worth.
CALLS = {"stat": 5000, "register": 2500, "register_ahead": 5000, "put": 2000}
SAID = {"stat": "stat", "register": "register", "register_ahead": "register, 16 sent at once", "put": "put of 4 KiB"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large_mib", type=int, default=1024, help="size of the large file")
    parser.add_argument("--grown", type=int, default=100_000, help="objects in the catalog for the second table")
    parser.add_argument("--work", help="where zone and files are made; a temporary directory if not given")
    parser.add_argument("--print", action="store_true", help="print the tables, leave the page as it is")
    return parser.parse_args()


class Zone:
    """An embedded zone in a process of its own."""

    def __init__(self, examples, directory):
        self.examples, self.directory = examples, directory
        self.process = subprocess.Popen([examples / "serve", directory], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if line.startswith("IRODS_ENVIRONMENT_FILE="):
                self.environment = line.strip().split("=", 1)[1]
                return
        sys.exit("the zone did not start")

    def seconds(self, collection, what, connections, last):
        command = [self.examples / "zone_rates", self.environment, f"/tempZone/home/rods/{collection}"]
        command += [what, str(connections), str(last)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def cpu(self):
        """Seconds of processor time that the zone has used."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def shown(values):
    middle = statistics.median(values)
    return f"{middle:,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def small(zone, rounds, label):
    """Calls a second, and microseconds of the zone's processor time a call, by (what, connections), of each round."""
    rates = {(what, n): [] for what in CALLS for n in CONNECTIONS}
    costs = {(what, n): [] for what in CALLS for n in CONNECTIONS}
    zone.seconds(f"{label}-asked", "register", 1, 1000)
    for number in range(rounds):
        for what, count in CALLS.items():
            for n in CONNECTIONS:
                collection = f"{label}-asked" if what == "stat" else f"{label}-{number}-{what}-{n}"
                before = zone.cpu()
                rates[what, n].append(count / zone.seconds(collection, what, n, count))
                costs[what, n].append((zone.cpu() - before) / count * 1e6)
                print(".", end="", file=sys.stderr, flush=True)
    return rates, costs


def large(zone, rounds, work, mib):
    """MiB a second by way, of each round."""
    source, copy = work / "large", work / "copy"
    with open(source, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    rates = {way: [] for way in ("cp", "put, 1 connection", "put, 4 connections", "get")}

    def copied():
        began = time.monotonic()
        subprocess.run(["cp", source, copy], check=True)
        return time.monotonic() - began

    ways = {
        "cp": copied,
        "put, 1 connection": lambda: zone.seconds("large", "put_file", 1, source),
        "put, 4 connections": lambda: zone.seconds("large", "put_file", 4, source),
        "get": lambda: zone.seconds("large", "get_file", 1, copy),
    }
    zone.seconds("large", "register", 1, 1)
    for _ in range(rounds):
        for way, measure in ways.items():
            # Each begins with nothing of the others left to be written to the disk, and with memory that is as quick to write to.
            copy.unlink(missing_ok=True)
            os.sync()
            use_free_memory()
            rates[way].append(mib / measure())
            print(".", end="", file=sys.stderr, flush=True)
        if copy.read_bytes() != source.read_bytes():
            sys.exit("other bytes came back")
    copy.unlink()
    source.unlink()
    return rates


def measure(args, examples, work):
    """The tables, in Markdown."""
    lines = []
    zone = Zone(examples, work / "zone")
    rates, few = small(zone, args.rounds, "few")
    lines += ["| calls/s | " + " | ".join(f"{n} connection{'s' * (n > 1)}" for n in CONNECTIONS) + " |", "|---|" + "---|" * len(CONNECTIONS)]
    lines += [f"| {SAID[what]} | " + " | ".join(shown(rates[what, n]) for n in CONNECTIONS) + " |" for what in CALLS]
    transfers = large(zone, args.rounds, work, args.large_mib)
    # A thousand in each collection, as trees have them.
    for first in range(0, args.grown, 1000):
        zone.seconds(f"grown/{first}", "register", 4, 1000)
    _, many = small(zone, args.rounds, "many")
    zone.stop()
    lines += ["", f"| zone's processor time, µs a call, 4 connections | few objects | {args.grown:,} objects more | ratio |", "|---|---|---|---|"]
    for what in CALLS:
        ratio = statistics.median(many[what, 4]) / statistics.median(few[what, 4])
        lines.append(f"| {SAID[what]} | {shown(few[what, 4])} | {shown(many[what, 4])} | {ratio:.2f} |")
    lines += ["", f"| {args.large_mib:,} MiB | MiB/s | of `cp` |", "|---|---|---|"]
    copied = statistics.median(transfers["cp"])
    for way, values in transfers.items():
        lines.append(f"| {way} | {shown(values)} | {statistics.median(values) / copied:.2f} |")
    return lines


def main():
    args = arguments()
    build = ["cargo", "build", "--quiet", "--release", "--workspace", "--example", "serve", "--example", "zone_rates"]
    subprocess.run(build, cwd=ROOT, check=True)
    examples = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release/examples"
    work = pathlib.Path(args.work or tempfile.mkdtemp(prefix="irods-zone-"))
    load = os.getloadavg()[0]
    try:
        lines = measure(args, examples, work)
    finally:
        print(file=sys.stderr)
        if not args.work:
            shutil.rmtree(work, ignore_errors=True)
    lines += ["", f"{processors()}, {args.rounds} rounds; the machine's load was {load:.1f} when it began and {os.getloadavg()[0]:.1f} when it ended, of which the "
              "measurement itself is about 2. In brackets the slowest and the fastest round."]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.print:
        return
    save_on_page("bench/zone.py", text)


if __name__ == "__main__":
    main()
