"""Signed pictures for tests: a throwaway authority, its signer, and what they sign."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TAKEN, GENERATED = _SOURCES + "digitalCapture", _SOURCES + "trainedAlgorithmicMedia"
_OTHER_USES = (
    "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "encipher_only", "decipher_only",
)  # fmt: skip
QUIET = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}


@dataclass(frozen=True)
class Authority:
    """A certificate that signs others, and one whom it vouches for."""

    root: str
    chain: str
    key: str


def _certificate(name: str, key: Any, issuer: str, issuer_key: Any, *, ca: bool) -> str:
    def named(common: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test house"),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )

    now = datetime.now(UTC)
    usage = dict.fromkeys(_OTHER_USES, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, **usage), True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
        )
    )
    if not ca:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, False)
    made = builder.sign(issuer_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def authority(signer: str = "Test signer") -> Authority:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate("Test root", root_key, "Test root", root_key, ca=True)
    leaf = _certificate(signer, key, "Test root", root_key, ca=False)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Authority(root, leaf + root, private.decode())


def signed(
    data: bytes,
    by: Authority,
    *,
    format: str = "image/jpeg",
    source: str = TAKEN,
    ingredients: tuple[tuple[str, bytes], ...] = (),
    remote: str = "",
    title: str = "picture.jpg",
    agent: str = "Test editor",
) -> bytes:
    """The picture with Content Credentials, or with the address where they are said to lie."""
    action = {"action": "c2pa.created", "softwareAgent": agent, "digitalSourceType": source}
    manifest = {
        "claim_generator_info": [{"name": "napari-safire test", "version": "1"}],
        "title": title,
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
    info = c2pa.C2paSignerInfo("es256", by.chain.encode(), by.key.encode(), None)
    out = io.BytesIO()
    builder = c2pa.Builder(manifest, c2pa.Context.from_dict(QUIET))
    for name, ingredient in ingredients:
        said = json.dumps({"title": name, "relationship": "componentOf"})
        builder.add_ingredient(said, format, io.BytesIO(ingredient))
    if remote:
        builder.set_no_embed()
        builder.set_remote_url(remote)
    builder.sign(c2pa.Signer.from_info(info), format, io.BytesIO(data), out)
    return out.getvalue()
