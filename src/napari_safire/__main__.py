"""``python -m napari_safire …``: the command line, of the Python that runs it."""

from napari_safire.cli import main

if __name__ == "__main__":
    main()
