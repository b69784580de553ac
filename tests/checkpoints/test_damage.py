"""A damaged checkpoint is refused, or its weights are the very ones: nothing in between."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet

from napari_ies.checkpoints import load_checkpoint
from napari_ies.checkpoints.file import archive, pickled
from napari_ies.checkpoints.file.state_dict import read_state_file
from napari_ies.errors import CheckpointError
from napari_ies.regular_files import open_regular

unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
FIXED = settings(
    derandomize=True,
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def unet():
    torch.manual_seed(0)
    return UNet(3, 2, 2, (4, 8), (2,), norm="batch")


FIRST_KEY = "model.0.conv.weight"
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
ADAM = {
    "state": {},
    "param_groups": [
        {
            "lr": 0.001,
            "betas": (0.9, 0.999),
            "eps": 1e-08,
            "weight_decay": 0,
            "amsgrad": False,
            "maximize": False,
            "foreach": None,
            "capturable": False,
            "differentiable": False,
            "fused": None,
            "decoupled_weight_decay": False,
            "params": list(range(len(list(unet().parameters())))),
        }
    ],
}
"""As PyTorch's own has it, which every worker would load for this: with all of its compiler."""
FORMS = {
    "as saved": WHOLE,
    "compressed": repacked(WHOLE, zipfile.ZIP_DEFLATED),
    "in a training file": saved(
        {
            "epoch": 3,
            "model": STATE,
            "optimizer": ADAM,
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


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("new", [True, False])
def test_the_protocols_that_pytorch_reads_as_weights_alone_load(protocol, new, path, recwarn):
    content = saved(STATE, pickle_protocol=protocol, _use_new_zipfile_serialization=new)

    assert loads_as_it_was(path, content)
    assert not [each for each in recwarn if "protocol" in str(each.message)]


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("new", [True, False])
def test_a_later_protocol_is_refused_with_the_remedy(protocol, new, path):
    content = saved(STATE, pickle_protocol=protocol, _use_new_zipfile_serialization=new)

    assert refusal(path, content) == (
        f"network.pth cannot be loaded: it was saved with pickle protocol {protocol}, where "
        "PyTorch's own, 2, was expected; re-save it where it was trained with "
        "torch.save(network.state_dict(), …)."
    )


def test_a_later_protocol_is_named_in_a_file_of_which_the_beginning_alone_is_looked_at(
    path, monkeypatch
):
    monkeypatch.setattr("napari_ies.checkpoints.file.old_files.LONGEST_PICKLE", 1000)
    content = saved(STATE, pickle_protocol=4, _use_new_zipfile_serialization=False)

    assert "pickle protocol 4" in refusal(path, content)


@pytest.fixture
def loads(monkeypatch):
    """What PyTorch was asked to load, and with which options."""
    calls, load = [], torch.load

    def watched(file, **options):
        calls.append(options)
        return load(file, **options)

    monkeypatch.setattr(torch, "load", watched)
    return calls


@pytest.mark.parametrize("content", [*FORMS.values(), OLD], ids=[*FORMS, "old"])
def test_it_is_loaded_as_weights_alone_from_what_was_read(content, path, loads):
    assert loads_as_it_was(path, content)

    assert loads == [{"map_location": "cpu", "weights_only": True, "mmap": False}]


@pytest.mark.parametrize("content", [WHOLE, OLD], ids=["zip", "old"])
def test_the_weights_are_those_that_pytorch_gives(content, path, monkeypatch):
    path.write_bytes(content)
    twice = {key: 2 * tensor for key, tensor in STATE.items()}
    monkeypatch.setattr(torch, "load", lambda *_, **__: twice)

    tables = read_state_file(path).tables

    assert list(tables) == [""]
    assert all(torch.equal(tables[""][key], tensor) for key, tensor in twice.items())


@pytest.mark.parametrize(
    "other",
    [
        {**STATE, "one.more": torch.ones(1)},
        {key: tensor for key, tensor in STATE.items() if key != FIRST_KEY},
        {**STATE, FIRST_KEY: torch.ones(1)},
        {**STATE, FIRST_KEY: STATE[FIRST_KEY].double()},
        {"model": STATE},
        [],
    ],
)
def test_other_tensors_than_the_file_lists_are_not_used(other, path, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: other)

    assert "PyTorch finds other tensors than it lists" in refusal(path, WHOLE)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (pickle.UnpicklingError("Unsupported global: GLOBAL a.B was not"), "Python objects (a.B)"),
        (pickle.UnpicklingError("Unsupported operand 149"), "damaged or cut short"),
        (RuntimeError("PytorchStreamReader failed"), "damaged or cut short"),
        (MemoryError(), "network.pth needs more memory than is free: close"),
    ],
)
def test_what_pytorch_refuses_is_refused_in_a_sentence(error, words, path, monkeypatch):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr(torch, "load", failing)

    assert words in refusal(path, WHOLE)


def test_a_second_list_of_tensors_that_pytorch_would_find_instead_is_not_read(path):
    """Its reader looks for ``data.pkl`` whatever its case."""
    with zipfile.ZipFile(io.BytesIO(saved({"other": torch.ones(216)}))) as archive_of_another:
        other = archive_of_another.read("archive/data.pkl")
    content = repacked(WHOLE, 0, more=[("archive/DATA.PKL", other)])
    assert list(torch.load(io.BytesIO(content), weights_only=True)) == ["other"]

    assert loads_as_it_was(path, content)


def test_two_storages_whose_names_differ_in_their_case_are_refused(path):
    code = b"}(X\1\0\0\0a" + tensor(key=b"x") + b"X\1\0\0\0b" + tensor(key=b"X") + b"u."
    more = [("archive/data/x", bytes(864)), ("archive/data/X", bytes(864))]

    def change(name, data):
        return b"\x80\x02" + code if name.endswith("data.pkl") else data

    assert "differ in their case" in refusal(path, repacked(WHOLE, 0, change, more))


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


LIST = zipfile.ZipFile(io.BytesIO(WHOLE)).read("archive/data.pkl")
CODES = [
    b"(",
    b"\x85",
    b"R",
    b"b",
    b"a",
    b"s",
    b"u",
    b"t",
    b"Q",
    b"N",
    b"}",
    b"]",
    b"h\0",
    b"M\xff\xff",
]


@FIXED
@given(
    places=st.lists(st.integers(0, len(LIST) - 1), min_size=1, max_size=3),
    code=st.sampled_from(CODES),
    over=st.integers(0, 6),
)
def test_any_other_list_of_tensors_with_a_right_checksum(places, code, over, path):
    """Names of tensors may be others then; what is loaded is what is listed, or a sentence."""
    content = bytearray(LIST)
    for place in places:
        content[place : place + over] = code
    path.write_bytes(with_record("data.pkl", lambda _: bytes(content)))
    tables, sentence = {}, "network.pth"
    try:
        tables = read_state_file(path).tables
    except CheckpointError as error:
        sentence = str(error)

    assert sentence.startswith("network.pth")
    assert "PyTorch finds other" not in sentence
    for table in tables.values():
        assert all(each.nbytes <= path.stat().st_size for each in table.values())


@pytest.mark.parametrize("change", [-1000, -4, -1, 1, 4, 1000])
def test_the_older_form_has_every_byte_that_it_lists_and_none_more(change, path):
    content = OLD[:change] if change < 0 else OLD + bytes(change)

    assert f"by what it lists it has {len(OLD)} bytes" in refusal(path, content)


def pickle_of(code: bytes) -> bytes:
    return with_record("data.pkl", lambda _: b"\x80\x02" + code)


def tensor(kind=b"Float", key=b"0", count=b"M\xd8\0", offset=b"K\0", size=b"K\4\x85") -> bytes:
    """Write the instructions for a tensor in one of the records of `WHOLE`, of 864 bytes."""
    storage = b"(X\7\0\0\0storagectorch\n" + kind + b"Storage\nX\1\0\0\0" + key
    storage += b"X\3\0\0\0cpu" + count + b"tQ"
    history = b"\x89ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + (storage + offset + size + b"K\1\x85" + history)
        + b"tR"
    )


def entry(code: bytes) -> bytes:
    """Write a table with one entry."""
    return pickle_of(b"}X\1\0\0\0a" + code + b"s.")


NUMBER = b"\x8a\6\0\0\0\0\0\1"
"""A terabyte."""


def claiming(**sizes) -> bytes:
    """Add a tensor that claims another size than its one number has."""
    return saved({**STATE, "loss.weight": torch.ones(1).as_strided(**sizes)})


def patched(state_key: str, tensor) -> bytes:
    return saved({**STATE, state_key: tensor})


def with_attribute(**attributes):
    parameter = torch.nn.Parameter(FIRST)
    for name, value in attributes.items():
        setattr(parameter, name, value)
    return parameter


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
        pickle_of(b"}" * 1_100_000),
        "more than 1000000 tables, lists and texts",
    ),
    "a key of a hundred thousand levels": (
        pickle_of(b"})" + b"\x85" * 100_000 + b"K\x01s."),
        "an entry under something that is no name",
    ),
    "a member of a set of a hundred thousand levels": (
        pickle_of(b"c__builtin__\nset\n])" + b"\x85" * 100_000 + b"a\x85R."),
        "an entry under something that is no name",
    ),
    "keys without end that may be hard to tell apart": (
        saved(dict.fromkeys(range(10_001))),
        "an entry under something that is no name",
    ),
    "a bytearray of a terabyte": (
        pickle_of(b"c__builtin__\nbytearray\n" + NUMBER + b"\x85R."),
        "bytes of something that is no text",
    ),
    "a storage of a terabyte": (
        pickle_of(b"ctorch.storage\nUntypedStorage\n" + NUMBER + b"\x85R."),
        "a call of torch.storage.UntypedStorage",
    ),
    "the same text made to bytes again and again": (
        pickle_of(
            b"]X\0\0\1\0" + b"a" * 65536 + b"q\0a("
            b"c_codecs\nencode\nq\1X\6\0\0\0latin1q\2" + b"h\1h\0h\2\x86R" * 5000 + b"l."
        ),
        "it copies the same values again and again",
    ),
    "the same list made to tables again and again": (
        pickle_of(
            b"](" + b"]X\1\0\0\0aaK\2a" * 1000 + b"eq\0ccollections\nOrderedDict\nq\1"
            b"h\0\x85q\2" + b"h\1h\2R" * 5000 + b"."
        ),
        "it copies the same values again and again",
    ),
    "bytes in an encoding that takes long": (
        entry(b"c_codecs\nencode\nX\1\0\0\0aX\4\0\0\0idna\x86R"),
        "bytes of something that is no text in Latin-1",
    ),
    "an object made without its class being called": (
        entry(b"ccollections\nOrderedDict\n)\x81"),
        "is NEWOBJ",
    ),
    "a tensor that is set again": (
        entry(tensor() + b"q\0(h\0K\0M\xe8\3\x85K\1\x85tb"),
        "attributes of something that is no state dict",
    ),
    "attributes that hide a table's own": (
        pickle_of(b"ccollections\nOrderedDict\n)R}X\5\0\0\0itemsK\1sb."),
        "attributes that no state dict has",
    ),
    "one storage of two kinds": (
        pickle_of(b"]" + tensor() + b"a" + tensor(b"Double", count=b"Kl") + b"a."),
        "a storage has two kinds or lengths",
    ),
    "a tensor that begins behind its numbers": (
        entry(tensor(offset=b"M\xe8\3")),
        "the tensor a claims to hold 4 numbers, more than its record has",
    ),
    "a tensor of a negative size": (
        entry(tensor(size=b"J\xff\xff\xff\xff\x85")),
        "a tensor of impossible size",
    ),
    "a tensor of too many axes": (
        entry(tensor(size=b"(" + b"K\1" * 1000 + b"t")),
        "a tensor of impossible size",
    ),
    "a tensor of 4 terabytes outside of all tables": (
        saved({**STATE, "state": {0: {"step": torch.ones(1).expand(10**6, 10**6)}}}),
        "a tensor in it claims to hold 1000000×1000000 numbers, more than its record has",
    ),
    "a sparse tensor outside of all tables": (
        saved({**STATE, "state": {0: {"step": FIRST.to_sparse()}}}),
        "a tensor in it is sparse, where plain numbers were expected",
    ),
    "a negated tensor under a number": (
        saved({**STATE, "state": {0: torch.ones(3, dtype=torch.complex64).conj().imag}}),
        "the tensor 0 is conjugated or negated",
    ),
    "a parameter with more than plain attributes": (
        saved({**STATE, "loss.weight": with_attribute(mean=[1, 2])}),
        "the tensor loss.weight is with attributes of its own",
    ),
    "a parameter whose numbers are replaced": (
        entry(
            b"ctorch._utils\n_rebuild_parameter_with_state\n("
            + (tensor() + b"\x89ccollections\nOrderedDict\n)R}X\4\0\0\0dataK\1s")
            + b"tR"
        ),
        "the tensor a is with attributes of its own",
    ),
    "code": (
        pickle_of(b"cos\nsystem\nX\x04\0\0\0exit\x85R."),
        "Python objects (os.system)",
    ),
    "code by a name on the stack": (
        pickle_of(b"X\x05\0\0\0posixX\x06\0\0\0system\x93X\x04\0\0\0exit\x85R."),
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


HARMLESS = {
    "too many networks",
    "complex",
    "truth values",
    "whole numbers",
    "beyond float32",
    "infinite in 16 bits",
    "a negative variance",
}
"""Refused when PyTorch has loaded them, by their numbers and names."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_a_sentence_before_pytorch_sees_it(name, path, loads):
    content, words = HOSTILE[name]

    sentence = refusal(path, content)

    assert words in sentence
    assert sentence.endswith(".")
    assert len(loads) == (name in HARMLESS)


EXACT = {
    "halves": STATE["model.0.conv.weight"].half(),
    "bfloat16": STATE["model.0.conv.weight"].bfloat16(),
    "doubles": STATE["model.0.conv.weight"].double(),
    "8 bits": STATE["model.0.conv.weight"].to(torch.float8_e5m2),
    "another order": FIRST.transpose(0, 1).contiguous().transpose(0, 1),
    "a part of a larger one": torch.randn(8, 2, 3, 3, 3)[4:],
    "a parameter": torch.nn.Parameter(FIRST),
    "a parameter with a note": with_attribute(no_weight_decay=True),
    "one number everywhere": torch.full((1,), 0.25).expand(FIRST.shape),
}


@pytest.mark.parametrize("name", EXACT)
def test_rare_but_right_tensors_are_read_as_they_are(name, path):
    path.write_bytes(patched("model.0.conv.weight", EXACT[name]))

    found = load_checkpoint(path, device="cpu").network.state_dict()["model.0.conv.weight"]

    assert torch.equal(found, EXACT[name].detach().float())


def with_options(content=STATE, **options) -> bytes:
    config = torch.utils.serialization.config.save
    before = {name: getattr(config, name) for name in options}
    for name, value in options.items():
        setattr(config, name, value)
    try:
        return saved(content)
    finally:
        for name, value in before.items():
            setattr(config, name, value)


@pytest.mark.slow
def test_a_long_training_history_beside_the_weights_is_read(path, monkeypatch):
    assert pickled.MOST_NUMBERS == 5 * pickled.MOST_INSTRUCTIONS
    monkeypatch.setattr(pickled, "MOST_INSTRUCTIONS", 50_000)
    losses = [step / 7 for step in range(52_500)]

    assert loads_as_it_was(path, saved({"model": STATE, "losses": losses}))


@pytest.mark.parametrize(
    ("limit", "losses", "words"),
    [
        ("MOST_NUMBERS", [step / 7 for step in range(1001)], "1000 numbers"),
        ("MOST_INSTRUCTIONS", [{} for _ in range(1001)], "1000 tables, lists and texts"),
    ],
)
def test_values_without_end_beside_the_weights_are_not_called_damage(
    limit, losses, words, path, monkeypatch, loads
):
    monkeypatch.setattr(f"napari_ies.checkpoints.file.pickled.{limit}", 1000)

    assert refusal(path, saved({"model": STATE, "losses": losses})) == (
        f"network.pth cannot be loaded: beside its tensors it holds more than {words}, such as a "
        "long training history; re-save it where it was trained with "
        "torch.save(network.state_dict(), …)."
    )
    assert not loads


def test_more_than_the_list_of_tensors_may_take_is_not_called_damage(path, monkeypatch):
    monkeypatch.setattr("napari_ies.checkpoints.file.state_dict.LONGEST_PICKLE", 1 << 20)

    sentence = refusal(path, saved({"model": STATE, "note": "a" * (1 << 21)}))

    assert "it holds more than 1 MB beside its tensors' numbers; re-save" in sentence


def test_a_file_saved_without_checksums_is_refused_as_that(path):
    assert refusal(path, with_options(compute_crc32=False)) == (
        "network.pth cannot be loaded: it was saved without checksums "
        "(torch.serialization.set_crc32_options(False)), so that damage to it could not be "
        "noticed; re-save it where it was trained with torch.save(network.state_dict(), …)."
    )


@pytest.mark.parametrize("alignment", [1, 4096, 65536])
def test_padding_between_the_records_is_no_damage(alignment, path):
    assert loads_as_it_was(path, with_options(storage_alignment=alignment))


def test_a_file_zipped_again_with_the_folder_around_it_is_read(path):
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(f"downloads/{name}", old.read(name))

    assert loads_as_it_was(path, file.getvalue())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (list(STATE.values()), f"holds {len(STATE)} tensors, but no table that names each"),
        (FIRST, "holds 1 tensor, but no table that names each"),
        ([1, 2], "holds no tensors"),
    ],
)
def test_tensors_without_names(content, words, path):
    assert words in refusal(path, saved(content))


def test_a_compressed_file_smaller_than_one_of_its_tensors_is_read(path):
    """Its weights are pruned; the tensor alone has more bytes than the file."""
    state = {key: torch.zeros_like(tensor) for key, tensor in STATE.items()}
    widest = torch.zeros(40_000)
    content = repacked(saved({**state, "loss.weight": widest}), zipfile.ZIP_DEFLATED)
    content_as_stored = repacked(content, 0)
    assert len(content) < widest.nbytes
    path.write_bytes(content)

    file = read_state_file(path)

    assert torch.equal(file.tables[""]["loss.weight"], widest)
    assert abs(file.size - len(content_as_stored)) < 2000
    load_checkpoint(path, device="cpu")


@pytest.mark.parametrize(
    "spoilt",
    [FIRST * float("nan"), FIRST.double() * 1e60, FIRST.to(torch.complex64), FIRST.int()],
    ids=["NaN", "too large", "complex", "whole"],
)
@pytest.mark.parametrize("profile", ['{"arguments": {"norm": "batch"}}', ""])
def test_numbers_that_are_no_weights_are_not_blamed_on_the_arguments(spoilt, profile, path):
    if profile:
        path.with_name("network.profile.json").write_text(profile)

    sentence = refusal(path, patched(FIRST_KEY, spoilt))

    assert sentence.endswith("; choose another file.")
    assert "profile.json" not in sentence


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
        "napari_ies.checkpoints.file.state_dict.open_regular", lambda p: Watched(open_regular(p))
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
