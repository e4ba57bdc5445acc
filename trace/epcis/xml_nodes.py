"""What an EPCIS document in XML is while it is read: elements, faults with a path, prefixes."""

from collections.abc import Callable, Sequence

from django.utils.translation import gettext as _

from trace.epcis.xml_names import KNOWN, NAME, OURS, SAME, TECHNICAL, XML, XSI, prefix_can_be
from trace.text import printable

_SPACE = " \t\r\n"
_KNOWN_SPACES = {space: prefix for prefix, space in KNOWN.items()}
_NONE: dict[tuple[str, str], str] = {}
MAX_PREFIXES = 200


class Node:
    """An element: its namespace, local name and prefix, attributes by (namespace, name), text and children."""

    __slots__ = ("attributes", "children", "line", "local", "parts", "prefix", "space")

    def __init__(self, space: str, local: str, prefix: str, attributes: dict[tuple[str, str], str], line: int) -> None:
        self.space = space
        self.local = local
        self.prefix = prefix
        self.attributes = attributes or _NONE
        self.line = line
        self.parts: list[str] = []
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
    def kept(self) -> bool:
        """White space counts."""
        return self.attributes.get((XML, "space")) == "preserve"

    @property
    def value(self) -> str:
        """The text without the space around it, unless that is to be kept."""
        text = "".join(self.parts)
        return text if self.kept else text.strip(_SPACE)

    def add(self, parts: list[str]) -> None:
        """More text: space alone between elements is none, and there may be very much of it."""
        text = "".join(parts)
        if text and (self.kept or not text.isspace()):
            self.parts.append(text)


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
    """Which prefix stands for which namespace in the JSON-LD: for the document, and for an event what it adds.

    Declarations come first, then the keys of what was read. A prefix with two meanings gets a number the second time.
    """

    def __init__(self, above: "Prefixes | None" = None) -> None:
        self.above = above.all() if above else {}
        self.own: dict[str, str] = {}
        self._found: dict[tuple[str, str], str] = {}

    def all(self) -> dict[str, str]:
        """Prefix to namespace, without the known ones."""
        return {**self.above, **self.own}

    def declare(self, prefix: str, space: str) -> None:
        """A declaration was met: inside an event it may give another meaning to a prefix of the document."""
        if prefix and space not in TECHNICAL and SAME.get(space, space) not in _KNOWN_SPACES:
            self._bind(prefix, space, shadow=True)

    def _bind(self, prefix: str, space: str, *, shadow: bool) -> str:
        stem, number = prefix if NAME.fullmatch(prefix) and not prefix.lower().startswith("xml") else "ns", 1
        while (
            prefix in KNOWN
            or not prefix_can_be(prefix)
            or self.own.get(prefix, space) != space
            or (not shadow and self.above.get(prefix, space) != space)
        ):
            number += 1
            prefix = f"{stem}{number}"
        if self.above.get(prefix) != space and prefix not in self.own:
            if len(self.own) >= MAX_PREFIXES:
                raise Fault("epcis_xml_too_many", _("XML 的命名空间前缀太多。"), 0)
            self.own[prefix] = space
        return prefix

    def key(self, space: str, local: str, prefix: str) -> str:
        """The JSON key of an element or attribute of somebody's own."""
        if not space:
            return local
        found = self._found.get((space, prefix))
        if found is None:
            found = self._found[space, prefix] = self._prefix(SAME.get(space, space), prefix)
        return f"{found}:{local}"

    def _prefix(self, space: str, prefix: str) -> str:
        if space in _KNOWN_SPACES:
            return _KNOWN_SPACES[space]
        if space in TECHNICAL:
            raise Fault("epcis_xml_element", _("这里不能有命名空间 %(space)s 的元素。") % {"space": space}, 0)
        bound = self.all()
        if prefix and bound.get(prefix) == space:
            return prefix
        return next((p for p, uri in bound.items() if uri == space), "") or self._bind(
            prefix or "ns1", space, shadow=False
        )
