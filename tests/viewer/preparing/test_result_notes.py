"""Notes and guesses are seen where the result is seen, and hold still while maps refine."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_ies.network.guesses.agreement import Agreement

from ..conftest import small_model

NOTES = ("The background of FLAIR is −0.81, not 0.", "T1 lay on another grid and was resampled.")


@pytest.fixture
def noted(segmented):
    """Show a reading once more, with notes on it."""

    def note(reading):
        shown = replace(reading, segmentation=replace(reading.segmentation, notes=NOTES))
        segmented.panel.state.show_reading(shown)
        segmented.settle()
        return segmented

    return note


def text_of(hands, name):
    return hands.panel.findChild(QLabel, name)


def test_notes_hold_still_and_a_geometry_is_offered(segmented, noted, patient, tmp_path):
    reading = segmented.panel.state.reading
    a_geometry_chosen_after_segmenting_says_that_it_counts_next_time(segmented)
    notes_hold_still_and_are_seen(noted(reading))
    segmented.panel.state.show_reading(reading)
    the_offer_is_for_the_images_of_the_result_alone(segmented, patient, tmp_path)
    one_click_segments_again_in_the_orientation_the_network_agrees_with(segmented)


def notes_hold_still_and_are_seen(noted):
    nothing_moves_while_a_map_refines_and_says_more(noted)
    noted.panel.preparation.collapse(animate=False)
    noted.panel.state.show_reading(noted.panel.state.reading)
    noted.settle()
    notes_stand_above_the_table_though_the_preparation_is_folded(noted)


def notes_stand_above_the_table_though_the_preparation_is_folded(noted):
    panel = noted.panel
    assert not panel.preparation.isExpanded()
    title, text = noted.control("result_notes"), text_of(noted, "result_notes_text")
    assert "Notes on this result (2)" in title.text()
    assert all(note in text.text() for note in NOTES)
    assert text.isVisible()
    table = noted.control("lesions")
    bottom = text.mapTo(panel, text.rect().bottomLeft()).y()
    assert bottom <= table.mapTo(panel, table.rect().topLeft()).y()
    # Folded away by a person, still counted; the same notes do not unfold it again.
    noted.press("result_notes")
    noted.settle()
    assert not text.isVisible()
    assert "(2)" in title.text()
    panel.state.show_reading(panel.state.reading)
    noted.settle()
    assert not text.isVisible()
    assert "(2)" in title.text()
    reading = panel.state.reading
    without = replace(reading.segmentation, notes=())
    panel.state.show_reading(replace(reading, segmentation=without))
    assert title.text() == "No notes on this result"
    assert "note" not in panel.status.text


def nothing_moves_while_a_map_refines_and_says_more(noted):
    panel, table = noted.panel, noted.control("lesions")
    before = table.mapTo(panel, table.rect().topLeft())
    seen = []
    panel.state.answer_shown.connect(
        lambda _: seen.append(table.mapTo(panel, table.rect().topLeft()) == before)
    )
    panel.explaining.explain(1)
    noted.wait(lambda: noted.answered(1))
    answer = noted.answer(1)
    said = "The network's own window was wider than the images."
    provenance = {**answer.saliency.provenance, "notes": [*NOTES, said]}
    panel.state.show(replace(answer, saliency=replace(answer.saliency, provenance=provenance)))
    noted.settle()
    assert len(seen) > 1
    assert all(seen)
    assert table.mapTo(panel, table.rect().topLeft()) == before
    assert "(2), on this map (1)" in noted.control("result_notes").text()
    text = text_of(noted, "result_notes_text").text()
    assert f"This map: {said}" in text
    assert text.count(NOTES[0]) == 1


def test_what_a_checkpoint_leaves_open_is_seen_and_chosen(hands, patient):
    guesses_are_counted_beside_the_checkpoint(hands)
    orientation_and_voxel_size_are_typed_and_apply_to_the_loaded_network(hands)
    as_stored_can_be_chosen_where_the_checkpoint_states_its_own(hands)
    the_offer_knows_layers_without_files(hands, patient)


def guesses_are_counted_beside_the_checkpoint(hands):
    from napari_ies.viewer.state.loaded import LoadedModel

    model = small_model()
    guessed = ("orientation: each case as it is stored.", "strides: 2, 2, 2, 2.")
    model = model.with_profile(replace(model.profile, guessed=guessed))
    hands.panel.state.take_model(LoadedModel(model, "CPU", ("cpu",), (), ""))
    hands.settle()
    title, text = hands.control("assumptions"), text_of(hands, "assumptions_text")
    assert title.isVisible()
    assert "2 assumptions" in title.text()
    assert not text.isVisible()
    hands.press("assumptions")
    hands.settle()
    assert text.isVisible()
    assert all(sentence in text.text() for sentence in guessed)
    hands.panel.state.take_model(LoadedModel(small_model(), "CPU", ("cpu",), (), ""))
    hands.settle()


def type_into(hands, name, text):
    hands.unfold()
    edit = hands.control(name).lineEdit()
    edit.setFocus()
    edit.selectAll()
    edit.clear()
    hands.qtbot.keyClicks(edit, text)
    hands.qtbot.keyClick(edit, Qt.Key.Key_Return)
    hands.settle()


def orientation_and_voxel_size_are_typed_and_apply_to_the_loaded_network(hands):
    from napari_ies.viewer.state.loaded import LoadedModel

    panel = hands.panel
    panel.state.take_model(LoadedModel(small_model(), "CPU", ("cpu",), (), ""))
    network = panel.state.model.model.network
    assert hands.control("orientation").currentText() == "as stored"
    type_into(hands, "orientation", "lps")
    assert hands.control("orientation").currentText() == "LPS"
    assert panel.state.model.model.profile.orientation == "LPS"
    type_into(hands, "spacing", "1 1 2,5 mm")
    profile = panel.state.model.model.profile
    assert (profile.orientation, profile.spacing, profile.resample) == ("LPS", (1, 1, 2.5), True)
    assert panel.state.model.model.network is network
    # What is no orientation is said, and the one before stays.
    type_into(hands, "orientation", "LRS")
    assert "LRS is no orientation" in panel.status.text
    assert hands.control("orientation").currentText() == "LPS"
    type_into(hands, "spacing", "1 1 2 3")
    assert "is no voxel size" in panel.status.text
    type_into(hands, "spacing", "as stored")
    assert not panel.state.model.model.profile.resample
    type_into(hands, "orientation", "")
    assert panel.state.model.model.profile.orientation is None
    # The settings of the segmentation stay as they were.
    assert panel.features["preparing"].segmentation.threshold.value() == 0.5


def one_click_segments_again_in_the_orientation_the_network_agrees_with(segmented):
    panel = segmented.panel
    offer = segmented.control("offer")
    reading = panel.state.reading
    assert offer.isVisible()
    assert offer.text() == "Segment again as LPS"
    segmented.qtbot.mouseClick(offer, Qt.MouseButton.LeftButton)
    segmented.finish()
    assert panel.state.reading is not reading
    assert panel.state.reading.model.profile.orientation == "LPS"
    assert segmented.control("orientation").currentText() == "LPS"
    assert not offer.isVisible()
    # A map is then one of the network as it segmented, whatever the field says since.
    type_into(segmented, "orientation", "RAS")
    assert panel.explaining.network(panel.state.reading).profile.orientation == "LPS"
    np.testing.assert_array_equal(panel.state.reading.case.data, reading.case.data)


def a_geometry_chosen_after_segmenting_says_that_it_counts_next_time(segmented):
    panel = segmented.panel
    type_into(segmented, "orientation", "LAS")
    assert panel.status.text == (
        "Orientation LAS counts when you segment again; the result on screen is as stored."
    )
    type_into(segmented, "spacing", "1 1 2")
    assert panel.status.text == (
        "Voxels 1 × 1 × 2 mm count when you segment again; the result on screen is as stored."
    )
    type_into(segmented, "orientation", "as stored")
    assert panel.status.text == "Orientation as stored, as in the result on screen."
    # A refusal stays until something valid is entered, even if that is the one before.
    type_into(segmented, "orientation", "LRS")
    assert "LRS is no orientation" in panel.status.text
    segmented.control("spacing").setFocus()
    segmented.settle()
    assert "LRS is no orientation" in panel.status.text
    type_into(segmented, "orientation", "as stored")
    assert panel.status.text == "Orientation: as stored, as before."
    type_into(segmented, "spacing", "1 1 2 3")
    assert "is no voxel size" in panel.status.text
    type_into(segmented, "spacing", "as stored")
    assert panel.status.text == "Voxels as stored, as in the result on screen."


def as_stored_can_be_chosen_where_the_checkpoint_states_its_own(hands):
    from napari_ies.viewer.state.loaded import LoadedModel

    panel, model = hands.panel, small_model()
    stated = replace(model.profile, orientation="LPS", spacing=(1, 1, 3), resample=True)
    panel.state.take_model(LoadedModel(model.with_profile(stated), "CPU", ("cpu",), (), ""))
    hands.settle()
    for name, own in (("orientation", "LPS"), ("spacing", "1 × 1 × 3")):
        control = hands.control(name)
        assert control.currentText() == own
        assert [control.itemText(i) for i in range(control.count())].count("as stored") == 1
        type_into(hands, name, "as stored")
        assert control.currentText() == "as stored"
        assert panel.status.text.startswith(f"{'Orientation' if own == 'LPS' else 'Voxels'} as st")
    profile = panel.state.model.model.profile
    assert (profile.orientation, profile.resample) == (None, False)
    # A session that was segmented so is restored so.
    panel.features["preparing"].checkpoint.geometry.choose(None, None)
    assert panel.state.model.model.profile.orientation == "LPS"
    panel.features["preparing"].geometry.restore(profile)
    profile = panel.state.model.model.profile
    assert (profile.orientation, profile.resample) == (None, False)


def the_offer_is_for_the_images_of_the_result_alone(segmented, patient, tmp_path):
    panel, offer = segmented.panel, segmented.control("offer")
    assert not offer.isVisible()
    reading = panel.state.reading
    object.__setattr__(
        reading.segmentation,
        "agreements",
        (Agreement("orientation", "RAS", "LPS", {}, "Better with LPS.", True, "LPS"),),
    )
    panel.state.show_reading(reading)
    segmented.settle()
    segmented.unfold()
    assert offer.isEnabled()
    # Another patient's FLAIR.
    other = tmp_path / "sub-02_FLAIR.nii.gz"
    shutil.copy(patient.images["FLAIR"], other)
    own = panel.features["preparing"].images.assignment()["FLAIR"]
    panel.features["preparing"].open_image("FLAIR", str(other))
    segmented.finish()
    assert panel.features["preparing"].images.assignment()["FLAIR"] != own
    assert not offer.isEnabled()
    assert "Other images are chosen now than those of this result" in offer.toolTip()
    panel.features["preparing"].images.assign("FLAIR", own)
    assert offer.isEnabled()
    # None chosen: nothing is set, whoever asks.
    segmented.control("image_FLAIR").setCurrentIndex(0)
    assert not offer.isEnabled()
    assert "Choose an image for FLAIR first." in offer.toolTip()
    panel.features["preparing"].notes.view.offer_taken.emit()
    assert segmented.control("orientation").currentText() == "as stored"
    assert not panel.services.work.busy
    panel.features["preparing"].images.assign("FLAIR", own)


def the_offer_knows_layers_without_files(hands, patient):
    from napari_ies.viewer.state.loaded import LoadedModel

    panel = hands.panel
    panel.state.take_model(LoadedModel(small_model(), "CPU", ("cpu",), ("0", "2"), "0"))
    for name, volume in patient.volumes.items():
        hands.viewer.add_image(volume, name=name)
    hands.settle()
    hands.segment()
    assert panel.state.reading.case.paths == (None, None)
    assert panel.features["preparing"].why_other_images(panel.state.reading) == ""
    hands.viewer.add_image(patient.volumes["FLAIR"] + 1, name="other")
    hands.settle()
    combo = hands.control("image_FLAIR")
    combo.setCurrentIndex(combo.findText("other"))
    assert "Other images are chosen" in panel.features["preparing"].why_other_images(
        panel.state.reading
    )


def test_what_confirms_a_guess_is_no_warning(qtbot):
    from napari_ies.viewer.preparing.result_notes import ResultNotesView

    view = ResultNotesView()
    qtbot.addWidget(view)
    confirmed, odd = "The strides were tested: they agree.", "The images are stored PSR."
    view.set_notes([confirmed], reassuring=[confirmed])
    assert view.sentences.text == f"• {confirmed}"
    assert not view.sentences.unfolded
    assert "border-left" not in view.styleSheet()
    view.set_notes([confirmed, odd], reassuring=[confirmed])
    assert view.sentences.unfolded
    assert "border-left" in view.styleSheet()
