"""An S3 server of other people's making (moto), with a bucket that is filled as it is told.

Prints the port, then answers each line of JSON on its input with one:
  {"put": {KEY: TEXT}}           objects, each uploaded at once
  {"parts": {KEY: [TEXT, ...]}}  objects, each uploaded in parts
  {"delete": [KEY, ...]}
  {"many": PREFIX, "count": N}   N objects PREFIX0000000, ... with their keys as content
"""
import json
import sys

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = boto3.client(
    "s3",
    endpoint_url=f"http://{host}:{port}",
    aws_access_key_id="access",
    aws_secret_access_key="secret",
    region_name="us-east-1",
)
s3.create_bucket(Bucket=BUCKET)
objects = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
print(json.dumps(port), flush=True)


def in_parts(key, texts):
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    parts = []
    for number, text in enumerate(texts, 1):
        name = dict(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number)
        etag = s3.upload_part(Body=text.encode(), **name)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )


for line in sys.stdin:
    wish = json.loads(line)
    for key, text in wish.get("put", {}).items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
    for key, texts in wish.get("parts", {}).items():
        in_parts(key, texts)
    for key in wish.get("delete", []):
        s3.delete_object(Bucket=BUCKET, Key=key)
    # Not through the server, which takes its time.
    for number in range(wish.get("count", 0)):
        key = f"{wish['many']}{number:07}"
        objects.put_object(BUCKET, key, key.encode())
    print(json.dumps("done"), flush=True)
