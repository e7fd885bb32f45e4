"""The trees that are ingested. Each is made anew where it is asked for, with times old enough to be trusted by a rescan."""

import os
import pathlib
import time

# A rescan looks again at files that are younger than this, since a write could still hide in the same tick of the clock.
SETTLE_SECONDS = 3


def small(top: pathlib.Path, files: int, size: int = 0, per_directory: int = 500):
    """`files` files of `size` bytes, `per_directory` in each directory."""
    content = os.urandom(size)
    for number in range(files):
        directory = top / f"d{number // per_directory:05}"
        if number % per_directory == 0:
            directory.mkdir(parents=True)
        with open(directory / f"f{number:07}", "wb") as file:
            file.write(content)


def deep(top: pathlib.Path, directories: int):
    """Directories below each other, one file in each: chains of 50, since paths have a limit."""
    for number in range(directories):
        directory = top / f"c{number // 50:04}" / "/".join(f"d{level}" for level in range(number % 50 + 1))
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "f").touch()


def large(top: pathlib.Path, files: int, mib: int):
    """`files` files of `mib` MiB that no storage can compress."""
    top.mkdir(parents=True)
    for number in range(files):
        with open(top / f"f{number}", "wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1 << 20))


def change(top: pathlib.Path, share: float = 0.01):
    """Writes to a share of the files; how many."""
    paths = sorted(os.path.join(directory, name) for directory, _, names in os.walk(top) for name in names)
    chosen = paths[:: int(1 / share)]
    for path in chosen:
        with open(path, "ab") as file:
            file.write(b"more\n")
    return len(chosen)


def settle():
    """Lets what was written become old."""
    time.sleep(SETTLE_SECONDS)
