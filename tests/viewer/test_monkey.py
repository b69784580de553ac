"""Random actions in the window: nothing fails, no thread dies, and the process ends.

``pytest tests/viewer/test_monkey.py --monkey-actions 2000 --monkey-seed 7`` plays for longer. What
counts as a failure is in ``monkey.py``, which can also be run alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

SECONDS = 15
"""Of playing, in the suite: a slow computer plays fewer actions, not for longer."""
PATIENCE = 400
"""Seconds to start, and for what is running at the end to finish; then the process is ended."""
SHOWN = 6000
"""Characters of the log that are shown of a failure."""
PLAY = """
import ctypes, runpy, sys, torch, traceback
torch.set_num_threads(1)
script, *sys.argv = sys.argv[1], *sys.argv[1:]
ended = 0
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as error:
    ended = error.code or 0
except BaseException:
    traceback.print_exc()
    ended = 1
# As a program ends, with all that is done then, and not as a fork does.
ctypes.pythonapi.Py_Exit(ended)
"""


@pytest.mark.slow
def test_random_actions_in_the_window(small, tmp_path, request, begin):
    actions = request.config.getoption("--monkey-actions")
    seed = request.config.getoption("--monkey-seed")
    folder = tmp_path / "sub-07"
    folder.mkdir()
    for path in (*small.images.values(), small.checkpoint.with_suffix(".profile.json")):
        shutil.copy(path, folder)
    shutil.copy(small.checkpoint, folder / "unet.pth")
    script = Path(__file__).with_name("monkey.py")
    seconds = 10 * actions if actions else SECONDS
    options = ("--seed", seed, "--actions", actions or 60, "--seconds", seconds)
    own = {**os.environ, "OMP_NUM_THREADS": "1"}
    process, log = begin(PLAY, script, folder, *options, environment=own)
    process.join(seconds + PATIENCE)
    ended = process.exitcode
    if ended is None:
        ended = "not at all"
        process.kill()
        process.join()
    said = log.read_text(errors="replace")
    if ended != 0 or "done" not in said:
        first = said.find("!!")
        shown = said[first : first + SHOWN] if first >= 0 else ""
        told = f"seed {seed}: it ended with {ended}\n{shown}\n…\n{said[-SHOWN:]}"
        pytest.fail(told, pytrace=False)
