"""A damaged checkpoint is refused, or its weights are the very ones: nothing in between."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet

from napari_ies.checkpoints import archive, load_checkpoint
from napari_ies.checkpoints.state_dict import read_state_file
from napari_ies.errors import CheckpointError
from napari_ies.regular_files import open_regular

unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
FIXED = settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def unet():
    torch.manual_seed(0)
    return UNet(3, 2, 2, (4, 8), (2,), norm="batch")


STATE = {key: tensor.clone() for key, tensor in unet().state_dict().items()}


def saved(content, **options) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def repacked(content: bytes, method: int, change=lambda name, data: data, more=()) -> bytes:
    """Write a checkpoint's records into an archive of another kind, with a right directory."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(file, "w", method) as new,
    ):
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, data in more:
            new.writestr(name, data)
    return file.getvalue()


def with_record(name: str, data) -> bytes:
    """Put another record in the place of one."""

    def change(record, old):
        return data(old) if record.endswith(f"/{name}") else old

    return repacked(WHOLE, zipfile.ZIP_DEFLATED, change)


WHOLE = saved(STATE)
FORMS = {
    "as saved": WHOLE,
    "compressed": repacked(WHOLE, zipfile.ZIP_DEFLATED),
    "in a training file": saved(
        {
            "epoch": 3,
            "model": STATE,
            "optimizer": torch.optim.Adam(unet().parameters()).state_dict(),
            "losses": [0.5] * 20,
        }
    ),
}
OLD = saved(STATE, _use_new_zipfile_serialization=False)


def loads_as_it_was(path, content: bytes) -> bool:
    """Whether it loads; then the weights are the original's, else there is one sentence."""
    path.write_bytes(content)
    try:
        model = load_checkpoint(path, device="cpu")
    except CheckpointError as error:
        sentence = str(error)
        assert sentence.startswith("network.pth")
        assert sentence.endswith(".")
        assert "\n" not in sentence
        return False
    found = model.network.state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in STATE.items())
    assert model.sha256 == hashlib.sha256(content).hexdigest()
    return True


def refusal(path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, device="cpu")
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.pth"


@pytest.mark.parametrize("form", FORMS)
def test_undamaged_it_loads(form, path):
    assert loads_as_it_was(path, FORMS[form])


def test_the_older_form_loads(path):
    assert loads_as_it_was(path, OLD)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("new", [True, False])
def test_any_protocol_loads(protocol, new, path):
    content = saved(STATE, pickle_protocol=protocol, _use_new_zipfile_serialization=new)

    assert loads_as_it_was(path, content)


@pytest.mark.parametrize("form", FORMS)
@FIXED
@given(
    places=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3),
    bit=st.integers(0, 7),
)
def test_flipped_bits(form, places, bit, path):
    content = bytearray(FORMS[form])
    for place in places:
        content[int(place * len(content))] ^= 1 << bit

    loads_as_it_was(path, bytes(content))


@pytest.mark.parametrize("form", FORMS)
@FIXED
@given(place=st.floats(0, 1, exclude_max=True), length=st.sampled_from([1, 16, 512, 4096]))
def test_a_hole_of_zeros(form, place, length, path):
    content = bytearray(FORMS[form])
    start = int(place * len(content))
    content[start : start + length] = bytes(len(content[start : start + length]))

    loads_as_it_was(path, bytes(content))


@pytest.mark.parametrize("form", FORMS)
@FIXED
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short(form, share, path):
    content = FORMS[form]

    assert not loads_as_it_was(path, content[: int(share * len(content))] or b"x")


@pytest.mark.parametrize("form", FORMS)
@FIXED
@given(more=st.binary(min_size=1, max_size=40), front=st.booleans())
def test_bytes_before_or_behind(form, more, front, path):
    loads_as_it_was(path, more + FORMS[form] if front else FORMS[form] + more)


@pytest.mark.parametrize("form", FORMS)
@FIXED
@given(
    places=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    length=st.sampled_from([4, 64, 256]),
)
def test_swapped_pieces(form, places, length, path):
    content = FORMS[form]
    first, second = sorted(int(place * len(content)) for place in places)
    length = min(length, max(second - first, 1), len(content) - second)
    content = (
        content[:first]
        + content[second : second + length]
        + content[first + length : second]
        + content[first : first + length]
        + content[second + length :]
    )

    loads_as_it_was(path, content)


@FIXED
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_the_older_form_has_no_checksums_but_no_other_failure_either(place, byte, path):
    """Its numbers can change unseen; its shapes and names cannot make anything but a sentence."""
    content = bytearray(OLD)
    content[int(place * len(content))] = byte
    path.write_bytes(content)
    try:
        model = load_checkpoint(path, device="cpu")
    except CheckpointError:
        pass
    else:
        assert {k: t.shape for k, t in model.network.state_dict().items()} == {
            k: t.shape for k, t in STATE.items()
        }


@pytest.mark.parametrize("change", [-1000, -4, -1, 1, 4, 1000])
def test_the_older_form_has_every_byte_that_it_lists_and_none_more(change, path):
    content = OLD[:change] if change < 0 else OLD + bytes(change)

    assert f"by what it lists it has {len(OLD)} bytes" in refusal(path, content)


def pickled(code: bytes) -> bytes:
    return with_record("data.pkl", lambda _: b"\x80\x02" + code)


def claiming(**sizes) -> bytes:
    """Add a tensor that claims another size than its one number has."""
    return saved({**STATE, "loss.weight": torch.ones(1).as_strided(**sizes)})


def patched(state_key: str, tensor) -> bytes:
    return saved({**STATE, state_key: tensor})


MANY = torch.ones(9000)
FIRST = STATE["model.0.conv.weight"]
HOSTILE = {
    "a record too long": (
        with_record("data/0", lambda data: data + bytes(4)),
        "its tensors need 864 bytes of the record archive/data/0, there are 868 bytes",
    ),
    "a record too short": (
        with_record("data/0", lambda data: data[:-4]),
        "there are 860 bytes",
    ),
    "a record gone": (with_record("data/0", lambda data: b""), "there are 0 bytes"),
    "another method": (repacked(WHOLE, zipfile.ZIP_BZIP2), "compressed in another way"),
    "a way out": (
        repacked(WHOLE, 0, more=[("../../evil.pkl", b"")]),
        "the record ../../evil.pkl leads out of it",
    ),
    "a zip bomb": (
        repacked(WHOLE, zipfile.ZIP_DEFLATED, more=[("archive/data/99", bytes(80 << 20))]),
        "claim to unpack to 838",
    ),
    "an absurd list of tensors": (
        pickled(b"}" * 1_100_000),
        "instruction 1000001 is EMPTY_DICT",
    ),
    "a key of a hundred thousand levels": (
        pickled(b"})" + b"\x85" * 100_000 + b"K\x01s."),
        "holds no tensors",
    ),
    "a bytearray of a terabyte": (
        pickled(b"c__builtin__\nbytearray\n\x8a\x06\0\0\0\0\0\x01\x85R."),
        "holds no tensors",
    ),
    "code": (
        pickled(b"cos\nsystem\nX\x04\0\0\0exit\x85R."),
        "Python objects (os.system)",
    ),
    "code by a name on the stack": (
        pickled(b"X\x05\0\0\0posixX\x06\0\0\0system\x93X\x04\0\0\0exit\x85R."),
        "Python objects (posix.system)",
    ),
    "a tensor of 4 terabytes": (
        claiming(size=(10**6, 10**6), stride=(0, 0)),
        "loss.weight claims to hold 1000000×1000000 numbers, more than its record has",
    ),
    "tensors of one storage without end": (
        saved({f"a{i}": MANY[i:] for i in range(300)}),
        "its tensors claim more than 32 times as many numbers",
    ),
    "a name without end": (patched("a" * 5000, torch.ones(1)), "a name of 5000 letters"),
    "too many tensors": (
        saved(dict.fromkeys(map(str, range(20_001)), torch.ones(1))),
        "more than 20000 tensors",
    ),
    "too many networks": (
        saved({f"a{i}.model.1.submodule.x": torch.ones(1) for i in range(70)}),
        "more than 64 networks",
    ),
    "complex": (
        patched("model.0.conv.weight", FIRST.to(torch.complex64)),
        "model.0.conv.weight holds complex numbers",
    ),
    "truth values": (
        patched("model.0.conv.weight", FIRST > 0),
        "model.0.conv.weight holds bool numbers",
    ),
    "whole numbers": (
        patched("model.0.conv.weight", FIRST.to(torch.int8)),
        "model.0.conv.weight holds int8 numbers",
    ),
    "sparse": (patched("model.0.conv.weight", FIRST.to_sparse()), "weight is sparse"),
    "without numbers": (patched("model.0.conv.weight", FIRST.to("meta")), "without numbers"),
    "negated": (
        patched("model.0.conv.weight", torch.ones(3, dtype=torch.complex64).conj().imag),
        "conjugated or negated",
    ),
    "beyond float32": (
        patched("model.0.conv.weight", FIRST.double() * 1e60),
        "(model.0.conv.weight) hold numbers too large for the network's float32",
    ),
    "infinite in 16 bits": (
        patched("model.0.conv.weight", (FIRST * 1e9).half()),
        "(model.0.conv.weight) hold NaN or infinity",
    ),
    "a negative variance": (
        patched("model.0.adn.N.running_var", torch.tensor([1.0, -0.5, 1, 1])),
        "(model.0.adn.N.running_var) hold negative variances",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_a_sentence(name, path):
    content, words = HOSTILE[name]

    sentence = refusal(path, content)

    assert words in sentence
    assert sentence.endswith(".")


EXACT = {
    "halves": STATE["model.0.conv.weight"].half(),
    "bfloat16": STATE["model.0.conv.weight"].bfloat16(),
    "doubles": STATE["model.0.conv.weight"].double(),
    "8 bits": STATE["model.0.conv.weight"].to(torch.float8_e5m2),
    "another order": FIRST.transpose(0, 1).contiguous().transpose(0, 1),
    "a part of a larger one": torch.randn(8, 2, 3, 3, 3)[4:],
    "a parameter": torch.nn.Parameter(FIRST),
    "one number everywhere": torch.full((1,), 0.25).expand(FIRST.shape),
}


@pytest.mark.parametrize("name", EXACT)
def test_rare_but_right_tensors_are_read_as_they_are(name, path):
    path.write_bytes(patched("model.0.conv.weight", EXACT[name]))

    found = load_checkpoint(path, device="cpu").network.state_dict()["model.0.conv.weight"]

    assert torch.equal(found, EXACT[name].detach().float())


def test_it_is_read_as_pytorch_reads_it(path):
    shared = torch.randn(6, 5)
    content = {
        "a": shared[1:],
        "b": shared.T,
        "c": {"ints": torch.arange(7), "none": torch.empty(0, 3), "one": torch.tensor(2.5)},
        "d": [torch.zeros(2, dtype=torch.bool), {"x": torch.randn(2, dtype=torch.complex128)}],
        "rest": (torch.device("cpu"), torch.float16, {1, 2}, b"bytes", bytearray(b"x"), 1 << 70),
        "size": shared.shape,
    }
    for new in (True, False):
        path.write_bytes(saved(content, _use_new_zipfile_serialization=new))
        expected = torch.load(path, weights_only=True)

        tables = read_state_file(path).tables

        assert list(tables) == ["", "c", "d[1]"]
        for name, table in (("", expected), ("c", expected["c"]), ("d[1]", expected["d"][1])):
            wanted = {k: v for k, v in table.items() if isinstance(v, torch.Tensor)}
            assert list(tables[name]) == list(wanted)
            for key, tensor in wanted.items():
                assert torch.equal(tables[name][key], tensor)
                assert tables[name][key].dtype == tensor.dtype


def test_numbers_of_the_other_byte_order_are_turned(path):
    def turned(name, data):
        if name.endswith("byteorder"):
            return b"big"
        if "/data/" not in name or "serialization" in name:
            return data
        # The numbers of 8 bytes, num_batches_tracked, are 0.
        return np.frombuffer(data, "u4").byteswap().tobytes()

    assert loads_as_it_was(path, repacked(WHOLE, 0, turned))


def test_a_file_that_is_cut_off_after_it_was_read_is_still_there(path):
    path.write_bytes(WHOLE)
    tables = read_state_file(path).tables

    os.truncate(path, 0)

    assert torch.equal(tables[""]["model.0.conv.weight"], FIRST)


def test_the_sha256_is_that_of_the_bytes_that_were_read(path, monkeypatch):
    path.write_bytes(WHOLE)
    read = archive.read_records

    def replaced_meanwhile(content):
        path.write_bytes(b"another file")
        return read(content)

    monkeypatch.setattr(archive, "read_records", replaced_meanwhile)

    assert load_checkpoint(path, device="cpu").sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert path.read_bytes() == b"another file"


def test_a_file_that_grows_while_it_is_read_is_not_used(path, monkeypatch):
    path.write_bytes(WHOLE)
    look = archive.directory

    def written_meanwhile(file, size):
        with path.open("ab") as other:
            other.write(b"more")
        return look(file, size)

    monkeypatch.setattr(archive, "directory", written_meanwhile)

    with pytest.raises(CheckpointError, match="changed while it was read"):
        load_checkpoint(path, device="cpu")


@unix
def test_pipes_and_devices_are_refused_at_once(path, tmp_path):
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="it is a pipe, not a regular file"):
        load_checkpoint(path, device="cpu")
    link = tmp_path / "link.pth"
    link.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="it is a device, not a regular file"):
        load_checkpoint(link, device="cpu")


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x80\x02", OLD], ids=["zip", "pickle", "old"])
def test_of_a_huge_file_no_more_is_read_than_shows_that_it_is_none(head, path, monkeypatch):
    """It is a hole of 3 GB on disk, which takes no room."""
    path.write_bytes(head)
    os.truncate(path, 3 << 30)
    most = []

    class Watched:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def read(self, size=-1):
            data = self.file.read(size)
            most.append(len(data))
            return data

    monkeypatch.setattr(
        "napari_ies.checkpoints.state_dict.open_regular", lambda p: Watched(open_regular(p))
    )

    with pytest.raises(CheckpointError, match="damaged or cut short"):
        load_checkpoint(path, device="cpu")

    assert sum(most) < 100 << 20


def test_more_than_the_memory_holds_is_not_read(path, monkeypatch):
    path.write_bytes(WHOLE)
    monkeypatch.setattr("napari_ies.free_memory.free_memory", lambda: 1000)

    assert "needs 0.0 GB of memory" in refusal(path, WHOLE)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a\0b.pth", "cannot be the name of a file"),
        ("x" * 5000 + ".pth", "cannot be read"),
        (os.fsdecode(b"\xff\xfe.pth"), r"There is no file .*\\xff\\xfe"),
    ],
)
def test_odd_names(name, words, tmp_path):
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(tmp_path / name, device="cpu")


@pytest.mark.parametrize("name", ["ФЛЕР.pth", "n" * 250 + ".pth", os.fsdecode(b"\xff\xfe.pth")])
def test_odd_names_of_good_files(name, tmp_path):
    """The profile that might lie beside the longest would have a name that no file can have."""
    path = tmp_path / name
    path.write_bytes(WHOLE)

    assert load_checkpoint(path, device="cpu").profile.sequences == ("FLAIR", "T1")


def test_the_real_checkpoint_with_holes(real_checkpoint, path):
    content = real_checkpoint.read_bytes()
    for size, start in ((4096, 9_000_000), (512 << 10, 9_000_000), (4096, 31_000_000)):
        damaged = content[:start] + bytes(size) + content[start + size :]
        assert "does not have its checksum" in refusal(path, damaged)
