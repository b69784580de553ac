"""A session that is reopened reads each of its images once."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from napari_ies import load_checkpoint, regular_files, segment
from napari_ies.patient.loading import load_case
from napari_ies.progress import finish
from napari_ies.results.session import SessionWriter
from napari_ies.viewer.reader import read_session
from napari_ies.viewer.session.opening import open_session


@pytest.mark.parametrize("through", ["the panel", "the reader"])
def test_each_image_is_opened_once(small, tmp_path, monkeypatch, through):
    images = {name: Path(shutil.copy(path, tmp_path)) for name, path in small.images.items()}
    case, model = load_case(images), load_checkpoint(small.checkpoint, device="cpu")
    folder = tmp_path / "session"
    SessionWriter.begin(folder, segment(model, case), case=case, model=model)
    opened: Counter[str] = Counter()
    open_one = regular_files.os.open

    def counted(path, *args, **kwargs):
        opened[Path(path).name] += 1
        return open_one(path, *args, **kwargs)

    monkeypatch.setattr(regular_files.os, "open", counted)
    if through == "the panel":
        reopened = finish(open_session(folder))
        layers = list(reopened.images.values())
        np.testing.assert_array_equal(reopened.reading.case.data, case.data)
    else:
        layers = read_session(str(folder))
    assert {arguments["name"] for _, arguments, _ in layers} == {"FLAIR", "T1"}
    assert [opened[path.name] for path in images.values()] == [1, 1]
