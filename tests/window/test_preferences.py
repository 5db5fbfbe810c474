"""Preferences: napari's own settings and form, really used."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import napari.settings
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from napari._qt.dialogs.preferences_dialog import PreferencesDialog
from npe2 import PluginManager, PluginManifest
from qtpy.QtWidgets import QApplication, QDoubleSpinBox, QLineEdit, QSpinBox

import napari_safire
from napari_safire.gui.preferences import Preferences, PreferencesWatch

from .hand import pump

MANIFEST = Path(napari_safire.__file__).with_name("napari.yaml")
NAMES = [each.name for each in dataclasses.fields(Preferences) if each.name != "problems"]


@pytest.fixture
def installed(plugin_settings: None, npe2pm: PluginManager) -> Iterator[PluginManager]:
    """The plugin and nothing else, with settings of its own in a temporary folder."""
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(MANIFEST)):
        yield npe2pm


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return tmp_path / "napari-safire.yaml"


def section() -> Any:
    return napari.settings.get_plugin_settings("napari-safire").start


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ""),
        ("model", None),
        ("device", "tpu"),
        ("device", "cuda:"),
        ("device", 3),
        ("points_per_side", 3),
        ("points_per_side", 65),
        ("points_per_side", 16.5),
        ("points_per_side", True),
        ("embed_on_selection", "yes"),
        ("cache_gib", -0.1),
        ("cache_gib", float("nan")),
        ("cache_gib", "much"),
        ("partition_method", "magic"),
        ("partition_method", []),
        ("sources_opacity", 1.01),
        ("prior_percent", 0),
        ("prior_percent", 100),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object):
    with pytest.raises(ValueError, match=rf"{name} is .*, but must be"):
        Preferences(**{name: value})


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:11"])
def test_every_kind_of_device_is_taken(device: str):
    assert Preferences(device=device).device == device


# -- napari's settings ---------------------------------------------------------------------------


@pytest.mark.usefixtures("installed")
def test_the_manifest_has_the_same_names_and_defaults():
    assert Preferences.load() == Preferences()
    assert Preferences.load().problems == ()
    assert sorted(section().model_dump()) == sorted(NAMES)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "name", ["points_per_side", "cache_gib", "sources_opacity", "prior_percent"]
)
def test_the_manifest_has_the_same_limits(name: str):
    schema = type(section()).model_json_schema()["properties"][name]
    for limit, beyond in ((schema["minimum"], -1), (schema["maximum"], 1)):
        value = type(getattr(Preferences(), name))(limit)
        assert getattr(Preferences(**{name: value}), name) == value
        with pytest.raises(ValueError, match=name):
            Preferences(**{name: value + beyond})


@pytest.mark.usefixtures("installed")
def test_a_setting_is_read_and_survives_the_session(settings_file: Path):
    section().points_per_side = 24
    section().device = "cpu"
    assert Preferences.load() == Preferences(points_per_side=24, device="cpu")
    assert yaml.safe_load(settings_file.read_text()) == {
        "start": {"points_per_side": 24, "device": "cpu"}
    }


@pytest.mark.usefixtures("installed")
def test_settings_of_an_earlier_session_are_read(settings_file: Path):
    settings_file.write_text(
        "start: {cache_gib: 2, embed_on_selection: false, partition_method: dbscan, model: /a/b}"
    )
    assert Preferences.load() == Preferences(
        cache_gib=2, embed_on_selection=False, partition_method="dbscan", model="/a/b"
    )


@pytest.mark.usefixtures("installed")
def test_a_wrong_value_in_the_file_is_named_and_the_rest_holds(settings_file: Path):
    settings_file.write_text(
        "start: {points_per_side: 1000, device: tpu, partition_method: magic, sources_opacity: .3}"
    )
    loaded = Preferences.load()
    assert loaded == Preferences(sources_opacity=0.3)
    assert [problem.split()[0] for problem in loaded.problems] == [
        "device",
        "points_per_side",
        "partition_method",
    ]
    assert (
        "points_per_side is 1000, but must be a whole number from 4 to 64. 16 is used"
        in (loaded.problems[1])
    )


@pytest.mark.usefixtures("installed")
def test_a_wrong_value_from_the_environment_is_named(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch
):
    settings_file.write_text("start: {device: cpu}")
    monkeypatch.setenv("NAPARI_START_DEVICE", "abacus")
    loaded = Preferences.load()
    assert loaded == Preferences()
    assert "device is 'abacus'" in loaded.problems[0]


@pytest.mark.usefixtures("installed")
def test_our_other_environment_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch):
    """napari reads NAPARI_<SECTION>_<NAME>; the registry of models has a variable of that look."""
    monkeypatch.setenv("NAPARI_SAFIRE_MODELS", "/lab/models.toml")
    assert Preferences.load() == Preferences()
    assert Preferences.load().problems == ()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "content",
    [b"start: [", b"just words", b"- a\n- b\n", b"\xff\xfe\x00", b"start: 3", b"start: [1]"],
)
def test_a_damaged_file_gives_defaults_and_a_sentence(settings_file: Path, content: bytes):
    settings_file.write_bytes(content)
    loaded = Preferences.load()
    assert loaded == Preferences()
    assert len(loaded.problems) == 1
    assert "efaults are used" in loaded.problems[0]


@given(
    name=st.sampled_from(NAMES),
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]),
)
def test_any_value_is_taken_or_named(name: str, value: object):
    said = ""
    try:
        kept = getattr(Preferences(**{name: value}), name)
    except ValueError as error:
        said, kept = str(error), value
    assert said.startswith(f"{name} is {value!r}" if said else "")
    assert said or kept == value


def test_without_the_plugin_there_are_defaults_and_a_sentence(plugin_settings: None):
    loaded = Preferences.load()
    assert loaded == Preferences()
    assert "does not exist" in loaded.problems[0]
    PreferencesWatch().close()


def test_a_napari_without_plugin_settings_gives_defaults_and_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delattr(napari.settings, "get_plugin_settings")
    loaded = Preferences.load()
    assert loaded == Preferences()
    assert "0.9 and later have" in loaded.problems[0]
    PreferencesWatch().close()


# -- changes -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("installed")
def test_a_change_is_heard_until_close():
    watch = PreferencesWatch()
    heard: list[Preferences] = []
    watch.changed.connect(heard.append)
    section().device = "cpu"
    section().device = "cpu"
    section().update({"points_per_side": 8, "cache_gib": 1.0})
    assert heard == [
        Preferences(device="cpu"),
        Preferences(device="cpu", points_per_side=8, cache_gib=1.0),
    ]
    listening = len(section().events.callbacks)
    watch.close()
    watch.close()
    assert len(section().events.callbacks) == listening - 1
    section().device = "auto"
    assert len(heard) == 2


def test_a_change_is_heard_after_another_plugin_came(installed: PluginManager):
    watch = PreferencesWatch()
    heard: list[Preferences] = []
    watch.changed.connect(heard.append)
    before = section()
    with installed.tmp_plugin(name="another-plugin"):
        assert section() is not before
        section().device = "cpu"
        assert heard == [Preferences(device="cpu")]
    watch.close()


@pytest.mark.usefixtures("installed")
def test_a_forgotten_watch_is_freed():
    watch = PreferencesWatch()
    trace = weakref.ref(watch)
    del watch
    gc.collect()
    assert trace() is None
    section().device = "cpu"  # and nobody stumbles over it


def test_the_preferences_window_shows_and_changes_them(
    installed: PluginManager, viewer: napari.Viewer
):
    watch = PreferencesWatch()
    heard: list[Preferences] = []
    watch.changed.connect(heard.append)
    dialog = PreferencesDialog(viewer.window.main_menu.window())
    dialog.show()
    try:
        pages = {dialog._list.item(i).text(): i for i in range(dialog._list.count())}
        page = dialog._stack.widget(pages["SAFIRE"])
        dialog._list.setCurrentRow(pages["SAFIRE"])
        pump(0.2)
        (points,) = [box for box in page.findChildren(QSpinBox) if box.value() == 16]
        assert (points.minimum(), points.maximum()) == (4, 64)
        points.setValue(20)
        assert heard[-1] == Preferences(points_per_side=20)
        (size,) = [box for box in page.findChildren(QDoubleSpinBox) if box.value() == 4.0]
        size.setValue(1.5)
        assert heard[-1] == Preferences(points_per_side=20, cache_gib=1.5)
        (device,) = [line for line in page.findChildren(QLineEdit) if line.text() == "auto"]
        device.setText("")  # on the way to something else
        assert Preferences.load().device == "auto"
        device.setText("cpu")
        assert Preferences.load() == Preferences(points_per_side=20, cache_gib=1.5, device="cpu")
        dialog.reject()  # Cancel takes everything back
        assert heard[-1] == Preferences()
    finally:
        dialog.close()
        watch.close()
        QApplication.processEvents()
