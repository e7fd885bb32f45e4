"""Values by category and identifier, as handlers of the Python tool name them."""


class redis_key_handle:
    convert = None

    def __init__(self, redis_handle, key_category, identifier, delimiter=":/"):
        self.redis_handle = redis_handle
        self.category = key_category
        self.identifier = identifier
        self.delimiter = delimiter

    def get_key(self):
        return "%s%s%s" % (self.category, self.delimiter, self.identifier)

    def get_value(self):
        value = self.redis_handle.get(self.get_key())
        return value if value is None or self.convert is None else self.convert(value)

    def set_value(self, value):
        self.redis_handle.set(self.get_key(), value)

    def reset(self):
        self.redis_handle.delete(self.get_key())


class incremental_redis_key_handle(redis_key_handle):
    convert = int

    def incrby(self, amount=1):
        return self.redis_handle.incrby(self.get_key(), amount)

    def decrby(self, amount=1):
        return self.redis_handle.decrby(self.get_key(), amount)

    incr = incrby
    decr = decrby


class float_redis_key_handle(redis_key_handle):
    convert = float
