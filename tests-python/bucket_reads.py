"""Makes a resource of type s3, or reads objects that are registered on it, through python-irodsclient alone.

    IRODS_ENVIRONMENT_FILE=... bucket_reads.py make NAME VAULT CONTEXT
    IRODS_ENVIRONMENT_FILE=... bucket_reads.py read COLLECTION

Every object below COLLECTION must hold "content of " and its path there, but for one named "empty", and its checksum must be that of what it
holds. Prints how many there are.
"""

import base64
import hashlib
import sys

from irods.helpers import make_session


def main(what, *arguments):
    with make_session() as session:
        if what == "make":
            name, vault, context = arguments
            session.resources.create(name, "s3", session.host, vault, context)
            return
        [top] = arguments
        count = 0
        for collection, _, objects in session.collections.get(top).walk():
            for found in objects:
                key = found.path[len(top) + 1 :]
                expected = b"" if key == "empty" else f"content of {key}".encode()
                with found.open("r") as opened:
                    assert opened.read() == expected, found.path
                checksum = base64.b64encode(hashlib.sha256(expected).digest()).decode()
                assert found.chksum() == f"sha2:{checksum}", found.path
                assert found.size == len(expected), found.path
                count += 1
        print(count)


main(*sys.argv[1:])
