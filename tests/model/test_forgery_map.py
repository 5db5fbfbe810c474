"""The forgery map: over the sources, muted without evidence, explained by a scale."""

from __future__ import annotations

import numpy as np
import pytest
from dock_steps import CALIBRATION, forgery, partitioned
from napari.components import ViewerModel

from napari_safire.forgery import NO_EVIDENCE, ForgeryMap
from napari_safire.gui.layers.colours import MUTED_NAME
from napari_safire.gui.layers.image_planes import PictureLayer
from napari_safire.gui.layers.layer_group import LayerGroup

from .conftest import Dock
from .hand import pump

SHAPE = (120, 160)


@pytest.fixture
def layer_group() -> LayerGroup:
    viewer = ViewerModel()
    picture = viewer.add_image(np.zeros(SHAPE, np.uint8), name="picture")
    return LayerGroup(viewer, PictureLayer(picture))


def names(layer_group: LayerGroup) -> list[str]:
    return [layer.name for layer in layer_group._viewer.layers]


@pytest.mark.parametrize("verdict", ["no forgery found", "inconclusive"])
def test_a_map_without_evidence_is_muted_and_says_so(layer_group: LayerGroup, verdict) -> None:
    layer_group.show_heatmap((), forgery(verdict), visible=True)
    layer_group.style_heatmap(forgery(verdict))
    layer = layer_group.heatmap
    assert layer is not None
    assert layer.colormap.name == MUTED_NAME
    assert layer.name == "picture: forgery map (no evidence)"
    assert tuple(layer.contrast_limits) == (0, 1)
    drawn = layer.colormap.map(np.array([0.0, 1.0]))
    assert drawn[0, 3] == 0  # nothing is drawn where the map is low
    assert drawn[1, 3] * layer.opacity < 0.5  # never at full scale
    assert np.ptp(drawn[1, :3]) < 0.2  # and without a colour that glows


def test_a_forged_verdict_lets_it_glow_and_another_mutes_it_again(layer_group: LayerGroup) -> None:
    layer_group.show_heatmap((), forgery("forged"), visible=True)
    layer = layer_group.heatmap
    assert layer is not None
    for verdict, name in (
        ("forged", "picture: forgery map"),
        ("inconclusive", "picture: forgery map (no evidence)"),
        ("forged", "picture: forgery map"),
    ):
        layer_group.style_heatmap(forgery(verdict))
        assert (layer.colormap.name == "magma") == (verdict == "forged")
        assert layer.name == name
    layer_group.style_heatmap(None)  # no single plane is looked at
    assert layer.colormap.name == MUTED_NAME


def test_the_users_own_name_for_the_map_stays(layer_group: LayerGroup) -> None:
    layer_group.show_heatmap((), forgery("forged"), visible=True)
    assert layer_group.heatmap is not None
    layer_group.heatmap.name = "exhibit 7"
    layer_group.style_heatmap(forgery("forged"))
    assert layer_group.heatmap.name == "exhibit 7"


def test_the_map_lies_over_the_sources_whichever_comes_first(layer_group: LayerGroup) -> None:
    layer_group.need_prompts()
    layer_group.show_heatmap((), forgery("forged"), visible=False)
    layer_group.need_sources()
    order = names(layer_group)
    assert order.index("picture: sources") < order.index("picture: forgery map (no evidence)")
    assert order[-1] == "picture: prompts"


def test_the_sources_are_hidden_while_the_map_is_shown(layer_group: LayerGroup) -> None:
    sources = layer_group.need_sources()
    layer_group.show_heatmap((), forgery("forged"), visible=True)
    heatmap = layer_group.heatmap
    assert heatmap is not None
    assert not sources.visible
    heatmap.visible = False  # by the eye in napari's list of layers
    assert sources.visible
    sources.visible = False  # by the user: what the user hid does not come back
    heatmap.visible = True
    heatmap.visible = False
    assert not sources.visible


def test_sources_that_come_while_the_map_is_shown_wait_for_it(layer_group: LayerGroup) -> None:
    layer_group.show_heatmap((), forgery("forged"), visible=True)
    sources = layer_group.need_sources()
    assert not sources.visible
    heatmap = layer_group.heatmap
    assert heatmap is not None
    layer_group._viewer.layers.remove(heatmap)
    layer_group.drop(heatmap)
    assert sources.visible


def test_sources_come_back_when_the_companions_are_let_go(layer_group: LayerGroup) -> None:
    sources = layer_group.need_sources()
    layer_group.show_heatmap((), forgery("forged"), visible=True)
    layer_group.close()
    assert sources.visible


# ---------------------------------------------------------------- in the dock


def test_the_scale_has_the_caveat_and_goes_with_the_map(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitioned(dock, monkeypatch, forgery("no forgery found"))
    view = dock.widget.view
    assert view.legend.isHidden()
    dock.press(view.buttons["forgery map"])
    assert view.legend.isVisible()
    assert view.legend.caveat.text().startswith(NO_EVIDENCE)
    layer_group = dock.controller.layer_group
    assert layer_group is not None
    assert layer_group.heatmap is not None
    layer_group.heatmap.visible = False  # in napari's list of layers
    pump()
    assert view.legend.isHidden()
    assert not view.buttons["forgery map"].isChecked()


def test_the_button_shows_the_state_of_the_picture_that_is_worked_on(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitioned(dock, monkeypatch, forgery("forged"))
    view = dock.widget.view
    dock.press(view.buttons["forgery map"])
    dock.viewer.add_image(np.full((*SHAPE, 3), 9, np.uint8), name="other")
    dock.settle()
    assert view.legend.isHidden()
    assert not view.buttons["forgery map"].isChecked()
    dock.viewer.layers.selection.active = dock.viewer.layers["picture"]
    dock.settle()
    assert view.buttons["forgery map"].isChecked()
    assert view.legend.isVisible()


def test_each_slice_has_the_style_of_its_own_verdict(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([forgery("forged"), forgery("no forgery found")])
    assert dock.engine is not None
    monkeypatch.setattr(dock.engine, "localize", lambda *args, **more: next(found))
    dock.viewer.add_image(np.zeros((2, *SHAPE), np.uint8), name="stack")
    dock.settle()
    dock.controller.partition_all()
    dock.settle()
    layer_group = dock.controller.layer_group
    assert layer_group is not None
    assert layer_group.heatmap is not None
    for step, glows in ((0, True), (1, False), (0, True)):
        dock.viewer.dims.set_current_step(0, step)
        dock.settle()
        assert (layer_group.heatmap.colormap.name == "magma") == glows
    dock.viewer.dims.ndisplay = 3  # both at once: no one verdict holds
    pump()
    assert layer_group.heatmap.colormap.name == MUTED_NAME


# ---------------------------------------------------------------- odds


def test_the_likelihood_ratio_is_shown_and_a_prior_is_named(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = forgery("forged", score=0.95)
    partitioned(dock, monkeypatch, found)
    verdict = dock.widget.verdict
    assert "Likelihood ratio 19 (forgery against authentic)." in verdict.whole.text()
    verdict.prior = 0.01
    posterior = found.with_prior(0.01)
    assert posterior is not None
    assert f"With a prior of 1.0%, from Preferences: probability {posterior:.2g}." in (
        verdict.whole.text()
    )
    assert "0.16" in verdict.whole.text()


def test_an_inconclusive_verdict_says_why_in_one_sentence_and_the_rest_on_demand(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "It lies between. " + "Something else could settle it, if only it were there. " * 4
    found = ForgeryMap(
        np.zeros(SHAPE, np.float32), 0.5, "inconclusive", reason.strip(), CALIBRATION
    )
    partitioned(dock, monkeypatch, found)
    verdict = dock.widget.verdict
    assert verdict.reason.text() == "It lies between."
    dock.press(verdict.details.heading)
    assert verdict.whole.isVisible()
    assert verdict.whole.text().count("settle it") == 4
