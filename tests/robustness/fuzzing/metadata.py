"""Pictures full of metadata (EXIF, XMP, ICC, IPTC, C2PA), and the views that show it."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

from napari_safire import forensics
from napari_safire.text import printable

VIEWS = ("file", "metadata", "content credentials", "thumbnail")


def samples() -> dict[str, bytes]:
    """Whole files that hold as much as there is to damage."""
    import numpy as np
    import picture_cases
    from credentials_cases import authority, signed
    from PIL import Image, PngImagePlugin

    pixels = np.kron(picture_cases.COLOUR, np.ones((2, 2, 1), np.uint8))
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x010F], exif[0x0131], exif[0x0132] = "Canon", "Adobe Photoshop", "2020:01:01 10:00:00"
    exif.get_ifd(0x8769).update({0x9003: "2019:01:01 10:00:00", 0x927C: b"\1\0" + b"\2" * 40})
    exif.get_ifd(0x8825)[29] = "2020:01:01"
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf'
        b'-syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Label="x">'
        b"<xmp:a><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></xmp:a></rdf:Description></rdf:RDF>"
        b"</x:xmpmeta>"
    )
    common = {"exif": exif, "icc_profile": picture_cases.ICC}

    def saved(format: str, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
    info.add_text("parameters", "Steps: 20, Sampler: Euler a, Seed: 1", zip=True)
    resources = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\x0c\x1c\2\x78\0\7caption"
    plain = saved("JPEG", xmp=xmp, **common)
    thumbnail = saved("JPEG", quality=30)
    with_resources = b"\xff\xed" + (len(resources) + 2).to_bytes(2, "big") + resources
    by = authority()
    return {
        "a.jpg": plain[:2] + with_resources + plain[2:],
        "progressive.jpg": saved("JPEG", progressive=True, exif=exif),
        "signed.jpg": signed(plain, by),
        "signed.png": signed(saved("PNG"), by, format="image/png"),
        "a.png": saved("PNG", pnginfo=info, **common),
        "a.webp": saved("WEBP", xmp=xmp, **common),
        "a.tif": saved("TIFF", exif=exif, icc_profile=picture_cases.ICC),
        "a.gif": saved("GIF"),
        "a.bmp": saved("BMP"),
        "a.avif": saved("AVIF", xmp=xmp, **common),
        "a.mpo": saved("MPO", save_all=True, append_images=[image.resize((40, 32))]),
        "appended.jpg": plain + b"PK\3\4" + thumbnail,
    }


def read(path: Path) -> None:
    """Look at all that the views of a file tell; text must be harmless to a terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = forensics.Picture.undecoded(path)
        for name, view in forensics.views(picture).items():
            if name not in VIEWS or not view.applicable:
                continue
            found = view.result
            text = found.finding + "".join(r.name + r.value + r.remark for r in found.table)
            assert text == printable(text), f"{name}: not printable"
            json.dumps([found.finding, found.score], allow_nan=False)
