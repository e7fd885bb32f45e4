#!/usr/bin/env python3
"""Feeds millions of files that do not exist through a broker with two workers, and says how fast and at what cost.

Needs a release build of the example: cargo build --release --workspace --example queue_scale

    bench/queue_scale.py sqlite|redis [--files 1000000] [--per-directory 50] [--workers 2] [--concurrency 4]

Prints one JSON object: files a second through accounting, processor time of the workers and of Redis (which says more than the
rate where others use the machine as well), peak memory of Redis or size of the SQLite file, resident memory of the workers, bytes
of cache a file.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from machine import Redis, peak_of

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def program():
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "release", "examples", "queue_scale")


def processor_seconds_of_ended_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_peak(pid):
    """Bytes; none of one that has ended."""
    try:
        return round(peak_of(pid) * (1 << 20))
    except OSError:
        return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=["sqlite", "redis"])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--per-directory", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(folder) if given.engine == "redis" else None
        path = os.path.join(folder, "broker.sqlite3")
        broker = f"redis://127.0.0.1:{redis.port}/0" if redis else f"sqlite:{path}"
        try:
            directories = given.files // given.per_directory
            subprocess.run([program(), "start", broker, str(directories), str(given.per_directory)], check=True)
            empty = redis.memory()["used_memory"] if redis else 0
            redis_before = redis.processor_seconds() if redis else 0
            workers_before = processor_seconds_of_ended_children()
            began = time.monotonic()
            work = [program(), "work", broker, str(given.concurrency)]
            workers = [subprocess.Popen(work, stdout=subprocess.PIPE, text=True) for _ in range(given.workers)]
            resident = 0
            while any(worker.poll() is None for worker in workers):
                resident = max([resident] + [resident_peak(worker.pid) for worker in workers])
                time.sleep(0.05)
            took = time.monotonic() - began
            totals = [json.loads(worker.stdout.read()) for worker in workers]
            files = directories * given.per_directory
            if any(worker.returncode for worker in workers) or totals[0]["registered"] != files:
                sys.exit(f"not all of {files} were accounted for: {totals}")
            workers_used = processor_seconds_of_ended_children() - workers_before
            result = {
                "engine": given.engine,
                "files": files,
                "directories": directories,
                "seconds": round(took, 1),
                "files_per_second": round(files / took),
                "worker_microseconds_per_file": round(workers_used / files * 1e6, 2),
                "worker_resident_peak_bytes": resident,
            }
            if redis:
                memory = redis.memory()
                redis_used = redis.processor_seconds() - redis_before
                result["redis_microseconds_per_file"] = round(redis_used / files * 1e6, 2)
                result["redis_peak_bytes"] = memory["used_memory_peak"]
                result["cache_bytes_per_file"] = round((memory["used_memory"] - empty) / files, 1)
            else:
                sizes = [os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end)]
                result["sqlite_bytes"] = sum(sizes)
                result["cache_bytes_per_file"] = round(os.path.getsize(path) / files, 1)
            print(json.dumps(result))
        finally:
            if redis:
                redis.close()


if __name__ == "__main__":
    main()
