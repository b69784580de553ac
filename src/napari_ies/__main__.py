"""``python -m napari_ies``: the console command."""

from napari_ies.cli import main

if __name__ == "__main__":
    main()
