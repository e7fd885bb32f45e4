"""Compares a source directory with a collection, through python-irodsclient alone.

    IRODS_ENVIRONMENT_FILE=... reads.py SOURCE COLLECTION registered|uploaded

Every name, size, time, checksum and byte must be the source's. A link that is registered is itself, one that is uploaded is
the file it points to. Prints how much it compared; any difference is an AssertionError.
"""

import base64
import hashlib
import os
import sys

from irods.collection import iRODSCollection
from irods.exception import CollectionDoesNotExist, DataObjectDoesNotExist
from irods.helpers import make_session
from irods.models import Collection, DataObject


def checksum(content):
    return "sha2:" + base64.b64encode(hashlib.sha256(content).digest()).decode()


def tree(source, stat):
    """Directories and files, by path below the source."""
    directories, files = set(), {}
    for where, names, leaves in os.walk(source):
        relative = os.path.relpath(where, source)
        directories.update(os.path.normpath(os.path.join(relative, name)) for name in names)
        for leaf in leaves:
            files[os.path.normpath(os.path.join(relative, leaf))] = stat(os.path.join(where, leaf))
    return directories, files


def main(source, top, how):
    source = os.path.realpath(source)
    directories, files = tree(source, os.lstat if how == "registered" else os.stat)
    with make_session() as session:
        # Listing: by walking.
        seen_collections, seen_objects = set(), set()
        for collection, _, objects in session.collections.get(top).walk():
            relative = os.path.relpath(collection.path, top)
            if relative != ".":
                seen_collections.add(relative)
            for obj in objects:
                seen_objects.add(os.path.normpath(os.path.join(relative, obj.name)))
        assert seen_collections == directories, seen_collections ^ directories
        assert seen_objects == files.keys(), seen_objects ^ files.keys()

        # Listing: by one query over everything.
        query = session.query(Collection.name, DataObject.name, DataObject.size, DataObject.replica_status)
        rows = [row for row in query if (row[Collection.name] + "/").startswith(top + "/")]
        found = {os.path.relpath(f"{row[Collection.name]}/{row[DataObject.name]}", top): row for row in rows}
        assert len(rows) == len(found) == len(files), (len(rows), len(files))
        for name, row in found.items():
            assert (row[DataObject.size], row[DataObject.replica_status]) == (files[name].st_size, "1"), (name, row)

        # Each by itself.
        read = 0
        for name, stat in files.items():
            path = f"{top}/{name}"
            obj = session.data_objects.get(path)
            assert (obj.name, obj.size, obj.path) == (os.path.basename(name), stat.st_size, path), (name, obj)
            assert len(obj.replicas) == 1 and obj.replicas[0].status == "1", (name, obj.replicas)
            if how == "registered":
                assert obj.replicas[0].path == os.path.join(source, name), obj.replicas[0].path
                assert int(obj.modify_time.timestamp()) == int(stat.st_mtime), (name, obj.modify_time)
                if os.path.islink(obj.replicas[0].path):
                    continue
            with open(os.path.join(source, name), "rb") as file:
                content = file.read()
            with session.data_objects.open(path, "r") as file:
                there = file.read()
            assert there == content, f"{name}: {len(there)} other bytes"
            assert session.data_objects.chksum(path) == checksum(content), name
            assert session.data_objects.get(path).checksum == checksum(content), name
            read += len(content)
            if len(content) > 100:
                with session.data_objects.open(path, "r") as file:
                    file.seek(-100, os.SEEK_END)
                    assert file.read() == content[-100:], name
        for name in directories:
            collection = session.collections.get(f"{top}/{name}")
            assert isinstance(collection, iRODSCollection) and collection.name == os.path.basename(name)

        # What does not exist does not.
        for get, name, error in [
            (session.data_objects.get, "no such object", DataObjectDoesNotExist),
            (session.collections.get, "no such collection", CollectionDoesNotExist),
        ]:
            try:
                get(f"{top}/{name}")
            except error:
                continue
            raise AssertionError(f"{name} was found")

        # A whole large file, with as many threads as the client likes.
        largest = max(files, key=lambda name: files[name].st_size)
        local = os.path.join(os.environ["SCRATCH"], "got")
        session.data_objects.get(f"{top}/{largest}", local)
        with open(local, "rb") as got, open(os.path.join(source, largest), "rb") as file:
            assert got.read() == file.read(), f"{largest} by get"
        os.remove(local)
    print(f"compared {len(files)} files, {len(directories)} directories, {read} bytes")


main(*sys.argv[1:])
