"""Hostile image files: read with the values they were written with, or refused in one sentence."""

import bz2
import gzip
import io
import os
import socket
import stat
import subprocess
import sys
from contextlib import chdir, suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_ies.errors import CaseError
from napari_ies.patient.images.image_files import is_image
from napari_ies.patient.images.volume import read_volume
from napari_ies.patient.loading import load_case
from napari_ies.patient.masks import read_lesions, read_mask

LAS = np.diag([-1.0, 1, 1, 1])
SHAPE = (9, 8, 7)
BRAIN = np.indices(SHAPE).sum(axis=0) % 7 > 2
VALUES = np.where(BRAIN, np.random.default_rng(0).normal(100, 9, SHAPE), 0).astype(np.float32)
THEIRS = Path(nib.__file__).parent / "tests" / "data"
BOUNDED = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

FEWER = settings(BOUNDED, max_examples=100)


def stored(kind, dtype=np.float32):
    stream = io.BytesIO()
    kind(VALUES.astype(dtype), LAS).to_stream(stream)
    return stream.getvalue()


def pair(folder, pack=bytes, ending="", kind=nib.Nifti1Pair):
    nib.save(kind(VALUES, LAS), folder / "plain.img")
    for name in ("img", "hdr", "mat"):
        plain = folder / f"plain.{name}"
        if plain.exists():
            (folder / f"a.{name}{ending}").write_bytes(pack(plain.read_bytes()))
    return folder / f"a.img{ending}", folder / f"a.hdr{ending}"


def refusal(path):
    with pytest.raises(CaseError) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@BOUNDED
@given(data=st.data(), kind=st.sampled_from([nib.Nifti1Image, nib.Nifti2Image, nib.MGHImage]))
def test_a_flipped_bit_changes_no_value_of_a_compressed_image(tmp_path, data, kind):
    packed = bytearray(gzip.compress(stored(kind)))
    place = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[place // 8] ^= 1 << place % 8
    (tmp_path / "a.nii.gz").write_bytes(packed)
    try:
        volume = read_volume(tmp_path / "a.nii.gz")
    except CaseError:
        return
    assert np.array_equal(volume.data, VALUES)
    np.testing.assert_array_equal(volume.affine, LAS)


FIELDS = [
    (kind, name)
    for kind in (nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair)
    for name in kind.header_class.template_dtype.names
]
ODD = (0, -1, 1, 2, 3, 7, 8, 255, 512, 1300, 2**15 - 1, -(2**15), 2**31 - 1, 2**62, 2**63 - 1)
ODD_REAL = (0, -1, 0.5, 352.5, np.nan, np.inf, -np.inf, 1e10, 1e30, 1e-30, 3.4e38, 1e-45)
TYPES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, 9999)


@pytest.mark.slow
@FEWER
@given(
    field=st.sampled_from(FIELDS),
    odd=st.sampled_from(ODD),
    real=st.sampled_from(ODD_REAL),
    code=st.sampled_from(TYPES),
    at=st.integers(0, 7),
)
def test_no_field_of_a_header_leads_to_another_error(tmp_path, field, odd, real, code, at):
    kind, name = field
    header = kind.header_class.template_dtype
    form, offset = header.fields[name][:2]
    if kind is nib.Nifti1Pair:
        path, changed = pair(tmp_path)
    else:
        path = changed = tmp_path / "a.nii"
        path.write_bytes(stored(kind))
    content = bytearray(changed.read_bytes())
    values = np.frombuffer(content[offset : offset + form.itemsize], form.base.newbyteorder("<"))
    values = values.reshape(-1).copy()
    if name == "datatype":
        values[:] = code
    elif values.dtype.kind == "f":
        values[at % values.size] = real
    elif values.dtype.kind in "iu":
        values[at % values.size] = np.array(odd).astype(values.dtype)
    else:
        values[:] = b"\xff\x00\x1b[31m"[: values.dtype.itemsize]
    content[offset : offset + form.itemsize] = values.tobytes()
    changed.write_bytes(bytes(content))
    case = load_case({"FLAIR": whole(tmp_path)})
    for read in (
        read_volume,
        lambda file: load_case({"T1": whole(tmp_path), "FLAIR": file}),
        lambda file: read_lesions(file, case),
        lambda file: read_mask(file, case, lesions=True),
    ):
        with suppress(CaseError):  # and no other
            read(path)


def whole(folder):
    (folder / "whole.nii").write_bytes(stored(nib.Nifti1Image))
    return folder / "whole.nii"


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Spm99AnalyzeImage])
@pytest.mark.parametrize(("pack", "ending"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2")])
def test_both_files_of_a_compressed_pair_are_read_to_their_ends(tmp_path, kind, pack, ending):
    files = pair(tmp_path, pack, ending, kind)
    for path in files:
        assert np.array_equal(read_volume(path).data, VALUES)
    for damaged in files:
        content = damaged.read_bytes()
        damaged.write_bytes(content[:-6] + bytes([content[-6] ^ 1]) + content[-5:])
        assert "damaged" in refusal(files[0])
        damaged.write_bytes(content[:-8])
        assert "damaged" in refusal(files[0])
        damaged.write_bytes(content)


@pytest.mark.parametrize("name", ["scaled+tlrc.BRIK", "minc1_1_scale.mnc", "tiny.mnc"])
def test_formats_that_are_known_by_name_are_read_and_not_mapped(tmp_path, name):
    if not (THEIRS / name).exists():
        pytest.skip("this nibabel comes without its tests")
    for path in (THEIRS / name, (THEIRS / name).with_suffix(".HEAD")):
        if path.exists():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    image = nib.load(THEIRS / name)
    expected = np.asarray(image.dataobj, dtype=np.float32)
    volume = read_volume(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    assert np.array_equal(volume.data, expected.reshape(volume.data.shape))
    np.testing.assert_array_equal(volume.affine, image.affine)


def test_a_pair_without_one_of_its_files_is_named(tmp_path):
    values, header = pair(tmp_path)
    header.rename(tmp_path / "elsewhere.hdr")
    assert "the file that belongs to it, a.hdr, is not there" in refusal(values)
    assert not is_image(values)
    if hasattr(os, "mkfifo"):
        os.mkfifo(header)
        assert "a.hdr, it is a pipe" in refusal(values)
        assert not is_image(values)


def fifo(path):
    os.mkfifo(path)


def listening(path):
    # The path of a socket is short.
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


def linked_to(target):
    return lambda path: path.symlink_to(target)


NO_FILES = {
    "pipe": (fifo, "it is a pipe, not a regular file"),
    "socket": (listening, "it is a socket, not a regular file"),
    "device": (linked_to("/dev/zero"), "it is a device, not a regular file"),
    "link to itself": (linked_to("a.nii"), "too many levels of symbolic links"),
    "link to nothing": (linked_to("elsewhere"), "is a link to elsewhere, which is not there"),
    "folder": (Path.mkdir, "is a folder"),
    "empty": (Path.touch, "is empty"),
    "one byte": (lambda path: path.write_bytes(b"\0"), "cannot be read as NIfTI"),
}

READ_EACH = """
import sys
from napari_ies.errors import CaseError
from napari_ies.patient.images.volume import read_volume

for path in sys.argv[1:]:
    try:
        read_volume(path)
        print("read", flush=True)
    except CaseError as error:
        print(error, flush=True)
"""


@pytest.fixture(scope="module")
def no_files(tmp_path_factory):
    """Make each of them, and read all in a process of its own; what was said of each.

    One that waits for a pipe, or fills the memory, does not end.
    """
    paths = {}
    for name, (make, _) in NO_FILES.items():
        paths[name] = tmp_path_factory.mktemp("none") / "a.nii"
        make(paths[name])
    ran = subprocess.run(
        [sys.executable, "-c", READ_EACH, *map(str, paths.values())],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    said = ran.stdout.splitlines()
    assert len(said) == len(paths), ran.stderr
    return {name: (paths[name], words) for name, words in zip(paths, said, strict=True)}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has none of these in folders")
@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_regular_file_is_refused_at_once(no_files, name):
    path, words = no_files[name]
    assert NO_FILES[name][1] in words
    assert not is_image(path)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file"
)
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = whole(tmp_path)
    path.chmod(0)
    assert "cannot be read (permission denied)" in refusal(path)
    path.chmod(stat.S_IRUSR)
    tmp_path.chmod(0)
    assert "cannot be read (permission denied)" in refusal(path)
    tmp_path.chmod(stat.S_IRWXU)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a" * 300 + ".nii", "file name too long"),
        ("a\0b.nii", "holds a null character"),
        ("~nobody-of-this-name/a.nii", "There is no file ~nobody-of-this-name/a.nii"),
        (b"\xff\x1b[31m.nii".decode("utf-8", "surrogateescape"), "no file \\xff\\x1b[31m.nii"),
    ],
)
def test_odd_names_are_refused_in_printable_words(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    words = refusal(name)
    assert said in words
    assert words.isprintable()
    assert len(words) < 500


def test_names_in_any_script_and_names_that_are_no_utf8_are_read(tmp_path):
    for name in ("ФЛЕР.nii", "маска 7.nii", "-x.nii", "a\nb.nii", os.fsdecode(b"\xff.nii")):
        path = tmp_path / name
        try:
            path.write_bytes(stored(nib.Nifti1Image))
        except (OSError, UnicodeError):
            continue  # not on this disk
        assert np.array_equal(read_volume(path).data, VALUES)


def claiming(sizes, dtype, kind=nib.Nifti1Header, **fields):
    """Return the bytes of a header that claims sizes."""
    header = kind()
    header.set_data_dtype(dtype)
    header["dim"] = [3, *sizes, *[1] * (7 - len(sizes))]
    header["dim"][0] = len(sizes)
    header["magic"] = b"n+1" if kind is nib.Nifti1Header else header["magic"]
    header["vox_offset"] = 352 if kind is nib.Nifti1Header else 544
    header.set_sform(LAS, code=1)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + bytes(4)


def mgh(sizes, kind=3):
    return np.array([1, *sizes, 1, kind, 0], ">i4").tobytes().ljust(284, b"\0")


MB = 1 << 20
BOMBS = {
    "claims.nii": lambda: claiming((1300, 1300, 1300), "f4") + bytes(MB),
    "claims.nii.gz": lambda: gzip.compress(claiming((1300, 1300, 1300), "u1") + bytes(MB)),
    "claims2.nii": lambda: claiming((2**40, 2**40, 3), "f8", nib.Nifti2Header) + bytes(MB),
    "overflow.nii": lambda: claiming((2**62, 8, 8), "f8", nib.Nifti2Header) + bytes(MB),
    "negative.nii": lambda: claiming((-5, 8, 8), "f4") + bytes(MB),
    "none.nii": lambda: claiming((0, 8, 8), "f4") + bytes(MB),
    "seven.nii": lambda: claiming((32767,) * 7, "f8") + bytes(MB),
    "dims.nii": lambda: claiming((8, 8, 8), "f4", dim=[-9, 8, 8, 8, 1, 1, 1, 1]) + bytes(MB),
    "offset.nii": lambda: claiming((8, 8, 8), "f4", vox_offset=1e30) + bytes(MB),
    "nan.nii": lambda: claiming((8, 8, 8), "f4", vox_offset=np.nan) + bytes(MB),
    "before.nii": lambda: claiming((8, 8, 8), "f4", vox_offset=-4096) + bytes(MB),
    "bomb.nii.gz": lambda: packed_zeros(claiming((8, 8, 8), "f4"), 3000),
    "bomb.mgz": lambda: packed_zeros(mgh((8, 8, 8)), 3000),
    "bomb.nii.bz2": lambda: packed_zeros(claiming((8, 8, 8), "f4"), 3000, bz2.compress),
    "claims.mgz": lambda: gzip.compress(mgh((1300, 1300, 1300)) + bytes(MB)),
    "claims.mgh": lambda: mgh((2**31 - 1,) * 3) + bytes(MB),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("kind", "start", "header"),
    [(nib.Nifti1Header, 0, 352), (nib.Nifti1Header, 348, 352), (nib.Nifti2Header, 0, 544)],
)
def test_values_are_not_read_from_within_the_header(tmp_path, pack, kind, start, header):
    path = tmp_path / ("a.nii" if pack is bytes else "a.nii.gz")
    path.write_bytes(pack(claiming((8, 8, 8), "f4", kind, vox_offset=start) + bytes(8**3 * 4)))
    with pytest.raises(CaseError, match=f"begin at byte {start}, within .*{header} bytes"):
        read_volume(path)


def packed_zeros(start, megabytes, pack=gzip.compress):
    """Pack a header and zeros without end: one member after the other."""
    return pack(start) + pack(bytes(MB)) * megabytes


READ_ALL = """
import resource, sys
from napari_ies.errors import CaseError
from napari_ies.patient.images.volume import read_volume

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        read_volume(path)
        print("read")
    except CaseError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is asked of Linux here")
def test_claims_are_compared_before_they_are_believed(tmp_path):
    """Each takes 8 GB and more where it is believed; here less than a tenth of one."""
    for name, make in BOMBS.items():
        (tmp_path / name).write_bytes(make())
    ran = subprocess.run(
        [sys.executable, "-c", READ_ALL, *(str(tmp_path / name) for name in BOMBS)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    *said, kilobytes = ran.stdout.splitlines()
    assert len(said) == len(BOMBS), ran.stderr
    for name, words in zip(BOMBS, said, strict=True):
        assert words.startswith(name), words
    assert int(kilobytes) < 100_000


def test_what_fits_into_no_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    (tmp_path / "a.nii.gz").write_bytes(packed_zeros(claiming((400, 400, 400), "f4"), 245))
    monkeypatch.setattr("napari_ies.free_memory.free_memory", lambda: 10**9)
    words = refusal(tmp_path / "a.nii.gz")
    # As unpacked and as stored, 256 MB each; and four times single precision.
    assert words.startswith("a.nii.gz with its 400 × 400 × 400 voxels needs 1.5 GB of memory, of")


def test_a_header_that_contradicts_itself_is_said(tmp_path):
    content = bytearray(stored(nib.Nifti1Image))
    content[72:74] = np.array(16, "<i2").tobytes()  # bitpix
    (tmp_path / "a.nii").write_bytes(content)
    volume = read_volume(tmp_path / "a.nii")
    assert np.array_equal(volume.data, VALUES)
    assert "contradicts itself (float32, but 16 bits for each voxel)" in volume.notes[0]


def test_padding_and_extensions_of_a_header_are_no_damage(tmp_path):
    image = nib.Nifti1Image(VALUES, LAS)
    for text in (b"a comment" * 50, b"another" * 90):
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", text))
    nib.save(image, tmp_path / "a.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").data, VALUES)
    (tmp_path / "b.nii").write_bytes(stored(nib.Nifti1Image) + bytes(4096))
    assert np.array_equal(read_volume(tmp_path / "b.nii").data, VALUES)


@pytest.mark.parametrize(
    ("affine", "said"),
    [
        (np.diag([1e30, 1, 1, 1]), "measure 1e\\+30 × 1 × 1 mm; expected .* 0.001 to 1000 mm"),
        (np.diag([1, 1e-30, 1, 1]), "measure 1 × 1e-30 × 1 mm"),
        (np.diag([2000.0, 2000, 2000, 1]), "measure 2e\\+03 × 2e\\+03 × 2e\\+03 mm"),
        (nib.affines.from_matvec(np.eye(3), [0, 1e30, 0]), "lies up to 1e\\+30 mm from the origin"),
        (nib.affines.from_matvec(np.eye(3), [0, 2e6, 0]), "more than a million of its voxels"),
        (nib.affines.from_matvec(0.01 * np.eye(3), [2e4, 0, 0]), "more than a million"),
        (nib.affines.from_matvec([[1, 1, 0], [0, 1e-6, 0], [0, 0, 1]], [0, 0, 0]), "invertible"),
        (np.diag([1, 0, 1, 1]), "is not invertible"),
        (np.diag([np.nan, 1, 1, 1]), "is not invertible"),
        (nib.affines.from_matvec(np.eye(3), [np.inf, 0, 0]), "is not invertible"),
    ],
)
def test_positions_that_no_window_can_show_are_refused(tmp_path, affine, said):
    content = bytearray(stored(nib.Nifti1Image))
    content[280:328] = np.asarray(affine, "<f4")[:3].tobytes()  # the sform
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(CaseError, match=said):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("size", [0.001, 0.02, 0.5, 1000.0])
def test_microscopy_and_unlabelled_units_are_read(tmp_path, size):
    affine = nib.affines.from_matvec(size * np.eye(3), [-900 * size, 3000 * size, 0])
    nib.save(nib.Nifti1Image(VALUES, affine), tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").grid.spacing == pytest.approx((size,) * 3)
