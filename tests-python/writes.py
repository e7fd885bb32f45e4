"""Does everything that a client does by itself, through python-irodsclient alone, and leaves some of it behind.

    IRODS_ENVIRONMENT_FILE=... SCRATCH=DIR writes.py COLLECTION

COLLECTION must not exist. What is left in COLLECTION/left is told on stdout, one JSON object, for others to find.
"""

import base64
import contextlib
import hashlib
import json
import os
import sys

import irods.exception as ex
import irods.keywords as kw
from irods.access import iRODSAccess
from irods.column import Between, In, Like, NotLike
from irods.helpers import make_session
from irods.meta import AVUOperation, iRODSMeta
from irods.models import Collection, CollectionMeta, DataObject, DataObjectMeta, Resource, User
from irods.query import SpecificQuery
from irods.session import iRODSSession

SCRATCH = os.environ["SCRATCH"]
TOP = sys.argv[1]
ZONE = TOP.split("/")[1]
ODD = ["größe ✓", "it's", 'say "hi"', "back`tick`", "a & b <c>", "100%_like", " spaces  inside ", "\\"]


def checksum(content):
    return "sha2:" + base64.b64encode(hashlib.sha256(content).digest()).decode()


@contextlib.contextmanager
def refused(*errors):
    try:
        yield
    except errors:
        return
    raise AssertionError(f"{errors} was expected")


def local(name, content):
    path = os.path.join(SCRATCH, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def read(session, path, **options):
    with session.data_objects.open(path, "r", **options) as file:
        return file.read()


def write(session, path, content, **options):
    with session.data_objects.open(path, "w", **options) as file:
        file.write(content)


def collections(session):
    top = session.collections.create(TOP)
    deep = session.collections.create(f"{TOP}/a/b/c")
    assert deep.path == f"{TOP}/a/b/c" and session.collections.exists(f"{TOP}/a/b")
    for name in ODD:
        session.collections.create(f"{TOP}/odd/{name}/inner")
    assert {c.name for c in session.collections.get(f"{TOP}/odd").subcollections} == set(ODD)
    session.collections.move(f"{TOP}/a/b", f"{TOP}/a/moved")
    assert session.collections.exists(f"{TOP}/a/moved/c") and not session.collections.exists(f"{TOP}/a/b")
    with refused(ex.CAT_COLLECTION_NOT_EMPTY):
        session.collections.remove(f"{TOP}/a", recurse=False)
    session.collections.remove(f"{TOP}/a/moved/c", recurse=False)
    return top


def puts(session):
    small = local("small", b"small\n" * 100)
    session.data_objects.put(small, f"{TOP}/small")
    assert read(session, f"{TOP}/small") == b"small\n" * 100
    with refused(ex.OVERWRITE_WITHOUT_FORCE_FLAG):
        session.data_objects.put(small, f"{TOP}/small", **{kw.FORCE_FLAG_KW: False})
    empty = local("empty", b"")
    session.data_objects.put(empty, f"{TOP}/empty")
    assert session.data_objects.get(f"{TOP}/empty").size == 0
    # Beyond 32 MiB the client opens several connections and writes with all of them.
    block = bytes(range(256)) * 4096
    large = b"".join(block[n:] + block[:n] for n in range(41)) + b"end"
    path = local("large", large)
    session.data_objects.put(path, f"{TOP}/large", **{kw.VERIFY_CHKSUM_KW: ""})
    obj = session.data_objects.get(f"{TOP}/large")
    assert obj.size == len(large) and len(obj.replicas) == 1 and obj.replicas[0].status == "1", obj
    assert obj.chksum() == checksum(large)
    # And back, both ways of it.
    session.data_objects.get(f"{TOP}/large", path + ".back", **{kw.FORCE_FLAG_KW: ""})
    with open(path + ".back", "rb") as file:
        assert file.read() == large
    assert read(session, f"{TOP}/large") == large
    # Shorter over longer leaves nothing of the longer.
    session.data_objects.put(small, f"{TOP}/large", **{kw.FORCE_FLAG_KW: ""})
    assert read(session, f"{TOP}/large") == b"small\n" * 100
    for name in ODD:
        session.data_objects.put(small, f"{TOP}/odd/{name}/{name}")
        assert session.data_objects.get(f"{TOP}/odd/{name}/{name}").name == name
        assert read(session, f"{TOP}/odd/{name}/{name}") == b"small\n" * 100
    checked = session.data_objects.put(small, f"{TOP}/checked", return_data_object=True, **{kw.REG_CHKSUM_KW: ""})
    assert checked.checksum == checksum(b"small\n" * 100)
    for name in ["large", "large.back"]:
        os.remove(os.path.join(SCRATCH, name))


def streams(session):
    path = f"{TOP}/stream"
    write(session, path, b"0123456789")
    with session.data_objects.open(path, "a") as file:
        file.write(b"abc")
    with session.data_objects.open(path, "a") as file:
        file.write(b"def")
    assert read(session, path) == b"0123456789abcdef" and session.data_objects.get(path).size == 16
    with session.data_objects.open(path, "r+") as file:
        file.seek(4)
        file.write(b"XX")
        file.seek(-3, os.SEEK_END)
        assert file.read() == b"def"
    assert read(session, path) == b"0123XX6789abcdef"
    with session.data_objects.open(path, "r") as file:
        assert (file.read(3), file.tell(), file.readline()) == (b"012", 3, b"3XX6789abcdef")
    session.data_objects.truncate(path, 5)
    assert read(session, path) == b"0123X" and session.data_objects.get(path).size == 5
    write(session, path, b"new")
    assert read(session, path) == b"new"
    with refused(ex.DataObjectDoesNotExist, ex.CAT_NO_ROWS_FOUND, ex.OBJ_PATH_DOES_NOT_EXIST):
        read(session, f"{TOP}/none")
    with refused(ex.iRODSException):
        write(session, f"{TOP}/no/such/collection/x", b"x")


def renames(session):
    write(session, f"{TOP}/before", b"stays the same")
    was = session.data_objects.get(f"{TOP}/before").id
    session.data_objects.move(f"{TOP}/before", f"{TOP}/after it's <moved>")
    now = session.data_objects.get(f"{TOP}/after it's <moved>")
    assert now.id == was and now.open("r").read() == b"stays the same"
    assert not session.data_objects.exists(f"{TOP}/before")
    session.data_objects.move(now.path, f"{TOP}/a")
    assert session.data_objects.exists(f"{TOP}/a/after it's <moved>")
    with refused(ex.CAT_NAME_EXISTS_AS_DATAOBJ, ex.CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME):
        session.data_objects.move(f"{TOP}/stream", f"{TOP}/small")
    session.data_objects.copy(f"{TOP}/small", f"{TOP}/copy")
    assert read(session, f"{TOP}/copy") == read(session, f"{TOP}/small")


def metadata(session):
    obj = session.data_objects.get(f"{TOP}/small")
    obj.metadata.add("colour", "rot & <grün>", "it's \"a\" unit")
    obj.metadata.add("colour", "blue")
    obj.metadata.add(iRODSMeta("größe", "データ", "`m`"))
    found = {(m.name, m.value, m.units) for m in obj.metadata.items()}
    assert found == {("colour", "rot & <grün>", "it's \"a\" unit"), ("colour", "blue", None), ("größe", "データ", "`m`")}, found
    with refused(ex.CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME):
        obj.metadata.add("colour", "blue")
    obj.metadata.set(iRODSMeta("colour", "one"))
    assert [(m.value, m.units) for m in obj.metadata.get_all("colour")] == [("one", None)]
    assert obj.metadata["größe"].value == "データ"
    obj.metadata.remove("größe", "データ", "`m`")
    assert obj.metadata.keys() == ["colour"]
    obj.metadata.apply_atomic_operations(
        AVUOperation(operation="add", avu=iRODSMeta("x", "1")),
        AVUOperation(operation="add", avu=iRODSMeta("x", "2")),
        AVUOperation(operation="remove", avu=iRODSMeta("colour", "one")),
    )
    assert sorted(m.value for m in obj.metadata.items()) == ["1", "2"]
    collection = session.collections.get(f"{TOP}/odd")
    collection.metadata.add("kind", "odd")
    copy = session.data_objects.get(f"{TOP}/copy")
    session.metadata.copy(DataObject, DataObject, obj.path, copy.path)
    assert sorted(m.value for m in copy.metadata.items()) == ["1", "2"]
    user = session.users.get("rods")
    user.metadata.add("room", "0.17")
    assert user.metadata["room"].value == "0.17"
    user.metadata.remove("room", "0.17")


def queries(session):
    def names(query):
        return sorted(row[DataObject.name] for row in query)

    def in_top(*more):
        return session.query(DataObject.name).filter(Collection.name == TOP, *more)

    assert names(in_top()) == ["checked", "copy", "empty", "large", "small", "stream"], names(in_top())
    assert names(in_top(DataObject.size > 100, Like(DataObject.name, "%e%"))) == ["checked", "large"]
    assert names(in_top(In(DataObject.name, ["copy", "empty", "none"]))) == ["copy", "empty"]
    assert names(in_top(NotLike(DataObject.name, "%e%"))) == ["copy", "small"]
    assert names(in_top(Between(DataObject.size, (1, 10)))) == ["stream"]
    assert names(in_top(DataObjectMeta.name == "x", DataObjectMeta.value == "2")) == ["copy", "small"]
    tagged = session.query(Collection.name).filter(
        CollectionMeta.name == "kind", CollectionMeta.value == "odd", Like(Collection.name, f"{TOP}/%")
    )
    assert [row[Collection.name] for row in tagged] == [f"{TOP}/odd"]
    for name in ODD:
        exact = session.query(Collection.name, DataObject.name).filter(
            DataObject.name == name, Like(Collection.name, f"{TOP}/%")
        )
        assert [row[Collection.name] for row in exact] == [f"{TOP}/odd/{name}"], name
    total = session.query().sum(DataObject.size).filter(Collection.name == TOP).execute()
    assert next(iter(total))[DataObject.size] == 4 * 600 + 3, total
    total = session.query().count(DataObject.id).max(DataObject.size).filter(Collection.name == TOP).execute()
    row = next(iter(total))
    assert (row[DataObject.id], row[DataObject.size]) == (6, 600)
    ordered = in_top().order_by(DataObject.name, order="desc")
    assert [row[DataObject.name] for row in ordered] == ["stream", "small", "large", "empty", "copy", "checked"]
    # The limit is that of a page.
    assert len(list(in_top().limit(4))) == 6 and in_top().limit(1).first()[DataObject.name]
    # LIKE is case-sensitive, and % and _ are wild.
    assert names(in_top(Like(DataObject.name, "SMALL"))) == []
    assert names(in_top(Like(DataObject.name, "s_all"))) == ["small"]
    # More than one page.
    many = session.collections.create(f"{TOP}/many")
    for n in range(300):
        session.data_objects.create(f"{TOP}/many/{n:03}")
    paged = session.query(DataObject.name).filter(Collection.name == many.path)
    assert names(paged) == [f"{n:03}" for n in range(300)]
    assert len(many.data_objects) == 300
    assert len(list(session.query(User.name).filter(User.name == "rods"))) == 1
    assert "demoResc" in [row[Resource.name] for row in session.query(Resource.name)]
    sql = "select coll_name from R_COLL_MAIN where coll_name = ?"
    specific = SpecificQuery(session, sql, "strangers_query", columns=[Collection.name], args=[TOP])
    specific.register()
    try:
        assert [row[Collection.name] for row in specific.get_results()] == [TOP]
    finally:
        specific.remove()


def users(session):
    alice = session.users.create("alice", "rodsuser")
    session.users.modify("alice", "password", "apasswd")
    assert alice.type == "rodsuser" and session.collections.exists(f"/{ZONE}/home/alice")
    session.groups.create("crew")
    session.groups.addmember("crew", "alice")
    assert [user.name for user in session.groups.get("crew").members] == ["alice"]
    hidden, shown = f"{TOP}/hidden", f"{TOP}/shown"
    for collection in [hidden, shown]:
        session.collections.create(collection)
        write(session, f"{collection}/object", b"something")
    session.acls.set(iRODSAccess("read", TOP, "alice", ZONE))
    session.acls.set(iRODSAccess("read", shown, "crew", ZONE), recursive=True)
    acls = {(acl.access_name, acl.user_name) for acl in session.acls.get(session.collections.get(shown))}
    assert ("read_object", "crew") in acls and ("own", "rods") in acls, acls
    account = dict(host=session.host, port=session.port, zone=ZONE)
    with refused(ex.CAT_INVALID_AUTHENTICATION):
        with iRODSSession(user="alice", password="wrong", **account) as wrong:
            wrong.collections.exists(TOP)
    with refused(ex.CAT_INVALID_USER, ex.CAT_INVALID_AUTHENTICATION):
        with iRODSSession(user="nobody", password="apasswd", **account) as wrong:
            wrong.collections.exists(TOP)
    with iRODSSession(user="alice", password="apasswd", **account) as hers:
        home = f"/{ZONE}/home/alice"
        write(hers, f"{home}/own", b"hers")
        assert read(hers, f"{home}/own") == b"hers"
        assert read(hers, f"{shown}/object") == b"something"
        assert not hers.collections.exists(hidden) and not hers.data_objects.exists(f"{hidden}/object")
        seen = [row[Collection.name] for row in hers.query(Collection.name).filter(Like(Collection.name, f"{TOP}/%"))]
        assert seen == [shown], seen
        found = list(hers.query(DataObject.name).filter(DataObject.name == "object"))
        assert len(found) == 1, found
        with refused(ex.iRODSException):
            read(hers, f"{hidden}/object")
        with refused(ex.iRODSException):
            write(hers, f"{shown}/object", b"defaced")
        with refused(ex.iRODSException):
            write(hers, f"{shown}/new", b"new")
        with refused(ex.iRODSException):
            hers.data_objects.unlink(f"{shown}/object", force=True)
        with refused(ex.iRODSException):
            hers.acls.set(iRODSAccess("own", shown, "alice", ZONE))
        with refused(ex.iRODSException):
            hers.data_objects.get(f"{shown}/object").metadata.add("a", "b")
        with refused(ex.iRODSException):
            hers.users.create("mallory", "rodsadmin")
        with refused(ex.iRODSException):
            hers.resources.create("hers", "unixfilesystem", session.host, SCRATCH)
        assert read(session, f"{shown}/object") == b"something"
        session.acls.set(iRODSAccess("write", f"{shown}/object", "alice", ZONE))
        write(hers, f"{shown}/object", b"allowed")
        assert read(session, f"{shown}/object") == b"allowed"
        session.acls.set(iRODSAccess("null", f"{shown}/object", "alice", ZONE))
        session.acls.set(iRODSAccess("null", f"{shown}/object", "crew", ZONE))
        with refused(ex.iRODSException):
            read(hers, f"{shown}/object")
        # What is made below inherits, once that is asked for.
        session.acls.set(iRODSAccess("inherit", shown))
        write(session, f"{shown}/later", b"later")
        assert read(hers, f"{shown}/later") == b"later"
        hers.data_objects.unlink(f"{home}/own", force=True)
    session.groups.removemember("crew", "alice")
    session.groups.remove("crew")
    session.users.remove("alice")
    with refused(ex.UserDoesNotExist):
        session.users.get("alice")


def resources(session):
    vault = os.path.join(SCRATCH, "second vault")
    second = session.resources.create("second", "unixfilesystem", session.host, vault)
    assert second.vault_path == vault
    path = f"{TOP}/replicated"
    write(session, path, b"one")
    session.data_objects.replicate(path, "second")
    replicas = session.data_objects.get(path).replicas
    assert sorted((r.number, r.resource_name, r.status) for r in replicas) == [(0, "demoResc", "1"), (1, "second", "1")]
    assert replicas[1].path.startswith(vault) and open(replicas[1].path, "rb").read() == b"one"
    assert read(session, path, **{kw.RESC_NAME_KW: "second"}) == b"one"
    write(session, path, b"two!", **{kw.RESC_NAME_KW: "second"})
    states = {r.resource_name: r.status for r in session.data_objects.get(path).replicas}
    assert states == {"demoResc": "0", "second": "1"}, states
    assert read(session, path) == b"two!"
    session.data_objects.replicate(path, **{kw.UPDATE_REPL_KW: "", kw.DEST_RESC_NAME_KW: "demoResc"})
    assert {r.status for r in session.data_objects.get(path).replicas} == {"1"}
    session.data_objects.trim(path, **{kw.COPIES_KW: "1", kw.REPL_NUM_KW: "0"})
    replicas = session.data_objects.get(path).replicas
    assert [(r.number, r.resource_name) for r in replicas] == [(1, "second")], replicas
    assert read(session, path) == b"two!"
    # A put to the second resource, and a registered file of it.
    write(session, f"{TOP}/elsewhere", b"there", **{kw.RESC_NAME_KW: "second"})
    assert session.data_objects.get(f"{TOP}/elsewhere").replicas[0].resource_name == "second"
    in_place = local("it's registered & <odd>", b"in place")
    session.data_objects.register(in_place, f"{TOP}/registered", **{kw.DATA_SIZE_KW: "8"})
    obj = session.data_objects.get(f"{TOP}/registered")
    assert obj.replicas[0].path == in_place and read(session, obj.path) == b"in place"
    assert obj.chksum() == checksum(b"in place")
    session.data_objects.unregister(obj.path)
    assert os.path.exists(in_place) and not session.data_objects.exists(obj.path)
    with refused(ex.iRODSException):
        session.resources.remove("second")
    for name in ["replicated", "elsewhere"]:
        session.data_objects.unlink(f"{TOP}/{name}", force=True)
    session.resources.remove("second")


def removals(session):
    session.data_objects.unlink(f"{TOP}/copy")
    trash = f"/{ZONE}/trash/home/rods" + TOP.removeprefix(f"/{ZONE}/home/rods")
    assert not session.data_objects.exists(f"{TOP}/copy")
    assert read(session, f"{trash}/copy") == b"small\n" * 100, "in the trash"
    vault_file = session.data_objects.get(f"{TOP}/checked").replicas[0].path
    assert os.path.exists(vault_file)
    session.data_objects.unlink(f"{TOP}/checked", force=True)
    assert not session.data_objects.exists(f"{TOP}/checked") and not session.data_objects.exists(f"{trash}/checked")
    assert not os.path.exists(vault_file)
    with refused(ex.iRODSException):
        session.data_objects.unlink(f"{TOP}/checked")
    session.collections.remove(f"{TOP}/many", force=True)
    assert not session.collections.exists(f"{TOP}/many") and not session.collections.exists(f"{trash}/many")
    session.collections.remove(f"{TOP}/shown")
    assert session.collections.exists(f"{trash}/shown") and not session.collections.exists(f"{TOP}/shown")


def leave_behind(session):
    """What the other clients read."""
    left = {}
    for number, name in enumerate([*ODD, "plain"]):
        content = name.encode() * number * 1000
        collection = f"{TOP}/left/{name}"
        session.collections.create(collection)
        write(session, f"{collection}/{name}", content)
        obj = session.data_objects.get(f"{collection}/{name}")
        obj.metadata.add("name", name, str(number))
        left[obj.path] = {"size": len(content), "checksum": obj.chksum(), "name": name, "units": str(number)}
        assert left[obj.path]["checksum"] == checksum(content)
    print(json.dumps(left))


with make_session() as session:
    for step in [collections, puts, streams, renames, metadata, queries, users, resources, removals, leave_behind]:
        print(step.__name__, file=sys.stderr, flush=True)
        step(session)
