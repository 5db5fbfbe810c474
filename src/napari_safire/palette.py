"""Colours of sources and of forgery maps: the same in the dock, in exported pictures and charts.

The rule: any two of the first 24 colours lie at least `LEAST_DISTANCE` apart (CIEDE2000), for
eyes that see all colours and for simulated protanopia, deuteranopia and tritanopia
(``tests/unit/test_palette.py``). Seven of them are Okabe and Ito's (2008); the others were chosen
among
saturated colours, one after the other, as far as possible from all before.
"""

from __future__ import annotations

Rgb = tuple[int, int, int]

LEAST_DISTANCE = 8.0
PALETTE: tuple[Rgb, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (86, 180, 233),
    (102, 34, 34),
    (34, 51, 102),
    (187, 221, 170),
    (170, 34, 0),
    (153, 255, 238),
    (0, 0, 221),
    (153, 85, 119),
    (136, 119, 255),
    (153, 34, 85),
    (136, 187, 119),
    (68, 102, 51),
    (204, 0, 153),
    (238, 204, 255),
    (187, 255, 153),
    (238, 170, 204),
    (119, 34, 255),
    (136, 136, 68),
)
GLOW: Rgb = (213, 94, 0)
"""Of a forgery map whose verdict is "forged"."""
MUTED: Rgb = (180, 200, 220)
"""Of any other forgery map: fog, which no one takes for an alarm."""
MUTED_SHARE = 0.45
"""How strong a muted map is at most, of what a glowing one may be."""
_FIRST_STEP, _STEP = 0.3, 0.05  # shares of black or white from the 25th colour on


def source_colour(source: int) -> Rgb:
    """Colour of a source.

    Parameters
    ----------
    source : int
        From 0.

    Returns
    -------
    (red, green, blue), each 0 to 255
        From the 25th source on darker and lighter steps of the first 24: all of 255 sources
        differ, but so many are told apart by their numbers rather than at sight.
    """
    step, place = divmod(source, len(PALETTE))
    colour = PALETTE[place]
    if step == 0:
        return colour
    share = min(0.95, _FIRST_STEP + _STEP * (step - 1))
    ground = 0 if step % 2 else 255
    red, green, blue = (round((1 - share) * value + share * ground) for value in colour)
    return red, green, blue
