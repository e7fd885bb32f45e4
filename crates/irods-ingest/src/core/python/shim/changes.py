"""What a hook changes in meta: what of it the action follows, and what goes on to the hook after it."""
import ast
import base64
import os
import pickle

from ._settings import Unsuitable, checked, is_text

FILES = ("data_obj_create", "data_obj_modify")
ABSENT = object()


def places_files(text):
    """Whether a function of the handler assigns to the target of what it got as meta: then files may be put anywhere, and the
    engine must know that before it does the first."""
    def names_target(node, parameters):
        return (isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name)
                and node.value.id in parameters and is_target(node.slice))

    def is_target(node):
        node = getattr(node, "value", node)  # Python 3.8 has a node of its own around it
        return node == "target" or isinstance(node, ast.Constant) and node.value == "target"

    for function in ast.walk(ast.parse(text)):
        if isinstance(function, (ast.FunctionDef, ast.Lambda)):
            parameters = {argument.arg for argument in function.args.posonlyargs + function.args.args}
            if any(names_target(node, parameters) for node in ast.walk(function)):
                return True
    return False


class Changes:
    """Of one call of a hook; made before it runs."""

    def __init__(self, host, event, meta, user):
        self.host, self.event, self.meta, self.user = host, event, meta, user
        self.before = host.nested_again(meta)

    def made(self, meta):
        """What the hook before an action left: what the action follows, and what the hook after it finds."""
        kept = self.kept(meta)
        if kept is None:
            return None
        return {"changes": self.told(meta), "kept": kept}

    def difference(self, meta):
        before = self.before
        changed = {key: value for key, value in meta.items() if before.get(key, ABSENT) != value}
        gone = [key for key in before if key not in meta]
        return changed, gone

    def kept(self, meta):
        difference = self.difference(meta)
        if difference == ({}, []):
            return None
        try:
            return base64.b64encode(pickle.dumps(difference)).decode()
        except Exception as error:
            raise Unsuitable("it puts into meta what cannot go to another process: %s" % error)

    @staticmethod
    def take(kept, meta):
        """Puts what was kept into the meta of the hook after it."""
        changed, gone = pickle.loads(base64.b64decode(kept))
        meta.update(changed)
        for key in gone:
            meta.pop(key, None)

    def told(self, meta):
        """What the action follows, as the Python tool's would."""
        changed, gone = self.difference(meta)
        told = {}
        if "target" in gone or "path" in gone or self.event in FILES and ("size" in gone or "mtime" in gone):
            raise Unsuitable("it takes out of meta what is needed: %s" % ", ".join(gone))
        if "target" in changed and self.event != "coll_modify":
            told["target"] = self.target(meta["target"])
        if self.event not in FILES or not (changed or gone):
            return told
        if "path" in changed:
            if not isinstance(meta["path"], str) or not os.path.isabs(meta["path"]) or "\0" in meta["path"]:
                raise Unsuitable("it makes meta['path'] %r; an absolute path is expected" % (meta["path"],))
            told["path"] = list(os.fsencode(meta["path"]))
        for key, least in (("size", 0), ("mtime", -(1 << 62))):
            if key in changed:
                try:
                    told[key] = int(meta[key])
                except (TypeError, ValueError, OverflowError):
                    told[key] = None
                if told[key] is None or not least <= told[key] < 1 << 62:
                    raise Unsuitable("it makes meta['%s'] %r; a number is expected" % (key, meta[key]))
        # The Python tool asks these in the action, so of the meta that the hook left.
        host = self.host
        for name, key in (("to_resource", "resource"), ("target_path", "physical_path")):
            if name in host.settings and name not in host.constants:
                told[key] = checked(name, host.ask(name, meta, 1, self.user), False)
        return told

    def target(self, target):
        if self.event not in FILES:
            raise Unsuitable("it changes meta['target'], which is possible for files that are made or changed alone")
        if not self.host.places_files:
            raise Unsuitable("it changes meta['target'] where that is not seen before: only an assignment to meta['target'] in the "
                             "handler file itself, in a function that has meta as a parameter, is")
        if not is_text(target):
            raise Unsuitable("it makes meta['target'] %r; a logical path is expected" % (target,))
        return target
