"""What an EPCIS document in XML is while it is read: elements, faults with a path, prefixes."""

from collections.abc import Callable, Sequence

from trace.epcis.xml_names import KNOWN, OURS, SAME, TECHNICAL, XML, XSI
from trace.text import printable

_SPACE = " \t\r\n"


class Node:
    """An element: its namespace, local name and prefix, attributes by (namespace, name), text and children."""

    __slots__ = ("attributes", "children", "line", "local", "prefix", "space", "text")

    def __init__(self, space: str, local: str, prefix: str, attributes: dict[tuple[str, str], str], line: int) -> None:
        self.space = space
        self.local = local
        self.prefix = prefix
        self.attributes = attributes
        self.line = line
        self.text = ""
        self.children: list[Node] = []

    @property
    def ours(self) -> bool:
        """An element of the standard."""
        return self.space in OURS

    @property
    def step(self) -> str:
        """One step of a path."""
        return f"/{printable(self.local, 40)}"

    @property
    def value(self) -> str:
        """The text without the space around it, unless that is to be kept."""
        return self.text if self.attributes.get((XML, "space")) == "preserve" else self.text.strip(_SPACE)


class Fault(Exception):
    """Something wrong inside an element; the path to it grows on the way up."""

    def __init__(self, code: str, message: str, line: int) -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.steps: list[str] = []


def each(nodes: Sequence[Node], handle: Callable[[Node], None]) -> None:
    """Handle the elements one after another; a fault inside one learns its name and number."""
    for place, node in enumerate(nodes):
        try:
            handle(node)
        except Fault as fault:
            alike = [other for other in nodes if other.local == node.local]
            number = sum(1 for other in nodes[: place + 1] if other.local == node.local)
            fault.steps.insert(0, node.step + (f"[{number}]" if len(alike) > 1 else ""))
            raise


def flat(node: Node) -> list[Node]:
    """The children, with those of the wrappers ``extension`` and ``baseExtension`` of 1.2 in their place."""
    if not any(child.ours and child.local in ("extension", "baseExtension") for child in node.children):
        return node.children
    found: list[Node] = []
    for child in node.children:
        found.extend(flat(child) if child.ours and child.local in ("extension", "baseExtension") else [child])
    return found


def own_attributes(node: Node) -> list[tuple[str, str, str]]:
    """Namespace, name and text of the attributes that are not XML's own."""
    return [(space, name, text) for (space, name), text in node.attributes.items() if space not in (XSI, XML)]


class Prefixes:
    """Which prefix stands for which namespace in the JSON-LD: for the document, and for an event what it adds."""

    def __init__(self, above: "Prefixes | None" = None) -> None:
        self.above = dict(above.all()) if above else {}
        self.own: dict[str, str] = {}

    def all(self) -> dict[str, str]:
        """Prefix to namespace, without the known ones."""
        return {**self.above, **self.own}

    def declare(self, prefix: str, space: str) -> None:
        """A declaration was met: it counts, as long as its prefix is free."""
        if prefix and space not in TECHNICAL and SAME.get(space, space) not in KNOWN.values():
            self._bind(prefix, space)

    def _bind(self, prefix: str, space: str) -> str:
        if prefix in KNOWN or self.own.get(prefix, space) != space:
            stem, number = prefix, 2
            while prefix in KNOWN or self.own.get(prefix, space) != space:
                prefix, number = f"{stem}{number}", number + 1
        if self.above.get(prefix) != space:
            self.own[prefix] = space
        return prefix

    def key(self, space: str, local: str, prefix: str) -> str:
        """The JSON key of an element or attribute of somebody's own."""
        if not space:
            return local
        space = SAME.get(space, space)
        for known, uri in KNOWN.items():
            if uri == space:
                return f"{known}:{local}"
        bound = {**self.above, **self.own}
        if prefix and bound.get(prefix) == space:
            return f"{prefix}:{local}"
        for other, uri in bound.items():
            if uri == space:
                return f"{other}:{local}"
        return f"{self._bind(prefix or 'ns1', space)}:{local}"
