#!/usr/bin/env python3
"""Measures what an event handler in Python costs: the same files are registered without one and with several, in turns.

    bench/handlers.py [--files 3000] [--rounds 3] [--program target/release/irods_sync]

Prints medians: milliseconds a file, and how many more than without a handler.
"""

import argparse
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAD = """
from irods_capability_automated_ingest.core import Core
from irods_capability_automated_ingest.utils import Operation
class event_handler(Core):
"""
SETTING = """
    @staticmethod
    def operation(session, meta, **options):
        return Operation.REGISTER_SYNC if meta["path"] else Operation.NO_OP
"""
HOOK = """
    @staticmethod
    def {}_data_obj_create(hdlr_mod, logger, session, meta, *args, **options):
        pass
"""
HANDLERS = {
    "no handler": None,
    "operation, the same for all": HEAD + "    @staticmethod\n    def operation(s, m, **o):\n        return Operation.REGISTER_SYNC\n",
    "operation, asked for each file": HEAD + SETTING,
    "an empty post hook": HEAD + HOOK.format("post"),
    "empty pre and post hooks": HEAD + HOOK.format("pre") + HOOK.format("post"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/irods_sync")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        source = work / "src"
        for number in range(args.files):
            directory = source / f"d{number // 500}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"f{number}").write_text("x")
        took = {name: [] for name in HANDLERS}
        for turn in range(args.rounds):
            for number, (name, text) in enumerate(HANDLERS.items()):
                command = [args.program.resolve(), "start", source, f"/tempZone/home/rods/t{turn}x{number}", "--synchronous"]
                command += ["--embedded_zone", work / "zone", "--broker", f"sqlite:{work}/broker", "--concurrency", "2"]
                if text is not None:
                    (work / "handler.py").write_text(text)
                    command += ["--event_handler", work / "handler.py"]
                began = time.monotonic()
                subprocess.run(command, check=True, capture_output=True)
                took[name].append((time.monotonic() - began) * 1000 / args.files)
    plain = statistics.median(took["no handler"])
    print("| handler | ms a file | more than without | ratio |\n|---|---|---|---|")
    for name, values in took.items():
        middle = statistics.median(values)
        print(f"| {name} | {middle:.2f} | {middle - plain:.2f} | {middle / plain:.2f} |")


main()
