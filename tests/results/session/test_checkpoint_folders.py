"""A session finds a checkpoint that is a folder by what it is made of."""

from __future__ import annotations

import shutil

from bundles import write_bundle

from napari_ies.checkpoints import load_checkpoint
from napari_ies.results.session import SessionWriter, load_session
from napari_ies.segmentation.segmentation import segment


def test_a_folder_is_found_moved_and_missed_when_it_changed(small, tmp_path):
    bundle, case = write_bundle(tmp_path / "lesions"), small.case()
    model = load_checkpoint(bundle, device="cpu")
    marked = segment(model, case, smallest=3)
    begun = SessionWriter.begin(tmp_path / "session", marked, case=case, model=model)

    found = load_session(begun.folder)
    assert found.checkpoints[0].path == bundle
    absent = found.absent_model().profile
    assert (absent.blending, absent.classes) == ("constant", ("background", "MS lesion"))
    assert not found.problems

    moved = begun.folder / "lesions"
    shutil.move(bundle, moved)
    (moved / "README.md").write_text("of no importance")
    found = load_session(begun.folder)
    assert found.checkpoints[0].path == moved
    assert any("lesions was found at" in text for text in found.moved)

    with (moved / "configs/metadata.json").open("a") as file:
        file.write("\n")
    found = load_session(begun.folder)
    assert found.checkpoints[0].path is None
    assert any("lesions has changed since the session was saved" in text for text in found.problems)
