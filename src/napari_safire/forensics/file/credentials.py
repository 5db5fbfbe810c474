"""Content Credentials (C2PA): what a file's signed statements say, and whether they hold.

Read by c2pa-python, offline: no manifest, certificate status or identity document is fetched.
*Valid* means that file and statements are as they were signed; *trusted* that a list of the user's
names whoever signed. The first says nothing of the second, so both are told.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import platformdirs

from napari_safire.forensics.evidence import Row
from napari_safire.text import printable

State = Literal["absent", "valid", "invalid", "remote", "unread"]
Trust = Literal["trusted", "untrusted", "trust not judged"]

_MOST_TEXT = 160
_MOST_ROWS = 300
_MOST_JSON = 16 << 20
_MOST_TRUST_BYTES = 8 << 20
_DEEPEST = 8  # manifests below one another
_OFFLINE: dict[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    # Identities (CAWG) are looked up by name on the web; no host at all may be asked.
    "core": {
        "decode_identity_assertions": False,
        "allowed_network_hosts": [],
        "max_decompressed_manifest_size_in_mb": 64,
    },
}
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\s+(?:[A-Za-z0-9+/]+=*\s+)+-----END CERTIFICATE-----"
)
_TRUSTED, _UNTRUSTED = "signingCredential.trusted", "signingCredential.untrusted"
_FAILURES = (  # begin of a status code of C2PA 2.x, and what it means
    ("assertion.dataHash.mismatch", "the file was changed after it was signed"),
    ("assertion.bmffHash.mismatch", "the file was changed after it was signed"),
    ("assertion.boxesHash.mismatch", "the file was changed after it was signed"),
    ("assertion.hashedURI.mismatch", "a statement was changed after it was signed"),
    ("assertion.missing", "a statement that was signed is missing"),
    ("claimSignature.mismatch", "the signature does not fit what was signed"),
    ("claimSignature.outsideValidity", "the certificate was not valid at the time"),
    ("signingCredential.expired", "the certificate had expired"),
    ("signingCredential.invalid", "the certificate is none that may sign pictures"),
    ("signingCredential.ocsp.revoked", "the certificate was revoked"),
    ("timeStamp", "the time stamp cannot be verified"),
    ("ingredient", "an ingredient does not fit what was said of it"),
)
_SOURCES = {  # IPTC's digital source types that say more than "a camera"
    "trainedAlgorithmicMedia": "said to be made by a trained network",
    "compositeWithTrainedAlgorithmicMedia": "said to hold parts made by a trained network",
    "compositeSynthetic": "said to hold synthetic parts",
    "composite": "said to be put together from several pictures",
    "algorithmicMedia": "said to be computed, not taken",
}


@dataclass(frozen=True, slots=True)
class TrustList:
    """Certificates of those whom the user trusts.

    Parameters
    ----------
    pem : str
        All of them; empty for no list.
    rows : tuple of Row
        Where they come from: file, number, date, hash.
    """

    pem: str = ""
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a file's Content Credentials say.

    Parameters
    ----------
    state : {"absent", "valid", "invalid", "remote", "unread"}
        "unread": they cannot be read on this machine.
    trust : {"trusted", "untrusted", "trust not judged"}
    why : str
        Why they are invalid, where they lie, or what keeps them from being read.
    rows : tuple of Row
        Manifests with signer, actions and ingredients, as a tree.
    signer : str
    """

    state: State
    trust: Trust = "trust not judged"
    why: str = ""
    rows: tuple[Row, ...] = ()
    signer: str = ""

    @property
    def finding(self) -> str:
        """Both answers in one line."""
        if self.state == "absent":
            return "no Content Credentials"
        if self.state == "remote":
            return "Content Credentials lie elsewhere and were not fetched"
        if self.state in ("invalid", "unread"):
            return f"{self.state}: {self.why}"
        said = next((row.remark for row in self.rows if row.name == "Action" and row.remark), "")
        trust = "not trusted" if self.trust == "untrusted" else self.trust
        return f"valid (unchanged since signed), {trust}" + (f"; {said}" if said else "")


def trust_folder() -> Path:
    """Folder in which the user may lay trust lists (PEM); none is shipped."""
    return platformdirs.user_config_path("napari-safire") / "trust"


def read_trust_list(place: Path) -> TrustList:
    """Read certificates from a PEM file, or from all of a folder.

    Parameters
    ----------
    place : Path
        It may be missing.

    Returns
    -------
    TrustList
        Files that hold no certificate are named, with a remark.
    """
    files = sorted(place.glob("*.pem")) if place.is_dir() else [place] if place.exists() else []
    if not files:
        return TrustList(
            "",
            (Row("Trust list", "none", f"no list of trusted signers lies at {printable(place)}"),),
        )
    texts, rows = [], []
    for path in files:
        try:
            data = path.read_bytes() if path.stat().st_size <= _MOST_TRUST_BYTES else b""
            day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
            found = _CERTIFICATE.findall(data.decode("ascii"))
        except (OSError, ValueError) as error:
            rows.append(
                Row(
                    "Trust list", printable(path.name), f"not read: {printable(error)[:_MOST_TEXT]}"
                )
            )
            continue
        number = len(found)
        digest = hashlib.sha256(data).hexdigest()[:16]
        value = f"{printable(path.name)} of {day}, {number} certificates, SHA-256 {digest}…"
        rows.append(Row("Trust list", value, "" if number else "it holds no certificate"))
        texts += found
    return TrustList("\n".join(texts), tuple(rows))


def read_credentials(data: bytes, trust: TrustList, *, boxes: bool = False) -> Credentials:
    """Read and check the Content Credentials of a file.

    Parameters
    ----------
    data : bytes
        All of the file.
    trust : TrustList
    boxes : bool
        The file has boxes as Content Credentials have them.

    Returns
    -------
    Credentials
    """
    library = _library()
    if isinstance(library, str):
        what = "the file has boxes for them, but " if boxes else ""
        return Credentials("unread", why=f"{what}{library}")
    settings = _OFFLINE | ({"trust": {"user_anchors": trust.pem}} if trust.pem else {})
    try:
        # The library tells the format by the bytes.
        with (
            library.Context.from_dict(settings) as context,
            library.Reader(None, io.BytesIO(data), context=context) as reader,
        ):
            text = reader.json()
        if len(text) > _MOST_JSON:
            return Credentials("invalid", why=f"they are larger than {_MOST_JSON >> 20} MiB")
        document = json.loads(text)
    except library.C2paError as error:
        if trust.pem:  # it may be a certificate of the list that cannot be read
            return read_credentials(data, TrustList(), boxes=boxes)
        return _refused(printable(error)[:_MOST_TEXT], boxes)
    except (ValueError, RecursionError) as error:
        return Credentials("invalid", why=f"they cannot be read ({printable(error)[:_MOST_TEXT]})")
    return _stated(_mapping(document), bool(trust.pem))


def _library() -> ModuleType | str:
    """The module c2pa, or why it cannot be used here."""
    try:
        import c2pa
    except Exception as error:  # its compiled part fails in ways of each system
        return f"c2pa's library does not load here ({printable(error)[:_MOST_TEXT]})"
    return c2pa


def _refused(said: str, boxes: bool) -> Credentials:
    """What an error of the library means."""
    if said.startswith("Remote"):
        address = said.rpartition(" ")[2]
        return Credentials(
            "remote",
            rows=(Row("Manifest", address, "not fetched: nothing is asked of the network"),),
        )
    if said.startswith(("ManifestNotFound", "NotSupported")):
        if not boxes:
            return Credentials("absent")
        return Credentials("invalid", why="it has boxes for them that hold none")
    if not boxes and "could not be parsed" in said.lower():
        return Credentials("absent")  # the file's own damage is told by the view of the file
    return Credentials("invalid", why=f"they cannot be read ({said})")


def _stated(document: Mapping[str, Any], has_list: bool) -> Credentials:
    """What the library's report says."""
    results = _mapping(document.get("validation_results"))
    failures = list(_failures(results))
    state: State = (
        "valid" if document.get("validation_state") in ("Valid", "Trusted") else "invalid"
    )
    trust: Trust = "trust not judged"
    if has_list:
        trust = "trusted" if _TRUSTED in _own_successes(results) else "untrusted"
    others = [code for code in failures if code != _UNTRUSTED]
    why = _meaning(others[0]) if others else "" if state == "valid" else "they do not hold"
    manifests = _mapping(document.get("manifests"))
    active = str(document.get("active_manifest", ""))
    rows = [Row("Check", _short(code), _meaning(code)) for code in others[:20]]
    rows += _manifest(manifests, active, 0, frozenset())
    signature = _mapping(_mapping(manifests.get(active)).get("signature_info"))
    signer = _short(signature.get("common_name") or signature.get("issuer") or "")
    return Credentials(state, trust, why, tuple(rows[:_MOST_ROWS]), signer)


def _own_successes(results: Mapping[str, Any]) -> set[str]:
    successes = _mappings(_mapping(results.get("activeManifest")).get("success"))
    return {str(success.get("code")) for success in successes}


def _failures(results: Mapping[str, Any]) -> Iterator[str]:
    """Codes of what failed, of the active manifest first."""
    parts = [_mapping(results.get("activeManifest"))]
    parts += [
        _mapping(one.get("validationDeltas")) for one in _mappings(results.get("ingredientDeltas"))
    ]
    for part in parts:
        for failure in _mappings(part.get("failure")):
            yield str(failure.get("code"))


def _meaning(code: str) -> str:
    known = [words for begin, words in _FAILURES if code.startswith(begin)]
    return known[0] if known else f"a check failed ({_short(code)})"


def _manifest(
    manifests: Mapping[str, Any], label: str, level: int, above: frozenset[str]
) -> Iterator[Row]:
    """One manifest and those of its ingredients below it."""
    found = _mapping(manifests.get(label))
    if not found or label in above or level > 2 * _DEEPEST:
        yield Row("Manifest", _short(label), "it is missing, or below itself", level)
        return
    yield Row("Manifest", _short(found.get("title") or label), "", level)
    signature = _mapping(found.get("signature_info"))
    names = [_short(signature.get(key)) for key in ("common_name", "issuer") if signature.get(key)]
    yield Row("Signer", ", ".join(names) or "none", "", level + 1)
    when = signature.get("time")
    yield Row("Signed at", _short(when) if when else "no time stamp", "", level + 1)
    for maker in _mappings(found.get("claim_generator_info")):
        yield Row(
            "Written by",
            _short(f"{maker.get('name', '')} {maker.get('version', '')}"),
            "",
            level + 1,
        )
    for assertion in _mappings(found.get("assertions")):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in _mappings(_mapping(assertion.get("data")).get("actions")):
                yield _action(action, level + 1)
    for ingredient in _mappings(found.get("ingredients")):
        relation = _short(ingredient.get("relationship", ""))
        title = _short(ingredient.get("title", "without a title"))
        noted = [code for code in _failures(_mapping(ingredient.get("validation_results")))]
        noted = [code for code in noted if code != _UNTRUSTED]
        remark = f"noted when it was put in: {_meaning(noted[0])}" if noted else ""
        yield Row("Ingredient", f"{title} ({relation})", remark, level + 1)
        if ingredient.get("active_manifest"):
            below = str(ingredient["active_manifest"])
            yield from _manifest(manifests, below, level + 2, above | {label})


def _action(action: Mapping[str, Any], level: int) -> Row:
    agent = action.get("softwareAgent", "")
    by = _mapping(agent).get("name", "") if isinstance(agent, Mapping) else agent
    source = str(action.get("digitalSourceType", "")).rpartition("/")[2]
    words = [action.get("action", ""), by, action.get("when", ""), source]
    return Row(
        "Action", ", ".join(_short(word) for word in words if word), _SOURCES.get(source, ""), level
    )


# A manifest comes from anybody: whatever is not of the kind that is expected counts as missing.


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    return (
        (one for one in value if isinstance(one, Mapping)) if isinstance(value, list) else iter(())
    )


def _short(value: object) -> str:
    return printable(str(value)[:_MOST_TEXT])[:_MOST_TEXT].strip()
