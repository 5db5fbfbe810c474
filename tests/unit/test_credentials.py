"""Content Credentials: absent, valid, invalid, elsewhere; and that valid is not trusted."""

from __future__ import annotations

import io
import json
import socket
import sys
import threading
from pathlib import Path

import c2pa
import numpy as np
import pytest
from credentials_cases import GENERATED, Authority, authority, signed
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_safire import forensics
from napari_safire.forensics.export import write_evidence
from napari_safire.forensics.file import credentials
from napari_safire.forensics.file.credentials import TrustList, read_credentials
from napari_safire.text import printable

NO_LIST = TrustList()


def saved(format: str = "JPEG", seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 80, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=format)
    return file.getvalue()


@pytest.fixture(scope="module")
def house() -> Authority:
    return authority()


@pytest.fixture(scope="module")
def whole(house) -> bytes:
    return signed(saved(), house)


@pytest.fixture(autouse=True)
def no_list_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr(
        credentials.platformdirs, "user_config_path", lambda name: tmp_path / "settings" / name
    )


def look(tmp_path: Path, data: bytes, name: str = "a.jpg", **parameters: str) -> forensics.Evidence:
    path = tmp_path / name
    path.write_bytes(data)
    view = forensics.views(path)["content credentials"]
    return view.with_parameters(**parameters).result


def values(found: forensics.Evidence, name: str) -> list[str]:
    return [row.value for row in found.table if row.name == name]


def test_most_pictures_have_none(tmp_path):
    found = look(tmp_path, saved())
    assert found.finding == "no Content Credentials"
    assert not found.table


@pytest.mark.parametrize(("format", "mime"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
def test_valid_is_not_trusted(tmp_path, house, format, mime):
    found = look(tmp_path, signed(saved(format), house, format=mime), f"a.{format.lower()}")
    assert found.finding == "valid (unchanged since signed), trust not judged"
    assert found.score is None
    assert values(found, "Content Credentials") == ["valid"]
    assert values(found, "Signer") == ["trust not judged", "Test signer, Test house"]
    assert values(found, "Signed at") == ["no time stamp"]
    assert values(found, "Action") == ["c2pa.created, Test editor, digitalCapture"]
    assert values(found, "Trust list") == ["none"]


def test_a_trust_list_of_the_user_decides_on_trust(tmp_path, house, whole):
    mine, others = tmp_path / "mine.pem", tmp_path / "others.pem"
    mine.write_text(house.root)
    others.write_text(authority().root)
    trusted = look(tmp_path, whole, trust_list=str(mine))
    assert trusted.finding.endswith(", trusted")
    assert not list(trusted.remarks())
    listed = values(trusted, "Trust list")[0]
    assert listed.startswith("mine.pem of 20")
    assert "1 certificates" in listed
    untrusted = look(tmp_path, whole, trust_list=str(others))
    assert untrusted.finding.endswith(", not trusted")


def test_a_list_in_the_settings_folder_is_taken(tmp_path, house, whole):
    folder = credentials.trust_folder()
    folder.mkdir(parents=True)
    (folder / "signers.pem").write_text(house.root)
    (folder / "empty.pem").write_text("nothing")
    (folder / "odd.pem").write_bytes(b"\xff\xfe")
    found = look(tmp_path, whole)
    assert found.finding.endswith(", trusted")
    remarks = [row.remark for row in found.table if row.name == "Trust list"]
    assert remarks[0] == "it holds no certificate"
    assert remarks[1].startswith("not read: ")
    assert remarks[2] == ""


@pytest.mark.parametrize("body", ["\nAAAA\n-----END CERTIFICATE-----\n", "\n!!!", " junk"])
def test_a_damaged_list_trusts_nobody_and_accuses_nobody(tmp_path, house, whole, body):
    path = tmp_path / "list.pem"
    path.write_text("-----BEGIN CERTIFICATE-----" + body)
    found = look(tmp_path, whole, trust_list=str(path))
    assert found.finding.startswith("valid (unchanged since signed), ")
    assert not found.finding.endswith(", trusted")
    path.write_text(f"# of 2026\n{house.root}\n-----BEGIN CERTIFICATE-----{body}")
    assert look(tmp_path, whole, trust_list=str(path)).finding.endswith(", trusted")
    assert read_credentials(whole, TrustList("-----BEGIN CERTIFICATE-----" + body)).state == "valid"


def test_one_changed_byte_of_the_pixels_is_told(tmp_path, whole):
    changed = bytearray(whole)
    changed[-100] ^= 1
    found = look(tmp_path, bytes(changed))
    assert found.finding == "invalid: the file was changed after it was signed"
    assert values(found, "Signer")[1] == "Test signer, Test house"  # said all the same


def test_a_changed_statement_is_told(whole):
    found = read_credentials(whole.replace(b"Test editor", b"Best editor"), NO_LIST)
    assert found.state == "invalid"
    assert found.why == "a statement was changed after it was signed"


def test_a_changed_file_of_a_trusted_signer_is_invalid(house, whole):
    changed = whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]
    found = read_credentials(changed, TrustList(house.root))
    assert (found.state, found.trust) == ("invalid", "trusted")


def test_what_a_network_made_is_said_to_be(tmp_path, house):
    found = look(tmp_path, signed(saved(), house, source=GENERATED))
    assert [row.remark for row in found.table if row.name == "Action"] == [
        "said to be made by a trained network"
    ]
    assert found.finding.endswith("; said to be made by a trained network")
    assert len(found.finding.split()) <= 20


def test_ingredients_are_a_tree(tmp_path, house):
    first = signed(saved(seed=1), house, title="first.jpg")
    second = signed(saved(seed=2), house, title="second.jpg", ingredients=(("first.jpg", first),))
    parts = (("second.jpg", second), ("plain.jpg", saved(seed=3)))
    found = look(tmp_path, signed(saved(), house, title="third.jpg", ingredients=parts))
    tree = [(row.level, row.value) for row in found.table if row.name in ("Manifest", "Ingredient")]
    assert tree == [
        (0, "third.jpg"),
        (1, "second.jpg (componentOf)"),
        (2, "second.jpg"),
        (3, "first.jpg (componentOf)"),
        (4, "first.jpg"),
        (1, "plain.jpg (componentOf)"),
    ]
    assert found.finding.startswith("valid")


def test_an_ingredient_that_was_changed_is_told(house):
    inner = bytearray(signed(saved(seed=1), house))
    inner[-100] ^= 1
    found = read_credentials(
        signed(saved(), house, ingredients=(("a.jpg", bytes(inner)),)), NO_LIST
    )
    # The outer claim holds, and its writer noted that the ingredient did not.
    assert found.state == "valid"
    assert any("changed after it was signed" in row.remark for row in found.rows)


def test_nothing_is_asked_of_the_network(house):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.c2pa"
        data = signed(saved(), house, remote=address)
        found = read_credentials(data, NO_LIST)
        with pytest.raises(TimeoutError):
            server.accept()
        # Left to its own settings the same library does connect.
        server.settimeout(10)
        seen = []

        def serve() -> None:
            connection, _ = server.accept()
            seen.append(True)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(c2pa.C2paError):
            c2pa.Reader("image/jpeg", io.BytesIO(data), context=c2pa.Context.from_dict({}))
        thread.join()
    assert found.state == "remote"
    assert found.rows[0].value == address
    assert found.finding == "Content Credentials lie elsewhere and were not fetched"
    assert seen


def test_no_socket_is_opened_by_python_either(monkeypatch, tmp_path, house, whole):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert look(tmp_path, whole).finding.startswith("valid")


@pytest.mark.parametrize(
    "body",
    [
        b"JP\0\1\0\0\0\1" + b"\0\0\0\x30jumb",
        b"JP\0\1\0\0\0\1\xff\xff\xff\xffjumb\0\0\0\x25jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0",
        b"JP\0\1\0\0\0\1\0\0\0\1jumb" + b"\xff" * 8,
        b"JP" + b"\0" * 40,
    ],
)
def test_boxes_that_hold_nothing_are_told(tmp_path, body):
    plain = saved()
    segment = b"\xff\xeb" + (len(body) + 2).to_bytes(2, "big") + body
    found = look(tmp_path, plain[:2] + segment + plain[2:])
    assert found.finding.startswith("invalid: ")
    assert len(found.finding.split()) <= 20


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_of_the_picture_is_never_valid(whole, place, change):
    behind = whole.index(b"\xff\xdb")  # credentials lie before the tables
    at = behind + place % (len(whole) - behind)
    changed = whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
    assert read_credentials(changed, NO_LIST, boxes=True).state != "valid"


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_damaged_credentials_are_no_error(whole, place, written):
    at = place % (whole.index(b"\xff\xdb") - len(written))
    found = read_credentials(whole[:at] + written + whole[at + len(written) :], NO_LIST)
    assert found.state in ("absent", "valid", "invalid", "remote")
    assert printable(found.finding) == found.finding


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_file_that_was_cut_is_not_valid(whole, part):
    assert read_credentials(whole[: int(part * len(whole))], NO_LIST).state != "valid"


def test_markup_and_control_characters_are_shown_not_obeyed(tmp_path, house):
    title, agent = "<script>\x1b[2J\u202e</script>", "<b>x</b>" + "y" * 5000
    found = look(tmp_path, signed(saved(), house, title=title, agent=agent))
    assert values(found, "Manifest") == ["<script>\\x1b[2J\\u202e</script>"]
    assert all(row.value.isprintable() and len(row.value) <= 500 for row in found.table)
    path = tmp_path / "a.jpg"
    views = {"content credentials": forensics.views(path)["content credentials"]}
    text = write_evidence(tmp_path / "out", "a", path, views).read_text("utf-8")
    assert "\x1b" not in text
    assert json.loads(text)["views"][0]["table"][0] == ["Content Credentials", "valid", "", 0]


def test_without_the_library_everything_else_works(monkeypatch, tmp_path, whole):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = look(tmp_path, whole)
    assert found.finding.startswith("unread: the file has boxes for them, but c2pa's library")
    assert forensics.views(tmp_path / "a.jpg")["file"].result.table


def test_manifests_below_themselves_end():
    manifests = {"a": {"ingredients": [{"title": "b", "active_manifest": "a"}]}}
    rows = list(credentials._manifest(manifests, "a", 0, frozenset()))
    assert rows[-1].remark == "it is missing, or below itself"


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "manifests",
                        "active_manifest",
                        "a",
                        "assertions",
                        "ingredients",
                        "failure",
                        "code",
                        "validation_results",
                        "activeManifest",
                        "data",
                        "actions",
                        "label",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_report_is_read(document):
    found = credentials._stated(credentials._mapping(document), False)
    assert found.state == "invalid"
