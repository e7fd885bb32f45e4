#!/usr/bin/env python3
"""Compares irods_sync with the Python tool on the same zone, and both with bare loops, find and cp.

    bench/compare [--rounds 3] [--workers N] [--rows small10k put10k ...] [--python_files 10000] [--large_mib 4096] [--work DIR]
                  [--save]

Both tools have a worker that runs all the time, with the same number of tasks at once and the same Redis; a job is timed from
the command that starts it to its end. Rounds are interleaved: each tool and each limit once, then again. The zone is an
embedded one in a process of its own, or the real one that IRODS_ENVIRONMENT_FILE names (which then has to see the files of
--work under the same paths). The Python tool is left out of trees with more than --python_files files, which would take it hours.
Prints tables in Markdown; --save writes them into docs/performance.md, with docs/compare.json and docs/compare.svg.
Needs release builds: cargo build --release --bins --examples, of the whole workspace.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile

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
    parser.add_argument("--work", help="where zone and trees are made; a temporary directory if not given")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--program", type=pathlib.Path, default=target / "release/irods_sync")
    parser.add_argument("--save", action="store_true", help="write the page, the data and the plot")
    return parser.parse_args()


def measure(name, row, site, tools, args):
    """Seconds by (step, who), of each round."""
    tree = site.work / "tree"
    row.make(tree)
    if row.mib:
        # Leaves memory that has been used before; see `Site.level`.
        rows.cp(site, tree, row.files, args.workers)
    trees.settle()
    took = {}
    for number in range(args.rounds):
        # Who goes first alternates, since caches of the machine are warm for the second.
        turn = tools if number % 2 == 0 else tools[::-1]
        for at, step in enumerate(row.steps):
            if step.changes:
                trees.change(tree)
                trees.settle()
            for tool in turn:
                if tool.name == "python" and row.files > args.python_files:
                    continue
                first = next(n for n in range(at, -1, -1) if not row.steps[n].again)
                target = f"{site.home}/{tool.name}-{name}-{os.getpid()}-{number}-{first}"
                flags = step.flags_of_python if tool.name == "python" else step.flags
                site.level()
                seconds = tool.seconds(tree, target, step.operation, step.hooks, flags)
                took.setdefault((step.label, tool.name), []).append(seconds)
                print(f"{row.name}: {step.label}: {tool.name}: {seconds:.2f} s", file=sys.stderr, flush=True)
            for label, limit in step.limits:
                took.setdefault((step.label, label), []).append(limit(site, tree, row.files, args.workers))
    shutil.rmtree(tree)
    return took


def main():
    args = arguments(list(rows.all_rows(0)))
    all_rows = rows.all_rows(args.large_mib)
    python = reference()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="irods-compare-", dir=args.work) as work:
        site = Site(pathlib.Path(work), args.program.absolute())
        try:
            tools = [Ours(site, args.workers), Reference(site, args.workers, python)]
            found = []
            for name in args.rows:
                found.append((all_rows[name], measure(name, all_rows[name], site, tools, args)))
            peaks = {tool.name: tool.peak() for tool in tools}
        finally:
            site.close()
    about = report.About(args.rounds, args.workers, (load, os.getloadavg()[0]), peaks, site.foreign)
    text = report.markdown(found, about)
    print(text)
    if args.save:
        report.save(text, found, about)


main()
