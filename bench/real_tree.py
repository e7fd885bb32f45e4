#!/usr/bin/env python3
"""Ingests a real tree and says how fast: the Rust toolchain's own files, copied so that they can be changed.

    bench/real_tree.py [--files 20000] [--concurrency N] [--irods_sync target/release/irods_sync] [--work DIR]

For REGISTER_SYNC and PUT_SYNC, each into a fresh embedded zone: a first run, a second one with nothing changed, and one
after 100 files were touched, grown or replaced. Prints a table in Markdown and checks what must hold: nothing failed,
nothing is sent for unchanged files, and just the changed files are done again.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

SETTLE_SECONDS = 3  # younger files count as changed, since a write could still hide in the same clock tick


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20000, help="how many files of the toolchain are taken")
    parser.add_argument("--concurrency", type=int, default=os.cpu_count(), help="tasks at the same time")
    parser.add_argument("--irods_sync", default="target/release/irods_sync", help="the program")
    parser.add_argument("--work", help="where trees and zones are made; a temporary directory if not given")
    parser.add_argument("--tree", help="take the files from here instead of the toolchain")
    return parser.parse_args()


def copy_tree(wanted, source, target):
    """The first `wanted` regular files of the source, in byte order of their paths."""
    taken = size = 0
    for directory, names, files in os.walk(source):
        names.sort()
        for name in sorted(files):
            path = os.path.join(directory, name)
            if os.path.islink(path):
                continue
            there = os.path.join(target, os.path.relpath(path, source))
            os.makedirs(os.path.dirname(there), exist_ok=True)
            shutil.copy2(path, there)
            taken, size = taken + 1, size + os.path.getsize(there)
            if taken == wanted:
                return taken, size
    sys.exit(f"{source} has only {taken} files, {wanted} are wanted")


def change(tree, how_many=100):
    """Touches, grows and replaces, a third each."""
    paths = sorted(os.path.join(d, f) for d, _, files in os.walk(tree) for f in files)
    for n, path in enumerate(paths[:: max(1, len(paths) // how_many)][:how_many]):
        if n % 3 == 0:
            os.utime(path)
        elif n % 3 == 1:
            with open(path, "ab") as file:
                file.write(b"grown\n")
        else:
            with open(path + ".new", "wb") as file:
                file.write(b"replaced " + os.urandom(16))
            os.replace(path + ".new", path)


def run(args, work, tree, zone, operation):
    env = dict(os.environ, XDG_STATE_HOME=os.path.join(work, "state"))
    name = f"bench-{time.time_ns()}"
    command = [args.irods_sync, "start", tree, "/tempZone/home/rods/bench", "--embedded_zone", zone, "--synchronous",
               "--operation", operation, "--concurrency", str(args.concurrency), "--job_name", name]
    began = time.monotonic()
    done = subprocess.run(["/usr/bin/env", "time", "-f", "%M", *command] if shutil.which("time") else command,
                          env=env, capture_output=True, text=True)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    status = subprocess.run([args.irods_sync, "status", name, "--json"], env=env, capture_output=True, text=True, check=True)
    calls = re.search(r"([\d,]+) iRODS calls", done.stdout)
    return seconds, json.loads(status.stdout), calls.group(1) if calls else "?"


def main():
    args = arguments()
    sysroot = args.tree or subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    work = args.work or tempfile.mkdtemp(prefix="irods-bench-")
    os.makedirs(os.path.join(work, "state"), exist_ok=True)
    print("| operation | run | files | registered | uploaded | updated | skipped | failed | iRODS calls | s | files/s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for operation in ["REGISTER_SYNC", "PUT_SYNC"]:
        tree, zone = os.path.join(work, f"tree-{operation}"), os.path.join(work, f"zone-{operation}")
        files, size = copy_tree(args.files, sysroot, tree)
        time.sleep(SETTLE_SECONDS)
        for label in ["first", "unchanged", "100 changed"]:
            if label == "100 changed":
                change(tree)
                time.sleep(SETTLE_SECONDS)
            seconds, status, calls = run(args, work, tree, zone, operation)
            t = status["totals"]
            print(f"| {operation} | {label} | {t['files_seen']} | {t['registered']} | {t['uploaded']} | {t['updated']} "
                  f"| {t['skipped_unchanged']} | {t['failed']} | {calls} | {seconds:.1f} | {files / seconds:.0f} |", flush=True)
            done = t["registered"] + t["uploaded"] + t["updated"] + t["appended"]
            expected = {"first": files, "unchanged": 0, "100 changed": 100}[label]
            if (done, t["failed"]) != (expected, 0):
                sys.exit(f"{label}: {done} done and {t['failed']} failed, {expected} and 0 were expected")
        shutil.rmtree(tree)
        shutil.rmtree(zone)
    print(f"\n{files} files, {size / 1e6:.0f} MB, {args.concurrency} tasks at a time.")
    if not args.work:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
