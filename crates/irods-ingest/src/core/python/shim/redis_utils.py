"""Where handlers keep what must outlive a call: the Redis of the broker, or a file of the same simple commands."""
import os
import sqlite3


def get_redis(config):
    settings = (config or {}).get("redis") or {}
    if settings.get("host"):
        import redis

        return redis.StrictRedis(host=settings["host"], port=settings["port"], db=settings["db"])
    return LocalStore(os.environ["IRODS_SYNC_HANDLER_STORE"])


def _bytes(value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError("bytes, str, int and float can be stored, not " + type(value).__name__)
    return str(value).encode()


class LocalStore:
    """Strings and counters by key, shared by all hosts of this broker; answers are bytes, as Redis gives them."""

    def __init__(self, path):
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._db.execute("create table if not exists store (key blob primary key, value blob not null)")

    def get(self, name):
        row = self._db.execute("select value from store where key = ?", (_bytes(name),)).fetchone()
        return None if row is None else bytes(row[0])

    def set(self, name, value):
        self._db.execute("insert or replace into store values (?, ?)", (_bytes(name), _bytes(value)))
        return True

    def setnx(self, name, value):
        return self._db.execute("insert or ignore into store values (?, ?)", (_bytes(name), _bytes(value))).rowcount == 1

    def exists(self, *names):
        return sum(self.get(name) is not None for name in names)

    def delete(self, *names):
        return sum(
            self._db.execute("delete from store where key = ?", (_bytes(name),)).rowcount for name in names
        )

    def incrby(self, name, amount=1):
        self._db.execute("begin immediate")
        try:
            value = int(self.get(name) or 0) + amount
            self.set(name, value)
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
        return value

    incr = incrby

    def decrby(self, name, amount=1):
        return self.incrby(name, -amount)

    decr = decrby
