"""docs/files.md says of each kind of file what is really said."""

from __future__ import annotations

import dataclasses
import gzip
import os
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cases import ball
from networks import small_model
from nibabel.affines import from_matvec
from scipy import ndimage

from napari_ies.cohort.row.images import open_case
from napari_ies.cohort.row.targets import labels_from
from napari_ies.errors import CaseError, ResultsError
from napari_ies.network.assumptions import notes_on
from napari_ies.patient.loading import load_case
from napari_ies.patient.masks import read_lesions, read_mask
from napari_ies.results import save_segmentation
from napari_ies.segmentation.segmentation import segment

PAGE = Path(__file__).parents[1] / "docs" / "files.md"
SHAPE = (20, 18, 16)
BRAIN = ball(SHAPE, (10, 9, 8), 6)
LAS = from_matvec(np.diag([-1.0, 1.0, 1.0]), [9, -8, -7])
PSR = from_matvec([[0, 0, 1.0], [-1, 0, 0], [0, 1, 0]], [-8, 9, -7])
FLAIR = np.where(BRAIN, np.random.default_rng(0).normal(100, 15, SHAPE), 0).astype(np.float32)
MARKED = ball(SHAPE, (10, 9, 8), 2)


def page(section: str) -> dict[str, str]:
    """Return the third column of a table by its first one."""
    text = PAGE.read_text(encoding="utf-8").partition(f"## {section}")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[2] for row in rows[2:]}


def pattern(sentence: str) -> re.Pattern[str]:
    parts = [re.escape(part) for part in sentence.split("…")]
    return re.compile(".+?".join(parts) + "$")


class Files:
    """Writes one image after the other to a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, values=FLAIR, affine=LAS, name="flair.nii.gz", units="mm", **forms):
        image = nib.Nifti1Image(values, None if forms else affine)
        image.header.set_xyzt_units(units)
        for form, (matrix, code) in forms.items():
            getattr(image.header, f"set_{form}")(matrix, code=code)
        nib.save(image, self.folder / name)
        return self.folder / name

    def raw(self, name, content):
        (self.folder / name).write_bytes(content)
        return self.folder / name


def said(first, second=None, **profile):
    """Return what is said of one image, or two, with a small network."""
    images = {"FLAIR": first} | ({} if second is None else {"T1": second})
    model = small_model()
    model = dataclasses.replace(model, profile=dataclasses.replace(model.profile, **profile))
    try:
        return list(notes_on(model, load_case(images)))
    except CaseError as error:
        return [str(error)]


def quaternion(files):
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    path = files.save(name="flair.nii", sform=(None, 0), qform=(turn, 1))
    content = bytearray(path.read_bytes())
    content[256:268] = np.array([0, 0, 1 + 1e-5], dtype="<f4").tobytes()
    return files.raw("flair.nii", bytes(content))


def other_sizes(files):
    image = nib.Nifti1Image(FLAIR, None)
    image.header.set_sform(LAS, code=1)
    image.header["pixdim"][1:4] = 0.5, 0.5, 3
    nib.save(image, files.folder / "flair.nii.gz")
    return files.folder / "flair.nii.gz"


def two_patients(files):
    paths = []
    for patient, name, factor in (("P07", "flair.nii.gz", 1), ("P19", "t1.nii.gz", 2)):
        folder = files.folder / patient / "ses1"
        folder.mkdir(parents=True)
        paths.append(Files(folder).save(FLAIR * factor, name=name))
    return said(*paths)


def another_name(files):
    given = {"FLAIR": files.save(), "T2": files.save(FLAIR * 2, name="t2.nii.gz")}
    with pytest.raises(CaseError) as refused:
        open_case(given, ("FLAIR", "T1"))
    return [str(refused.value)]


def annex(files):
    path = files.folder / "flair.nii.gz"
    path.symlink_to(".git/annex/objects/a/b/key/key")
    return path


def all_formats(files):
    plain = files.save(name="a.nii")
    nib.save(nib.MGHImage(FLAIR, LAS), files.folder / "b.mgz")
    nib.save(nib.MGHImage(FLAIR, LAS), files.folder / "c.mgh")
    nib.save(nib.Nifti1Pair(FLAIR, LAS), files.folder / "d.img")
    nib.save(nib.Nifti2Image(FLAIR, LAS), files.folder / "e.nii")
    files.raw("f.nii.gz", plain.read_bytes())
    files.raw("g.nii", gzip.compress(plain.read_bytes()))
    names = ("b.mgz", "c.mgh", "d.img", "d.hdr", "e.nii", "f.nii.gz", "g.nii")
    return [note for name in names for note in said(files.folder / name)]


def analyze(files):
    nib.save(nib.Spm99AnalyzeImage(FLAIR, np.diag([2.0, 2, 2, 1])), files.folder / "a.img")
    (files.folder / "a.mat").unlink()
    return said(files.folder / "a.img")


def damaged(files):
    content = files.save().read_bytes()
    return said(files.raw("flair.nii.gz", content[:-5] + b"\0" + content[-4:]))


def header(files, at, values, more=b""):
    """Overwrite bytes of the header of an uncompressed file."""
    content = bytearray(files.save(name="flair.nii").read_bytes())
    content[at : at + len(values)] = values
    return said(files.raw("flair.nii", bytes(content) + more))


def too_large(files):
    path = files.save()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_ies.free_memory.free_memory", lambda: 1000)
        return said(path)


def half_a_pair(files):
    nib.save(nib.Nifti1Pair(FLAIR, LAS), files.folder / "d.img")
    (files.folder / "d.hdr").unlink()
    return said(files.folder / "d.img")


def pipe(files):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes in folders")
    os.mkfifo(files.folder / "flair.nii")
    return said(files.folder / "flair.nii")


def zscored():
    values = FLAIR[BRAIN]
    return np.where(BRAIN, (FLAIR - values.mean()) / values.std(), 0).astype(np.float32)


def shifted(*by):
    return LAS @ from_matvec(np.eye(3), by)


def sagittal(image):
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(LAS), nib.orientations.axcodes2ornt("PSR")
    )
    return image.as_reoriented(turn)


def turned(files):
    nib.save(sagittal(nib.Nifti1Image(FLAIR, LAS)), files.folder / "t1.nii.gz")
    return said(files.save(), files.folder / "t1.nii.gz")


MINUS = np.where(BRAIN, FLAIR, -1000).astype(np.float32)
RINGING = (FLAIR + np.random.default_rng(1).normal(0, 1e-3, SHAPE)).astype(np.float32)
CORNERS = np.where(np.indices(SHAPE)[0] < 3, -2000, MINUS).astype(np.float32)
COARSE = np.diag([16.0, 16, 16, 1])

IMAGES = {
    "background is one": lambda f: said(f.save(MINUS)),
    "background is almost": lambda f: said(f.save(RINGING)),
    "background of several": lambda f: said(f.save(CORNERS)),
    "normalised already": lambda f: said(f.save(zscored())),
    "skull on": lambda f: said(f.save(affine=LAS @ COARSE), spacing=(16.0,) * 3),
    "skull off": lambda f: said(
        f.save(affine=LAS @ np.diag([10.0, 10, 10, 1])),
        spacing=(10.0,) * 3,
        brain_extracted=False,
        guessed=(),
    ),
    "background other than 0, and": lambda f: said(f.save(MINUS), normalisation="minmax"),
    "stored along other axes": lambda f: said(f.save(affine=PSR)),
    "stored otherwise": lambda f: said(f.save(affine=PSR), orientation="LAS"),
    "voxels of another size": lambda f: said(f.save(affine=LAS @ np.diag([0.4, 0.4, 6, 1]))),
    "the same with a stated": lambda f: said(
        f.save(affine=LAS @ np.diag([1, 1, 3, 1])), spacing=(1.0, 1.0, 1.0), resample=True
    ),
    "sizes in micrometres": lambda f: said(
        f.save(affine=np.diag([1000.0, 1000, 1000, 1]) @ LAS, units="micron")
    ),
    "sizes in mm under": lambda f: said(f.save(units="micron")),
    "no unit, and": lambda f: said(f.save(affine=LAS @ np.diag([900] * 3 + [1]), units="unknown")),
    "qform and sform disagree": lambda f: said(f.save(sform=(shifted(3, 0, 0), 4), qform=(LAS, 1))),
    "qform and sform swap": lambda f: said(
        f.save(sform=(np.diag([-1, 1, 1, 1]) @ LAS, 1), qform=(LAS, 1))
    ),
    "an sform without qform": lambda f: said(other_sizes(f)),
    "a quaternion": lambda f: said(quaternion(f)),
    "a second sequence on another": lambda f: said(
        f.save(), f.save(affine=shifted(0.5, 0.3, 0), name="t1.nii.gz")
    ),
    "a second sequence stored": turned,
    "a second sequence whose": lambda f: said(
        f.save(), f.save(affine=shifted(0.002, 0, 0), name="t1.nii.gz")
    ),
    "a second sequence that": lambda f: said(
        f.save(), f.save(affine=shifted(18.4, 12, 0), name="t1.nii.gz")
    ),
    "one file, or": lambda f: said(f.save(), f.save(name="t1.nii.gz")),
    "two files whose": lambda f: said(
        f.save(name="t1.nii.gz"), f.save(FLAIR * 2, name="flair2.nii.gz")
    ),
    "an image given by another": another_name,
    "two files in": two_patients,
    "`.mgz`": all_formats,
    "Analyze": analyze,
    "DICOM": lambda f: said(f.raw("i1", bytes(128) + b"DICM" + bytes(400))),
    "NRRD": lambda f: said(f.raw("a.nrrd", b"NRRD0004\n")),
    "MetaImage": lambda f: said(f.raw("a.mha", b"ObjectType = Image\n")),
    "a git-annex link": lambda f: said(annex(f)),
    "a Git LFS": lambda f: said(f.raw("a.nii", b"version https://git-lfs.github.com/spec/v1\n")),
    "damaged": damaged,
    "a header that claims": lambda f: header(f, 42, np.full(3, 1300, "<i2").tobytes()),
    "more than 16 MB": lambda f: said(
        f.raw("a.nii.gz", gzip.compress(f.save(name="b.nii").read_bytes() + bytes(17 << 20)))
    ),
    "more voxels": too_large,
    "a header whose bits": lambda f: header(f, 72, b"\x08\0"),
    "one file of a pair": half_a_pair,
    "a pipe": pipe,
    "voxels smaller": lambda f: said(f.save(affine=LAS @ np.diag([1e30, 1, 1, 1]))),
    "voxels farther": lambda f: said(f.save(affine=from_matvec(np.eye(3), [0, 1e30, 0]))),
}


def mask(files, values, affine=LAS, lesions=False, read=read_mask):
    case = load_case({"FLAIR": files.save()})
    path = files.save(values, affine, "mask.nii.gz")
    try:
        known = read(path, case) if read is read_lesions else read(path, case, lesions=lesions)
    except CaseError as error:
        return [str(error)]
    return list(known.notes)


def plain_masks(files):
    kinds = [MARKED * 1, MARKED * 255, MARKED * 2 - 1]
    return [note for values in kinds for note in mask(files, values.astype(np.int16))]


def labels():
    values = MARKED.astype(np.int16)
    values[10:] *= 5
    return values


def one_below():
    values = MARKED.astype(np.int16)
    values[0, 0, 0] = -1
    return values


def noise(files):
    shape = 70, 70, 70
    values = np.random.default_rng(0).normal(100, 9, shape).astype(np.float32)
    case = load_case({"FLAIR": files.save(values)})
    marks = (np.indices(shape) % 3 == 0).all(axis=0).astype(np.uint8)
    try:
        return list(read_mask(files.save(marks, name="mask.nii.gz"), case, lesions=True).notes)
    except CaseError as error:
        return [str(error)]


def turned_mask(files):
    case = load_case({"FLAIR": files.save()})
    nib.save(sagittal(nib.Nifti1Image(MARKED.astype(np.uint8), LAS)), files.folder / "mask.nii.gz")
    return list(read_mask(files.folder / "mask.nii.gz", case).notes)


def graded():
    return np.rint(100 * ndimage.gaussian_filter(MARKED.astype(float), 0.7)).astype(np.uint8)


def many():
    values = np.zeros(SHAPE, np.uint8)
    values[::4, 8, 8] = np.arange(1, 6)
    values[::4, 4, 8] = np.arange(6, 11)
    values[0, 4, 8] = 12  # numbers that no counting gives
    return values


def kinds():
    values = np.zeros(SHAPE, np.uint8)
    values[::4, 8, 8], values[8:10, 4, 8] = 1, 2
    return values


def high():
    values = MARKED.astype(np.int32) * 2**24
    values[10:][MARKED[10:]] += 1
    return values


def of_other_images(files):
    t1, model = files.save(FLAIR[::-1], name="t1.nii.gz"), small_model()
    case = load_case({"FLAIR": files.save(), "T1": t1})
    result = segment(model, case)
    written, *_ = save_segmentation(files.folder / "out", result, case=case, model=model)
    with pytest.raises(ResultsError) as refused:
        labels_from(written, load_case({"FLAIR": files.save(FLAIR * 2), "T1": t1}))
    return [str(refused.value)]


MASKS = {
    "a reference or lesions of more": noise,
    "numbers beyond": lambda f: mask(f, MARKED * 1e30),
    "lesions of an earlier": of_other_images,
    "graded whole": lambda f: mask(f, graded()),
    "a few values": lambda f: mask(f, labels()),
    "many values": lambda f: mask(f, many()),
    "lesions from elsewhere: up to": lambda f: mask(f, kinds(), read=read_lesions),
    "lesions from elsewhere: labels above": lambda f: mask(f, high(), read=read_lesions),
    "0 and 1": plain_masks,
    "fractions from": lambda f: mask(f, (MARKED * 0.7).astype(np.float32)),
    "other fractions": lambda f: mask(f, FLAIR),
    "some voxels": lambda f: mask(f, one_below()),
    "255 beside": lambda f: mask(f, np.where(labels() == 5, 255, labels()).astype(np.int16)),
    "marks (nearly)": lambda f: mask(f, (~MARKED).astype(np.uint8)),
    "a reference or lesions that": lambda f: mask(f, (FLAIR == 0).astype(np.uint8), lesions=True),
    "a reference that": lambda f: mask(f, BRAIN.astype(np.uint8), lesions=True),
    "lesions from elsewhere: a mask": lambda f: mask(f, MARKED.astype(np.uint8), read=read_lesions),
    "lesions from elsewhere: a label": lambda f: mask(f, labels(), read=read_lesions),
    "stored in another": turned_mask,
    "on other voxels": lambda f: mask(f, np.pad(MARKED, 2).astype(np.uint8), shifted(-2, -2, -2)),
    "a part of what": lambda f: mask(f, MARKED.astype(np.uint8), shifted(9, 0, 0)),
    "a reference on": lambda f: mask(f, MARKED[:12].astype(np.uint8), lesions=True),
    "on another grid": lambda f: mask(f, MARKED.astype(np.uint8), shifted(0.4, 0, 0)),
}

ROWS = [
    pytest.param(sentence, next((make for start, make in makers.items() if row.startswith(start))),
                 id=f"{section}: {row[:40]}")
    for section, makers in (("Images", IMAGES), ("Masks", MASKS))
    for row, sentence in page(section).items()
]  # fmt: skip


def test_every_kind_has_its_row():
    assert len(page("Images")) == len(IMAGES)
    assert len(page("Masks")) == len(MASKS)


@pytest.mark.parametrize(("sentence", "make"), ROWS)
def test_what_the_page_says_is_said(sentence, make, tmp_path):
    notes = make(Files(tmp_path))
    if sentence == "nothing":
        assert list(notes) == []
    else:
        assert any(pattern(sentence).match(note) for note in notes), notes
