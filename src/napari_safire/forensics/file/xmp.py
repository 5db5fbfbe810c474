"""XMP: documents that a picture was made from, what changed it, and which program wrote it.

The packet is XML from anybody. Expat reads it here without a document type: at a DOCTYPE the
reading ends, so there are no entities to expand and no file or address to fetch; bytes, depth and
number of values are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat  # reviewed: no document type, no entities, bounded

from napari_safire.text import printable

_MOST_BYTES = 4 << 20
_MOST_VALUES = 2_000
_MOST_TEXT = 200
_DEEPEST = 64
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#": "stEvt",
    "http://ns.adobe.com/xap/1.0/sType/ResourceRef#": "stRef",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://ns.google.com/photos/1.0/camera/": "GCamera",
    "http://ns.adobe.com/hdr-gain-map/1.0/": "hdrgm",
}
_SILENT = {"Description", "RDF", "Bag", "Seq", "Alt", "xmpmeta"}


class _Stop(Exception):
    """Reading ends here; the text says why."""


@dataclass(frozen=True, slots=True)
class Xmp:
    """Properties of an XMP packet.

    Parameters
    ----------
    values : tuple of (str, str)
        Path and value, in order: ``("xmpMM:History/2/stEvt:action", "saved")``.
    damage : str
        Why not all was read; empty if it was.
    """

    values: tuple[tuple[str, str], ...] = ()
    damage: str = ""

    def get(self, path: str) -> str:
        """First value of a path; empty if it is missing."""
        return next((value for name, value in self.values if name == path), "")

    def below(self, path: str) -> list[str]:
        """Values of a list of plain values."""
        return [value for name, value in self.values if name.startswith(f"{path}/")]

    def history(self) -> list[dict[str, str]]:
        """Entries of the document's history: "action", "when", "softwareAgent", "changed"."""
        found: dict[str, dict[str, str]] = {}
        for name, value in self.values:
            parts = name.split("/")
            if parts[0] == "xmpMM:History" and len(parts) == 3:
                found.setdefault(parts[1], {})[parts[2].partition(":")[2]] = value
        return list(found.values())


@dataclass(slots=True)
class _Reader:
    """Where a walk through the elements is."""

    values: list[tuple[str, str]] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    members: list[int] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.path) >= _DEEPEST:
            raise _Stop(f"it is more than {_DEEPEST} elements deep")
        self.text.clear()
        step = _short(name)
        if step == "rdf:li":
            self.members[-1] += 1
            step = str(self.members[-1])
        self.path.append("" if step.rpartition(":")[2] in _SILENT else step)
        self.members.append(0)
        for key, value in attributes.items():
            if key.startswith(("xml", _RDF, "http://www.w3.org/")) or key.startswith(
                "adobe:ns:meta/"
            ):
                if key == f"{_RDF} resource":
                    self.add(value)
                continue
            self.add(value, _short(key))

    def end(self, name: str) -> None:
        text = "".join(self.text).strip()
        if text:
            self.add(text)
        self.text.clear()
        self.path.pop()
        self.members.pop()

    def data(self, text: str) -> None:
        if len(self.text) < 100:
            self.text.append(text[: 2 * _MOST_TEXT])

    def add(self, value: str, key: str = "") -> None:
        if len(self.values) >= _MOST_VALUES:
            raise _Stop(f"it has more than {_MOST_VALUES} values")
        path = "/".join([step for step in self.path if step] + ([key] if key else []))
        self.values.append(
            (printable(path)[:_MOST_TEXT], printable(value[:_MOST_TEXT])[:_MOST_TEXT])
        )

    def refuse(self, *_: object) -> None:
        raise _Stop("it has a document type, which XMP has not")


def read_xmp(packet: bytes) -> Xmp:
    """Read an XMP packet.

    Parameters
    ----------
    packet : bytes

    Returns
    -------
    Xmp
        What was read before damage, if there is any.
    """
    if not packet.strip(b"\0 \r\n\t"):
        return Xmp()
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = reader.begin, reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reader.refuse
    damage = f"it is larger than {_MOST_BYTES >> 20} MiB" if len(packet) > _MOST_BYTES else ""
    try:
        parser.Parse(packet[:_MOST_BYTES].strip(b"\0 \r\n\t"), True)
    except (_Stop, IndexError) as error:
        damage = damage or printable(error)
    except (expat.ExpatError, ValueError, LookupError) as error:
        damage = damage or f"it is no XML ({printable(error)[:_MOST_TEXT]})"
    return Xmp(tuple(reader.values), damage)


def _short(name: str) -> str:
    """``xmpMM:History`` of a namespace and a name."""
    space, _, local = name.rpartition(" ")
    if space == _RDF:
        return f"rdf:{local}"
    known = _PREFIXES.get(space) or space.rstrip("/#").rpartition("/")[2]
    return f"{known}:{local}" if known else local


def xmp_remarks(found: Xmp) -> Iterator[tuple[str, str]]:
    """Path and remark of what an expert should notice."""
    steps = [entry for entry in found.history() if entry.get("action") == "saved"]
    if steps:
        agents = sorted({entry.get("softwareAgent", "") for entry in steps} - {""})
        by = f" by {' and '.join(agents[:2])}" if agents else ""
        yield "xmpMM:History", f"saved {len(steps)} times{by}, as its history says"
    own, first = found.get("xmpMM:DocumentID"), found.get("xmpMM:OriginalDocumentID")
    if own and first and own.rpartition(":")[2] != first.rpartition(":")[2]:
        yield "xmpMM:OriginalDocumentID", "the file was made from this other document"
    if any(name.startswith("xmpMM:DerivedFrom/") for name, _ in found.values):
        yield "xmpMM:DerivedFrom", "the file was made from another document"
    ancestors = len(found.below("photoshop:DocumentAncestors"))
    if ancestors:
        yield (
            "photoshop:DocumentAncestors",
            f"content of {ancestors} other documents was placed in it",
        )
    if any(name.startswith("crs:") for name, _ in found.values):
        yield "crs", "it has the settings of a raw developer"
