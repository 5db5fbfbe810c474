"""Detached signatures with a reviewer's own SSH key, made and checked by OpenSSH's ssh-keygen.

What is signed are the bytes of `signed_message`, in the namespace ``napari-safire``. With them in a
file, anybody can check a signature without this program::

    ssh-keygen -Y check-novalidate -n napari-safire -s judgement.sig < judgement.txt
    ssh-keygen -Y verify -f allowed_signers -I ben@lab -n napari-safire -s judgement.sig < …

The first proves that the bytes are those that the key signed; only the second, with a list of
allowed signers, says whose key it is.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_safire.errors import SafireError
from napari_safire.text import printable

NAMESPACE = "napari-safire"
LONGEST_SIGNATURE = 64 * 1024  # characters; RSA keys of 16,384 bits need a tenth
_PATIENCE = 60  # seconds: a passphrase is typed, a hardware key is touched
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_FINGERPRINT = re.compile(r"key (SHA256:[A-Za-z0-9+/=]{20,60})")
_KINDS = ("ssh-", "ecdsa-", "sk-")


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """What came of looking at a signature.

    Parameters
    ----------
    valid : bool
        The bytes are those that the key signed.
    key : str
        Fingerprint of the key, "SHA256:…"; empty where the signature could not be read.
    trusted : bool or None
        Whether a list of allowed signers gives this key to the name; None without a list.
    words : str
        All of it in one sentence.
    """

    valid: bool
    key: str
    trusted: bool | None
    words: str


def signed_message(head: str, picture_id: str, judgement: str, stance: str) -> bytes:
    r"""Return the bytes that a reviewer signs.

    Parameters
    ----------
    head : str
        SHA-256 of the last event of the case's chain that was seen.
    picture_id : str
    judgement : str
        SHA-256 of the event by which the verdict was given that is signed.
    stance : str
        "signs" or "disputes".

    Returns
    -------
    bytes
        Five lines of UTF-8, each ended by a line feed.

    Raises
    ------
    ValueError
        A value is empty or has characters that would not stay in its line.

    Examples
    --------
    >>> signed_message("ab" * 32, "0123456789abcdef", "cd" * 32, "signs").splitlines()[-1]
    b'stance: signs'
    """
    for value in (head, picture_id, judgement, stance):
        if not value or printable(value) != value:
            raise ValueError(f"{printable(value)[:80]!r} cannot be signed: give one line of text.")
    return (
        f"napari-safire review 1\nhead: {head}\npicture: {picture_id}\njudgement: {judgement}\n"
        f"stance: {stance}\n"
    ).encode()


def fingerprint(public_key: str) -> str:
    """Give the fingerprint of a public key, as OpenSSH writes it.

    Parameters
    ----------
    public_key : str
        One line: kind, key in base 64, perhaps a comment.

    Returns
    -------
    str
        "SHA256:…"; empty where it is no public key.
    """
    parts = public_key.split()
    try:
        data = base64.b64decode(parts[1], validate=True)
    except (IndexError, ValueError):
        return ""
    return f"SHA256:{base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')}"


def public_keys(folder: Path | None = None) -> tuple[Path, ...]:
    """Find the public keys that a reviewer may sign with.

    Parameters
    ----------
    folder : Path, optional
        Default: ``.ssh`` of the user's home.

    Returns
    -------
    tuple of Path
        Sorted; empty where there are none, or the folder cannot be read.
    """
    folder = Path("~/.ssh").expanduser() if folder is None else folder
    found = []
    for path in sorted(folder.glob("*.pub")):
        try:
            with path.open("rb") as file:
                begin = file.read(16)
        except OSError:  # another user's, or a link that leads nowhere: none to sign with
            continue
        if begin.startswith(tuple(kind.encode() for kind in _KINDS)):
            found.append(path)
    return tuple(found)


def sign(message: bytes, key: str | os.PathLike[str]) -> str:
    """Sign bytes with an SSH key.

    A passphrase is asked for by the agent, or by the program that SSH_ASKPASS names; nothing here
    sees it.

    Parameters
    ----------
    message : bytes
        From `signed_message`.
    key : path-like
        The private key, or the public one of a key that an agent holds.

    Returns
    -------
    str
        The armoured signature.

    Raises
    ------
    SafireError
        There is no ssh-keygen, no such key, no passphrase, or nobody touched the hardware key in
        time.
    """
    path = os.path.abspath(os.path.expanduser(key))
    if not os.path.isfile(path):
        raise SafireError(f"There is no key {printable(path)}: choose another, or sign without.")
    done = _run(["-Y", "sign", "-n", NAMESPACE, "-f", path], message)
    signature = done.stdout.decode("ascii", "replace")
    if done.returncode or _BEGIN not in signature:
        raise SafireError(_why_unsigned(path, done.stderr))
    return signature.replace("\r\n", "\n")


def check_signature(
    message: bytes,
    signature: str,
    *,
    name: str = "",
    allowed_signers: str | os.PathLike[str] | None = None,
) -> SignatureCheck:
    """Check a signature, and whose it is where a list says so.

    Parameters
    ----------
    message : bytes
        What is said to have been signed.
    signature : str
        Armoured; from anybody.
    name : str
        Of the signer, as the list has it.
    allowed_signers : path-like, optional
        OpenSSH's list of names and keys (``man ssh-keygen``, ALLOWED SIGNERS).

    Returns
    -------
    SignatureCheck

    Raises
    ------
    SafireError
        There is no ssh-keygen, or no such list.
    """
    text = signature.strip()
    if not text.startswith(_BEGIN) or not text.endswith(_END) or len(text) > LONGEST_SIGNATURE:
        return SignatureCheck(False, "", None, "This is no SSH signature.")
    with tempfile.TemporaryDirectory(prefix="napari-safire-") as folder:
        file = Path(folder) / "signature"
        file.write_text(text + "\n", encoding="utf-8", newline="\n")
        kept = ["-n", NAMESPACE, "-s", str(file)]
        done = _run(["-Y", "check-novalidate", *kept], message)
        found = _FINGERPRINT.search(done.stdout.decode("utf-8", "replace"))
        key = found[1] if found else ""
        if done.returncode:
            return SignatureCheck(False, key, None, "The signature is not of these bytes.")
        if allowed_signers is None:
            return SignatureCheck(
                True, key, None, f"Signed with the key {key}; whose it is was not asked."
            )
        known = _listed(os.path.abspath(os.path.expanduser(allowed_signers)), name, kept, message)
    whose = "is one of" if known else "is none of"
    return SignatureCheck(
        True, key, known, f"The key {key} {whose} {printable(name) or 'nobody'} in the list."
    )


def _listed(path: str, name: str, kept: Sequence[str], message: bytes) -> bool:
    if not os.path.isfile(path):
        raise SafireError(f"There is no list of signers {printable(path)}: give another.")
    if not name:
        return False
    return _run(["-Y", "verify", "-f", path, "-I", name, *kept], message).returncode == 0


def _run(arguments: Sequence[str], message: bytes) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SafireError(
            "There is no ssh-keygen on this machine: install OpenSSH 8.2 or later, or go on "
            "without signatures."
        )
    # Without a terminal it cannot wait for a passphrase where nobody sees the question.
    apart: dict[str, Any] = (
        {"creationflags": subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined,unused-ignore]
        if os.name == "nt"
        else {"start_new_session": True}
    )
    try:
        return subprocess.run(
            [program, *arguments],
            input=message,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            **apart,
        )
    except subprocess.TimeoutExpired as error:
        raise SafireError(
            f"ssh-keygen did not answer within {_PATIENCE} seconds: unlock the key in your agent, "
            "touch the hardware key, or go on without signatures."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in an argument
        raise SafireError(
            f"{printable(program)} cannot be run ({error}): go on without signatures."
        ) from error


def _why_unsigned(path: str, said: bytes) -> str:
    words = printable(" ".join(said.decode("utf-8", "replace").split()))[-300:]
    name = printable(os.path.basename(path))
    lower = words.lower()
    if "passphrase" in lower:
        return (
            f"The key {name} needs its passphrase: add it to your agent (`ssh-add {name}`), and "
            "sign again."
        )
    if "unknown option" in lower or "illegal option" in lower or "unsupported operation" in lower:
        return "This ssh-keygen cannot sign: install OpenSSH 8.2 or later."
    if "device" in lower or "presence" in lower:
        return f"The hardware key of {name} was not there, or not touched: {words}"
    return f"The key {name} cannot sign: {words or 'ssh-keygen gave no reason'}."
