"""character_map: names with some characters replaced, and a suffix by which different names stay different. Byte for byte as existing
catalogs have it."""
import hashlib

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEPARATORS = "-~_"
# From so many bytes of differences on, their place is taken by the SHA-224 of the name, which has as many.
LONGEST = 28


class CharacterMap:
    def __init__(self, returned):
        if callable(getattr(returned, "items", None)):
            returned = returned.items()
        try:
            self.rules = [(key, value) for key, value in returned]
        except (TypeError, ValueError):
            raise TypeError("character_map() method must return a dict or iterable of key value tuples")
        for key, value in self.rules:
            parts = key if isinstance(key, tuple) else [key]
            for part in list(parts) + [value]:
                if isinstance(part, str) and len(part) > 1:
                    raise TypeError(
                        "character_map()'s returned object should denote only single-character substitutions"
                    )
            is_known = isinstance(key, (str, tuple)) or callable(key) or hasattr(key, "sub")
            if not is_known or not (value is None or isinstance(value, str)):
                raise TypeError("character_map() method must return a dict or iterable of key value tuples")
        self.separator = self.unchanged(SEPARATORS)[:1]
        self.alphabet = self.unchanged(DIGITS)
        if len(self.alphabet) < 2:
            raise TypeError("character_map() leaves fewer than two letters or digits as they are")

    def replace(self, text):
        for key, value in self.rules:
            if isinstance(key, (str, tuple)):
                for one in key if isinstance(key, tuple) else (key,):
                    if value is not None and one != "":
                        text = text.replace(one, value)
            elif hasattr(key, "sub"):
                text = key.sub(value, text)
            else:
                text = "".join(value if key(c) else c for c in text)
        return text

    def unchanged(self, characters):
        pairs = zip(characters, self.replace(characters))
        return "".join(before for before, after in pairs if before == after)

    def name(self, name):
        """What an entry of this name is called."""
        mapped = self.replace(name)
        differences = b""
        for index, (before, after) in enumerate(zip(name, mapped)):
            if before != after:
                differences += chr(index).encode("utf-8", "surrogatepass") + before.encode("utf-8")
                if len(differences) >= LONGEST:
                    differences = hashlib.sha224(name.encode("utf-8")).digest()
                    break
        if not differences:
            return mapped
        number = int.from_bytes(differences, "big")
        suffix = self.separator
        while number:
            number, rest = divmod(number, len(self.alphabet))
            suffix += self.alphabet[rest]
        return mapped + suffix
