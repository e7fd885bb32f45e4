"""What settings of a handler may be, and which of them can but be one thing."""
import dis
import math

from .utils import DeleteMode, Operation

SETTINGS = ["operation", "delete_mode", "to_resource", "target_path", "as_user", "max_retries", "timeout", "delay",
            "character_map"]


class Unsuitable(Exception):
    """The handler is not one that can be used; the message says why."""


def is_constant(method):
    """Whether a method can but return one and the same value: its code does nothing but name it."""
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    if code is None or code.co_flags & 0x2A0:  # a generator or coroutine
        return False
    names = {"Operation": Operation, "DeleteMode": DeleteMode}
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_GLOBAL":
            known = names.get(step.argval)
            if known is None or getattr(method, "__globals__", {}).get(step.argval) is not known:
                return False
        elif step.opname == "LOAD_ATTR":
            if step.argval not in Operation.__members__ and step.argval not in DeleteMode.__members__:
                return False
        elif step.opname not in ("RESUME", "NOP", "CACHE", "LOAD_CONST", "LOAD_SMALL_INT", "RETURN_VALUE", "RETURN_CONST"):
            return False
    return True


def is_text(value):
    """Whether it is text that can be sent: what stands for the bytes of a name that is not UTF-8 cannot."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def checked(name, value, is_directory):
    """What a setting returned, as the engine takes it."""
    if name in ("operation", "delete_mode"):
        kind = Operation if name == "operation" else DeleteMode
        if value is None and name == "operation" and not is_directory:
            return Operation.REGISTER_SYNC.name
        if isinstance(value, kind):
            return value.name
        expected = kind.__name__
    elif name in ("to_resource", "target_path"):
        if value is None or is_text(value):
            return value
        expected = "str"
    elif name == "as_user":
        if isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_text, value)):
            return list(value)
        expected = "a pair of zone and user"
    else:
        number = math.ceil(value) if isinstance(value, float) and name != "max_retries" and math.isfinite(value) else value
        if isinstance(number, int) and not isinstance(number, bool):
            if not 0 <= number < 1 << 31:
                raise Unsuitable("%s returned %r; a number from 0 on is expected" % (name, value))
            return number
        expected = "int"
    raise Unsuitable("%s returned %r; %s is expected" % (name, value, expected))
