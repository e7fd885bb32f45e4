"""What is measured: trees, and what is done with each in what order."""

import dataclasses
import hashlib
import pathlib
import shutil
import subprocess
import time
from typing import Callable

import trees


@dataclasses.dataclass
class Step:
    """One line of the table. `again` goes on with the collection of the steps before, where others begin with an empty one."""

    label: str
    operation: str = "REGISTER_SYNC"
    again: bool = False
    changes: bool = False
    hooks: bool = False
    flags: tuple = ()
    flags_of_python: tuple = ()
    # The Python tool can do it too.
    python: bool = True
    # Bare ways to the same end: labels, and functions of site, tree, number of files and workers that tell their seconds.
    limits: tuple = ()


@dataclasses.dataclass
class Row:
    """A tree, or as many objects of a bucket, and the steps done with it by each tool in turn. Rates are of files, or of MiB where `mib`
    is not zero."""

    name: str
    files: int
    make: Callable | None
    steps: tuple
    mib: int = 0
    bucket: bool = False


def find(site, tree: pathlib.Path, files, workers) -> float:
    """What any scan has to do at least."""
    site.level()
    began = time.monotonic()
    subprocess.run(["find", tree, "-printf", "%p %s %T@ %C@\\n"], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def copy(*command):
    """A copy on the same file system by this command, down to the disk; it is removed again."""

    def limit(site, tree, files, workers):
        there = tree.parent / "copy"
        site.level()
        began = time.monotonic()
        subprocess.run([*command, f"{tree}/", there], check=True)
        subprocess.run(["sync", "-f", there], check=True)
        took = time.monotonic() - began
        shutil.rmtree(there)
        return took

    return limit


cp, rsync = copy("cp", "-r"), copy("rsync", "-a")


def sha256(site, tree, files, workers):
    """The files of the tree, which the machine has in memory."""
    began = time.monotonic()
    for path in tree.iterdir():
        with open(path, "rb") as file:
            hashlib.file_digest(file, "sha256")
    return time.monotonic() - began


def bare(what: str):
    """The same calls without a tool around them, over as many connections as the tools have workers."""

    def limit(site, tree, files, workers):
        examples = site.program.parent / "examples"
        collection = f"{site.home}/bare{time.time_ns()}"
        words = [examples / "zone_rates", site.environment_file, collection, what, str(workers), str(files)]
        return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    return limit


def small(name: str, files: int):
    """The life of a tree of empty files that are registered."""
    return Row(
        f"{name} small files",
        files,
        lambda top: trees.small(top, files),
        (
            Step("register", limits=(("bare loop of registers", bare("register")), ("the same, 16 sent at once", bare("register_ahead")))),
            Step("rescan, nothing changed", again=True, limits=(("find", find),)),
            Step("rescan, 1 % changed", again=True, changes=True),
            Step("rescan against the catalog", again=True, flags=("--compare_catalog",), flags_of_python=("--ignore_cache",)),
        ),
    )


def all_rows(large_mib: int):
    """By the names that `--rows` takes."""
    copies = (("cp and sync", cp),) + ((("rsync and sync", rsync),) if shutil.which("rsync") else ())
    put = "PUT_SYNC"
    return {
        "small10k": small("10k", 10_000),
        "small100k": small("100k", 100_000),
        "small1m": small("1M", 1_000_000),
        "direct10k": Row(
            "10k small files, rows written",
            10_000,
            lambda top: trees.small(top, 10_000),
            (
                Step(
                    "register",
                    flags=("--direct_register", "--resource", "demoResc"),
                    limits=(("bare loop of rows (619)", bare("register_row")), ("bare loop of 50 rows (688)", bare("register_rows"))),
                ),
            ),
        ),
        "put10k": Row(
            "10k files of 4 KiB",
            10_000,
            lambda top: trees.small(top, 10_000, 4096),
            (Step("put", put, limits=(("bare loop of puts", bare("put")), *copies)),),
        ),
        "large": Row(
            f"1 file of {large_mib:,} MiB",
            1,
            lambda top: trees.large(top, 1, large_mib),
            (
                Step("put", put, limits=copies),
                Step("put, the zone computes a checksum", put, flags=("--checksum=register",), python=False),
                Step(
                    "put, both compute a checksum",
                    put,
                    flags=("--checksum=verify",),
                    python=False,
                    limits=(*copies, ("SHA-256 on one core", sha256)),
                ),
            ),
            large_mib,
        ),
        "large4": Row(
            f"4 files of {large_mib // 4:,} MiB",
            4,
            lambda top: trees.large(top, 4, large_mib // 4),
            (Step("put", put, limits=copies),),
            large_mib,
        ),
        "deep": Row("10k directories of 1 file", 10_000, lambda top: trees.deep(top, 10_000), (Step("register"), Step("rescan", again=True))),
        "wide": Row(
            "200k files in one directory",
            200_000,
            lambda top: trees.small(top, 200_000, 0, 200_000),
            (Step("register"), Step("rescan", again=True)),
        ),
        "hooks": Row("10k files, empty pre and post hooks", 10_000, lambda top: trees.small(top, 10_000), (Step("register", hooks=True),)),
        "bucket": Row("5k objects of a bucket", 5_000, None, (Step("register"), Step("rescan", again=True)), bucket=True),
        "start": Row("10 files", 10, lambda top: trees.small(top, 10), (Step("register, from the command to the end"),)),
    }
