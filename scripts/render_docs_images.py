"""Render the pictures of the documentation from the synthetic demo.

Run it on a display, such as ``xvfb-run -a -s "-screen 0 1600x1000x24"`` gives; no real patient is
ever shown.
"""

from __future__ import annotations

from pathlib import Path

from napari_ies.viewer.demo import run_demo

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def main() -> None:
    run_demo(IMAGES / "demo.png")


if __name__ == "__main__":
    main()
