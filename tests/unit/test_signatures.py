"""Signatures with an SSH key: made, checked, refused in sentences."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from napari_safire.errors import SafireError
from napari_safire.review import signatures
from napari_safire.review.signatures import (
    check_signature,
    fingerprint,
    public_keys,
    sign,
    signed_message,
)

HEAD, PICTURE, JUDGED = "ab" * 32, "0123456789abcdef", "cd" * 32
needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(path)],
        check=True,
    )
    return path


@needs_ssh
def test_a_signature_holds_for_its_bytes_its_stance_and_its_signer_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = make_key(tmp_path / "-key of \u05d0nna")
    message = signed_message(HEAD, PICTURE, JUDGED, "signs")
    signature = sign(message, key)
    assert sign(message, f"{key}.pub").startswith("-----BEGIN SSH SIGNATURE-----")
    found = check_signature(message, signature)
    assert (found.valid, found.trusted) == (True, None)
    assert found.key.startswith("SHA256:")
    assert found.key in found.words
    assert found.key == fingerprint(Path(f"{key}.pub").read_text())
    assert not check_signature(signed_message(HEAD, PICTURE, JUDGED, "disputes"), signature).valid
    lines = signature.splitlines()
    assert not check_signature(message, "\n".join([*lines[:2], *lines[3:]])).valid

    allowed = tmp_path / "allowed"
    allowed.write_text(f"anna@lab {Path(f'{key}.pub').read_text()}")
    for name, known in (("anna@lab", True), ("ben@lab", False), ("", False), ("-h", False)):
        assert check_signature(message, signature, name=name, allowed_signers=allowed).trusted is (
            known
        )
    with pytest.raises(SafireError, match="no list of signers"):
        check_signature(message, signature, allowed_signers=tmp_path / "none")
    assert public_keys(tmp_path) == (Path(f"{key}.pub"),)


@needs_ssh
def test_a_passphrase_that_nobody_can_type_is_a_sentence(tmp_path, monkeypatch):
    for name in ("SSH_AUTH_SOCK", "DISPLAY", "SSH_ASKPASS"):
        monkeypatch.delenv(name, raising=False)
    key = make_key(tmp_path / "key", "correct horse")
    with pytest.raises(SafireError, match="passphrase: add it to your agent"):
        sign(b"message", key)
    with pytest.raises(SafireError, match="cannot sign"):
        sign(b"message", Path(__file__))


def test_no_program_no_key_no_answer_are_sentences(tmp_path, monkeypatch):
    with pytest.raises(SafireError, match="There is no key"):
        sign(b"message", tmp_path / "none")
    key = tmp_path / "key"
    key.write_text("")
    monkeypatch.setattr(signatures.shutil, "which", lambda name: None)
    with pytest.raises(SafireError, match="no ssh-keygen on this machine"):
        sign(b"message", key)
    slow = tmp_path / "ssh-keygen"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setattr(signatures.shutil, "which", lambda name: str(slow))
    monkeypatch.setattr(signatures, "_PATIENCE", 0.2)
    with pytest.raises(SafireError, match="did not answer within"):
        sign(b"message", key)


@pytest.mark.parametrize("text", ["", "x" * 100, "-----BEGIN SSH SIGNATURE-----\n" + "A" * 99_999])
def test_what_is_no_signature_is_not_given_to_any_program(text, monkeypatch):
    monkeypatch.setattr(signatures, "_run", None)
    assert check_signature(b"message", text).words == "This is no SSH signature."


@pytest.mark.parametrize("value", ["", "a\nstance: disputes", "a\u202e"])
def test_what_would_leave_its_line_is_not_signed(value):
    with pytest.raises(ValueError, match="cannot be signed"):
        signed_message(HEAD, value, JUDGED, "signs")


def test_folders_without_keys_have_none(tmp_path):
    (tmp_path / "notes.pub").write_text("a pub in the village")
    (tmp_path / "gone.pub").symlink_to(tmp_path / "nothing")
    assert public_keys(tmp_path) == ()
    assert public_keys(tmp_path / "none") == ()


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 a*b anna"])
def test_what_is_no_key_has_no_fingerprint(line):
    assert fingerprint(line) == ""
