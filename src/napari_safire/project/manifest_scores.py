"""What the manifest of a corpus says of pictures of a project: no model is asked again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from napari_safire.basis import RunBasis
from napari_safire.corpus.triage.choice import Chosen
from napari_safire.project.chain.events import Draft
from napari_safire.project.pictures import project_pictures
from napari_safire.project.store import Project

_COLUMNS = ("file_sha256", "score", "verdict")


@dataclass(frozen=True, slots=True)
class ManifestScore:
    """A model's verdict on a file.

    Parameters
    ----------
    file_sha256 : str
    score : float or None
    verdict : str
    basis : RunBasis
        Model and settings.
    """

    file_sha256: str
    score: float | None
    verdict: str
    basis: RunBasis


def manifest_scores(chosen: Chosen) -> tuple[ManifestScore, ...]:
    """Return the verdicts on chosen pictures; none where the model is not known."""
    job, names = chosen.source.job, chosen.source.schema.names
    if job is None or not set(_COLUMNS) <= set(names):
        return ()
    rows = chosen.table(_COLUMNS).select(list(_COLUMNS)).to_pylist()
    return tuple(
        ManifestScore(basis=job.basis, **row)
        for row in rows
        if row["file_sha256"] and row["verdict"]
    )


def note_scores(project: Project, scores: Iterable[ManifestScore]) -> int:
    """Note verdicts with the pictures of a project that have none yet.

    Parameters
    ----------
    project : Project
    scores : iterable of ManifestScore
        Of a file that was changed since, its hash is another: nothing is noted then.

    Returns
    -------
    int
        How many got one.
    """
    by_file = {one.file_sha256: one for one in scores}
    drafts = []
    for picture in project_pictures(project):
        one = by_file.get(picture.file_sha256)
        if one is not None and not picture.verdict:
            basis = replace(one.basis, picture_sha256=one.file_sha256)
            body = {
                "score": one.score,
                "verdict": one.verdict,
                "uncertainty": None,  # a manifest does not say it
                "basis": basis.as_record(),
            }
            drafts.append(Draft("picture.scored", picture.id, body))
    project.append_many(drafts)
    return len(drafts)
