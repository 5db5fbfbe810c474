"""From the bytes of a picture file to its pixels, with everything said that was decided on the way.

============  =====================================================================================
``limits``    what is too much: pixels, bytes, scans, pages, strips and tiles
``source``    bytes of a file or of memory, read at places that are checked
``stated``    `Decoding`: what was read, converted, assumed and left out
``names``     which file names are those of pictures
``metadata``  orientation, preview and profile of EXIF and XMP
``tiff``      pixels of a TIFF file; ``tiff_tags`` its tags and pages, ``tiff_layout`` where strips
              and tiles lie, ``tiff_segments`` unpacks them, with the help of ``tiff_file``
``jpeg``, ``png``, ``small``  the other formats; ``pillow`` what Pillow is asked
``heif``      AVIF and HEIC, by the libraries that are there
``structure`` parts of a file as they lie in it, for those who examine the file itself
============  =====================================================================================

Every format has two functions: ``inspect(source)`` reads the header alone, ``decode(source)`` all
of it. They raise `Refusal` for pictures that are not read, with the way out, and `Damage` for files
that are not whole; neither names the file, which `napari_safire.images.reading` does.
"""
