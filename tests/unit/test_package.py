"""The package as it is installed: light to import, complete, and a plugin that napari accepts."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distribution
from importlib.resources import files

import npe2
import pytest

import napari_safire


def run(*command: str, **env: str) -> str:
    """Output of a Python process that must succeed."""
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_import_is_light() -> None:
    heavy = run(
        "-c",
        "import sys, napari_safire; dir(napari_safire);"
        "print(sorted({'torch', 'napari', 'qtpy', 'numpy'} & sys.modules.keys()))",
    )
    assert heavy.strip() == "[]"


@pytest.mark.parametrize("name", napari_safire.__all__)
def test_public_name_exists(name: str) -> None:
    assert name in dir(napari_safire)
    assert getattr(napari_safire, name) is not None


def test_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="attribute Engin"):
        napari_safire.Engin  # noqa: B018


def test_version_is_that_of_the_distribution() -> None:
    assert distribution("napari-safire").version == napari_safire.__version__


@pytest.mark.parametrize(
    "resource", ["py.typed", "napari.yaml", "images/demo/composite.png", "images/demo/mask.png"]
)
def test_resource_is_in_the_package(resource: str) -> None:
    assert files(napari_safire).joinpath(resource).is_file()


def test_manifest_of_the_installed_distribution() -> None:
    manifest = npe2.PluginManifest.from_distribution("napari-safire")
    manifest.validate_imports()
    assert manifest.display_name == "SAFIRE"
    from_file = npe2.PluginManifest.from_file(str(files(napari_safire) / "napari.yaml"))
    assert from_file.contributions == manifest.contributions


def test_sample_opens() -> None:
    manager = npe2.PluginManager.instance()
    manager.discover()
    samples = manager.get_manifest("napari-safire").contributions.sample_data or []
    (sample,) = [one for one in samples if one.key == "demo_composite"]
    (image, _, kind), (labels, _, labels_kind) = sample.open()
    assert (kind, labels_kind) == ("image", "labels")
    assert image.shape == (*labels.shape, 3)
    assert set(labels.ravel().tolist()) == {0, 1, 2}


def test_napari_lists_the_plugin(tmp_path) -> None:
    info = run("-m", "napari", "--info", NAPARI_CONFIG=str(tmp_path / "settings.yaml"))
    (line,) = [line for line in info.splitlines() if "napari-safire" in line]
    assert napari_safire.__version__ in line
    assert "rror" not in info
