"""What JSON values look like, whatever they say: their keys and the kinds of their values."""


class Shape:
    """The look of one value, or of several that stand in the same place.

    Whole numbers and numbers with a fraction are different kinds (`1` and `1.0`), because readers
    of Mesos' JSON tell them apart; Python's own JSON reader keeps them apart too.
    """

    def __init__(self, *values):
        self.kinds = set()
        self.objects = 0
        self.keys = {}
        self.element = None
        for value in values:
            self.add(value)

    def add(self, value):
        if isinstance(value, dict):
            self.kinds.add("object")
            self.objects += 1
            for key, inner in value.items():
                shape, count = self.keys.get(key, (Shape(), 0))
                shape.add(inner)
                self.keys[key] = (shape, count + 1)
        elif isinstance(value, list):
            self.kinds.add("list")
            self.element = self.element or Shape()
            for inner in value:
                self.element.add(inner)
        else:
            self.kinds.add(type(value).__name__)

    def always(self, key):
        return key in self.keys and self.keys[key][1] == self.objects


def differences(theirs, ours, path=""):
    """How our shape differs from theirs, as lines such as `slaves[].pid: missing`."""
    place = path or "the body"
    if theirs.kinds and ours.kinds and not ours.kinds <= theirs.kinds:
        yield f"{place}: {'/'.join(sorted(ours.kinds))} instead of {'/'.join(sorted(theirs.kinds))}"
        return
    if theirs.objects and ours.objects:
        yield from _key_differences(theirs, ours, path)
    if theirs.element and theirs.element.kinds and ours.element:
        if ours.element.kinds:
            yield from differences(theirs.element, ours.element, path + "[]")
        else:
            yield f"{place}: always empty"


def _key_differences(theirs, ours, path):
    for key in sorted(set(theirs.keys) | set(ours.keys)):
        place = f"{path}.{key}" if path else key
        if key not in ours.keys:
            yield f"{place}: missing"
        elif key not in theirs.keys:
            yield f"{place}: not in Mesos' answer"
        else:
            if theirs.always(key) and not ours.always(key):
                yield f"{place}: missing in some"
            yield from differences(theirs.keys[key][0], ours.keys[key][0], place)
