"""The model's answers to prompts, laid over an annotation as its preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_safire.annotation.annotation import Annotation, Preview
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.region_labels import (
    Asked,
    Unions,
    asked_for,
    compose_labels,
    nearest_regions,
)
from napari_safire.types import Embedding, SourceRegion

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.partitioning.prompt_grid import PromptGrid


def previewed(
    state: Annotation,
    regions: Mapping[Asked, SourceRegion],
    grid: PromptGrid | None,
    unions: Unions,
    jointly: bool,
) -> Annotation:
    """Answer the live prompts without the model: exactly if all were asked, else by the grid."""
    live = state.live_prompts
    asked = asked_for(live, jointly)
    missing = [prompt.point for prompt in live if asked[prompt] not in regions]
    if not live or (missing and grid is None):
        return state
    near = nearest_regions(missing, grid) if missing and grid is not None else {}
    of_prompts = {p: regions.get(asked[p]) or near[p.point] for p in live}
    geometry = of_prompts[live[0]].geometry
    labels = compose_labels(live, of_prompts, geometry, unions)
    return state.with_preview(
        Preview(PackedLabels.pack(labels), "prompts", live, exact=not missing)
    )


def ask_regions(
    engine: Engine, embedding: Embedding, missing: Sequence[Asked]
) -> dict[Asked, SourceRegion]:
    """Ask the model for regions that are not known yet."""
    alone = [asked for asked in missing if len(asked.points) == 1 and not asked.others]
    regions = engine.segment(embedding, [asked.points[0] for asked in alone])
    found: dict[Asked, SourceRegion] = dict(zip(alone, regions, strict=True))
    for asked in missing:
        if asked not in found:
            found[asked] = engine.segment_source(embedding, asked.points, others=asked.others)
    return found
