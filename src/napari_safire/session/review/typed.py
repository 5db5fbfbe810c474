"""What is typed into the forms of a review, picture by picture, until it is kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from napari_safire.errors import SafireError
from napari_safire.session.review.drafts import Drafts
from napari_safire.session.review.opened import Place
from napari_safire.session.session import Session


class Typed:
    """Texts of forms by picture; written down by the session's file worker.

    Parameters
    ----------
    session : Session
    drafts : Drafts
    failed : callable
        Takes why something could not be written.
    """

    def __init__(
        self, session: Session, drafts: Drafts, failed: Callable[[Exception], None]
    ) -> None:
        self._session, self._drafts, self._failed = session, drafts, failed
        self._texts: dict[Hashable, dict[str, dict[str, Any]]] = {}
        self._places: dict[Hashable, Place] = {}
        self._dirty: set[Hashable] = set()

    def read(self, place: Place) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """Read what was typed in an earlier session, and what went wrong; for the file worker."""
        try:
            return self._drafts.find(*place), ()
        except SafireError as error:
            return {}, (str(error),)

    def begin(self, picture: Hashable, texts: Mapping[str, Any], place: Place) -> None:
        """Begin with the texts of an earlier session."""
        self._texts[picture] = {form: dict(values) for form, values in texts.items()}
        self._places[picture] = place
        self._dirty.discard(picture)

    def of(self, picture: Hashable, form: str) -> Mapping[str, Any]:
        """What stands in a form; empty where nothing does."""
        return self._texts.get(picture, {}).get(form, {})

    def note(self, picture: Hashable, form: str, values: Mapping[str, Any] | None) -> None:
        """Note what stands in a form; None: nothing any more."""
        forms = self._texts.setdefault(picture, {})
        if forms.get(form) == values:
            return
        if values is None:
            forms.pop(form, None)
        else:
            forms[form] = dict(values)
        self._dirty.add(picture)

    def drop(self, picture: Hashable, form: str, still: Mapping[str, Any]) -> None:
        """What stood in a form was kept: write down that it is empty, if it still stands there."""
        if self.of(picture, form) == still:
            self.note(picture, form, None)
            self.flush()

    def flush(self) -> None:
        """Write down what was noted since."""
        for picture in list(self._dirty):
            self._dirty.discard(picture)
            place = self._places.get(picture)
            if place is not None:
                self._keep(dict(self._texts.get(picture, {})), place)

    def _keep(self, texts: dict[str, dict[str, Any]], place: Place) -> None:
        drafts = self._drafts
        self._session.keep(lambda: drafts.keep(texts, *place), lambda _: None, self._failed)

    def forget(self, picture: Hashable) -> None:
        """Drop the texts of a picture that was closed."""
        self.flush()
        self._texts.pop(picture, None)
        self._places.pop(picture, None)
