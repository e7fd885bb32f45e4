#!/usr/bin/env python3
"""Measures the peak memory of a worker against the number of files: generated empty ones, at most 1,000 in a directory.

    bench/memory.py [--files 20000 200000] [--limit_mib 20] [--operation REGISTER_SYNC] [--irods_sync target/release/irods_sync]

Zone and worker are processes of their own, so that the worker alone is measured. Prints a table in Markdown; fails if the
peaks differ by more than the limit.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from machine import peak_of, start_zone


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[20_000, 200_000], help="numbers of files")
    parser.add_argument("--limit_mib", type=float, default=20, help="how far the peaks may differ")
    parser.add_argument("--operation", default="REGISTER_SYNC", help="REGISTER_SYNC, PUT_SYNC, ...")
    parser.add_argument("--concurrency", type=int, default=os.cpu_count(), help="tasks at the same time")
    parser.add_argument("--irods_sync", default="target/release/irods_sync", help="the program")
    return parser.parse_args()


def make_tree(top, files):
    for number in range(files):
        directory = f"{top}/d{number // 100_000}/e{number // 1000}"
        if number % 1000 == 0:
            os.makedirs(directory)
        open(f"{directory}/f{number}", "x").close()


def measure(args, files):
    """Seconds, and the peak in MiB."""
    work = tempfile.mkdtemp(prefix="irods-memory-")
    env = dict(os.environ, XDG_STATE_HOME=work, IRODS_ENVIRONMENT_FILE=f"{work}/zone/irods_environment.json")
    program = os.path.abspath(args.irods_sync)
    children = []

    def run(*words):
        return subprocess.run([program, *words], env=env, check=True, capture_output=True, text=True).stdout

    def spawn(*words, **options):
        children.append(subprocess.Popen([program, *words], env=env, text=True, **options))
        return children[-1]

    try:
        make_tree(f"{work}/tree", files)
        children.append(start_zone(program, f"{work}/zone", env=env))
        run("start", f"{work}/tree", "/tempZone/home/rods/memory", "--job_name", "memory", "--operation", args.operation)
        began = time.monotonic()
        worker = spawn("worker", "--concurrency", str(args.concurrency), stderr=subprocess.DEVNULL)
        run("watch", "memory")
        seconds = time.monotonic() - began
        totals = json.loads(run("status", "memory", "--json"))["totals"]
        if totals["registered"] + totals["uploaded"] != files or totals["failed"]:
            sys.exit(f"{files} files, but {totals}")
        return seconds, peak_of(worker.pid)
    finally:
        for child in reversed(children):
            child.terminate()
            child.wait()
        shutil.rmtree(work)


def main():
    args = arguments()
    print("| operation | files | worker's peak, MiB | s | files/s |")
    print("|---|---|---|---|---|")
    peaks = []
    for files in args.files:
        seconds, peak = measure(args, files)
        peaks.append(peak)
        print(f"| {args.operation} | {files:,} | {peak:.1f} | {seconds:.1f} | {files / seconds:.0f} |", flush=True)
    spread = max(peaks) - min(peaks)
    print(f"\nThe peaks differ by {spread:.1f} MiB; {args.limit_mib:g} MiB are allowed.")
    sys.exit(spread > args.limit_mib)


if __name__ == "__main__":
    main()
