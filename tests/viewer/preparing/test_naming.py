"""Patient and visit are shown, can be typed, and name what is saved."""

from __future__ import annotations

import shutil

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from napari_ies.viewer.preparing.naming import typed_label
from napari_ies.viewer.preparing.patient_form import PatientForm


def placed(patient, tmp_path, folder):
    """The patient's images in folders of another layout."""
    paths = {}
    for name, path in patient.images.items():
        paths[name] = tmp_path / folder / f"{name.lower()}.nii.gz"
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, paths[name])
    return paths


def open_all(hands, paths):
    for name, path in paths.items():
        hands.panel.features["preparing"].open_image(name, str(path))
    hands.finish()


def typed(hands, name, text):
    hands.unfold()
    edit = hands.control(name)
    edit.setFocus()
    edit.clear()
    edit.insert(text)
    hands.qtbot.keyClick(edit, Qt.Key.Key_Return)
    hands.settle()


def fields(hands):
    return hands.control("patient").text(), hands.control("visit").text()


def test_patient_and_visit_name_what_is_saved(segmented, patient, tmp_path):
    another_name_after_segmenting_names_what_is_saved(segmented, tmp_path)
    patient_and_visit_follow_the_images_and_what_is_typed(segmented, patient, tmp_path)
    open_all(segmented, placed(patient, tmp_path, "data/sub-P31"))
    segmented.segment()
    assert fields(segmented) == ("P31", "")
    what_is_typed_while_segmenting_names_what_is_segmented(segmented)


def patient_and_visit_follow_the_images_and_what_is_typed(hands, patient, tmp_path):
    panel = hands.panel
    first = placed(patient, tmp_path, "data/P07/ses1")
    open_all(hands, first)
    assert fields(hands) == ("P07", "1")
    # Typed: it stays for these images, and becomes a label for file names.
    typed(hands, "patient", "Müller 7")
    assert fields(hands) == ("Muller7", "1")
    panel.features["preparing"].offer_layers()
    assert fields(hands) == ("Muller7", "1")
    hands.segment()
    assert (panel.state.reading.case.subject, panel.state.reading.case.visit) == ("Muller7", "1")
    panel.state.set_note(1, "x")
    hands.wait(
        lambda: panel.features["session"].folder is not None and not panel.features["session"].busy
    )
    assert "sub-Muller7" in str(panel.features["session"].folder)
    # Other images: their own names again.
    second = placed(patient, tmp_path, "data/P19/ses2")
    open_all(hands, second)
    assert fields(hands) == ("P19", "2")


def another_name_after_segmenting_names_what_is_saved(segmented, tmp_path):
    panel = segmented.panel
    assert fields(segmented) == ("01", "")
    labels = panel.state.reading.segmentation.labels
    panel.explaining.explain(1)
    segmented.wait(lambda: segmented.answered(1))
    typed(segmented, "patient", "P45")
    typed(segmented, "visit", "02")
    assert panel.state.reading.case.subject == "P45"
    segmented.wait(lambda: not panel.features["session"].busy)
    assert "sub-P45" in str(panel.features["session"].folder)
    panel.features["saving"].save_to(str(tmp_path / "out"))
    segmented.finish()
    written = [path.name for path in (tmp_path / "out").rglob("*.nii.gz")]
    assert written
    assert all(name.startswith("sub-P45_ses-02_") for name in written)
    np.testing.assert_array_equal(panel.state.reading.segmentation.labels, labels)


def test_what_is_typed_with_its_entity_is_the_label_in_its_own_field_only(qtbot):
    """As ``--subject`` and ``--visit`` take it."""
    form = PatientForm(typed_label)
    qtbot.addWidget(form)
    patient, visit = form.findChild(QLineEdit, "patient"), form.findChild(QLineEdit, "visit")

    def enter(who, when):
        for field, text in ((patient, who), (visit, when)):
            field.clear()
            qtbot.keyClicks(field, text)
            qtbot.keyClick(field, Qt.Key.Key_Return)
        return form.patient, form.visit

    assert enter("sub-P07", "ses-2") == ("P07", "2")
    assert enter("P-07", " ses-02") == ("P07", "02")
    assert enter("ses-1", "sub-3") == ("ses1", "sub3")
    form.set_guess("images", "guess", "")
    assert enter("sub-", "ses-") == ("guess", "")


def what_is_typed_while_segmenting_names_what_is_segmented(segmented):
    """Typed to its end or not; what was typed for other images meanwhile is not taken."""
    panel = segmented.panel
    segmented.unfold()

    def while_segmenting(name, text, *, finished):
        before = panel.state.reading
        edit = segmented.control(name)
        panel.features["preparing"].segment()
        edit.setFocus()
        edit.selectAll()
        segmented.qtbot.keyClicks(edit, text)
        if finished:
            segmented.qtbot.keyClick(edit, Qt.Key.Key_Return)
        assert panel.state.reading is before
        segmented.finish()
        assert panel.state.reading is not before
        segmented.unfold()
        return panel.state.reading.case.subject, panel.state.reading.case.visit

    assert while_segmenting("patient", "sub-P44", finished=True) == ("P44", "")
    assert fields(segmented) == ("P44", "")
    assert while_segmenting("visit", "2", finished=False) == ("P44", "2")
    assert fields(segmented) == ("P44", "2")
    panel.state.set_note(1, "x")
    segmented.wait(
        lambda: panel.features["session"].folder is not None and not panel.features["session"].busy
    )
    assert "sub-P44" in str(panel.features["session"].folder)


def test_only_what_was_typed_for_the_same_images_counts(qtbot):
    form = PatientForm(typed_label)
    qtbot.addWidget(form)
    field = form.findChild(QLineEdit, "patient")

    def enter(text):
        field.selectAll()
        qtbot.keyClicks(field, text)
        qtbot.keyClick(field, Qt.Key.Key_Return)

    form.set_guess("first", "P07", "")
    assert form.ask() == (None, None)
    form.set_guess("second", "P19", "")
    enter("P20")
    assert form.ask_again() == (None, None)
    assert form.ask() == ("P20", None)
    enter("P21")
    assert form.ask_again() == ("P21", None)
    assert form.ask() == ("P21", None)
    assert form.ask_again() == (None, None)
