#!/usr/bin/env python3
"""Counts the instructions that a file costs, which are the same on a busy machine: a slow-down shows wherever this runs.

    bench/instructions.py [--files 2000] [--program target/release/irods_sync] [--save | --check]

Needs valgrind. Each work is done by one worker under callgrind with a tree of so many files and with one of twice as many, 100 in a
directory; the difference is what the files alone cost, with all that the process does for them: scan, plan, broker, calls. The zone is a process of its own,
and is not counted. Prints a table; --save keeps it in docs/performance.md and the counts in docs/instructions.json; --check ends with 1 if
any of the kept ones is exceeded by more than a tenth.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from machine import save_on_page, start_zone

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEPT = ROOT / "docs/instructions.json"
# What is counted, in the order in which it is done: names and words. What was ingested is planned and scanned again.
START = ["start", "--synchronous", "--concurrency", "1", "--job_name", "j"]
WORKS = {
    "plan of new files": ["plan"],
    "register": START,
    "scan again, nothing changed": START,
    "scan again, with the catalog": [*START, "--compare_catalog"],
    "plan, nothing changed": ["plan", "--compare_catalog"],
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--program", type=pathlib.Path, default=target / "release/irods_sync")
    then = parser.add_mutually_exclusive_group()
    then.add_argument("--save", action="store_true", help="keep what is counted")
    then.add_argument("--check", action="store_true", help="compare with what is kept")
    return parser.parse_args()


def count(program, work, files):
    """Instructions by work."""
    source = work / "src"
    for number in range(files):
        directory = source / f"d{number // 100:04}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"f{number:06}"
        path.touch()
        # Old, since a scan looks again at what may still be written to.
        os.utime(path, (1e9, 1e9))
    environment = {"PATH": os.environ["PATH"], "HOME": str(work), "XDG_STATE_HOME": str(work)}
    environment["IRODS_ENVIRONMENT_FILE"] = str(work / "zone/irods_environment.json")
    zone = start_zone(program, work / "zone", env=environment)
    try:
        counts = {}
        for name, (verb, *flags) in WORKS.items():
            out = work / "callgrind.out"
            words = ["valgrind", "--tool=callgrind", "--fair-sched=yes", f"--callgrind-out-file={out}", program, verb, source, "/tempZone/home/rods/t", *flags]
            done = subprocess.run(words, env=environment, cwd=work, text=True, capture_output=True)
            if done.returncode:
                sys.exit(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
            counts[name] = int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)[1])
            print(f"{files} files: {name}: {counts[name]:,}", file=sys.stderr, flush=True)
        return counts
    finally:
        zone.terminate()
        zone.wait()


def main():
    args = arguments()
    found = []
    for files in (args.files, 2 * args.files):
        with tempfile.TemporaryDirectory(prefix="irods-count-") as work:
            found.append(count(args.program.absolute(), pathlib.Path(work), files))
    few, many = found
    each = {name: round((many[name] - few[name]) / args.files) for name in WORKS}
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    lines = ["| work | instructions a file | kept | ratio |", "|---|---|---|---|"]
    for name, counted in each.items():
        before = kept.get(name)
        lines.append(f"| {name} | {counted:,} | {before:,} | {counted / before:.2f} |" if before else f"| {name} | {counted:,} | | |")
    print("\n".join(lines))
    if args.save:
        KEPT.write_text(json.dumps(each, indent=1) + "\n")
        table = ["| work | instructions a file |", "|---|---|", *(f"| {name} | {counted:,} |" for name, counted in each.items()), ""]
        save_on_page("bench/instructions.py", "\n".join(table))
    if args.check and any(counted > 1.1 * kept.get(name, counted) for name, counted in each.items()):
        sys.exit("what is kept is exceeded by more than a tenth")


main()
