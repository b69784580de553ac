"""Random actions in the window: nothing fails, no thread dies, and the process ends.

``pytest tests/viewer/test_monkey.py --monkey-actions 2000 --monkey-seed 7`` plays for longer. What
counts as a failure is in ``monkey.py``, which can also be run alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 15
"""Of playing, in the suite: a slow computer plays fewer actions, not for longer."""
PATIENCE = 400
"""Seconds to start, and for what is running at the end to finish; then the process is ended."""
SHOWN = 6000
"""Characters of the log that are shown of a failure."""


@pytest.mark.slow
def test_random_actions_in_the_window(small, tmp_path, request, hands_off):
    actions = request.config.getoption("--monkey-actions")
    seed = request.config.getoption("--monkey-seed")
    folder = tmp_path / "sub-07"
    folder.mkdir()
    for path in (*small.images.values(), small.checkpoint.with_suffix(".profile.json")):
        shutil.copy(path, folder)
    shutil.copy(small.checkpoint, folder / "unet.pth")
    script = Path(__file__).with_name("monkey.py")
    arguments = ["--seed", str(seed), "--actions", str(actions or 60)]
    seconds = 10 * actions if actions else SECONDS
    log = tmp_path / "monkey.log"
    with log.open("w") as out:
        try:
            ended = subprocess.run(
                [sys.executable, str(script), str(folder), *arguments, "--seconds", str(seconds)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **hands_off},
                timeout=seconds + PATIENCE,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            ended = "not at all"
    said = log.read_text(errors="replace")
    if ended != 0 or "done" not in said:
        first = said.find("!!")
        shown = said[first : first + SHOWN] if first >= 0 else ""
        told = f"seed {seed}: it ended with {ended}\n{shown}\n…\n{said[-SHOWN:]}"
        pytest.fail(told, pytrace=False)


@pytest.fixture
def hands_off():
    """What the process needs to find the program, and to leave the tests' own threads alone."""
    paths = [path for path in sys.path if path]
    return {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
