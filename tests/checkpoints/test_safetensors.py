"""safetensors: the same networks as from PyTorch's own files, and nothing that is claimed alone."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet
from safetensors.torch import save, save_file

from napari_ies.checkpoints import load_checkpoint
from napari_ies.checkpoints.file.state_dict import read_state_file
from napari_ies.errors import CheckpointError

FEW = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.tensor(3, dtype=torch.int64),
    "half": torch.tensor([1.5], dtype=torch.bfloat16),
    "none": torch.empty(0, 4),
    "flag": torch.tensor([True, False, True]),
}
WHOLE = save(TENSORS, metadata={"format": "pt"})


def packed(entries, numbers=b"") -> bytes:
    listed = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(listed)) + listed + numbers


def entry(start, end, shape=None, dtype="F32"):
    return {
        "dtype": dtype,
        "shape": [(end - start) // 4] if shape is None else shape,
        "data_offsets": [start, end],
    }


def refusal(path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_state_file(path)
    sentence = str(caught.value)
    assert sentence.startswith("x.safetensors")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.safetensors"


def test_its_tensors_are_those_that_were_saved(path):
    path.write_bytes(WHOLE)

    read = read_state_file(path)

    assert read.sha256 == hashlib.sha256(WHOLE).hexdigest()
    (table,) = read.tables.values()
    assert table.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert table[name].dtype == tensor.dtype
        assert torch.equal(table[name], tensor)


def test_a_network_is_recognised_in_it_whatever_it_is_called(tmp_path):
    network = UNet(3, 2, 2, (4, 8), (2,), norm="batch").eval()
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 2)
    save_file(network.state_dict(), tmp_path / "weights.pth", metadata={"epoch": "3"})

    model = load_checkpoint(tmp_path / "weights.pth", device="cpu")

    image = torch.randn(1, 2, 8, 8, 8)
    assert torch.equal(model.network(image), network(image))
    # Its tensors are listed by name, which does not tell what comes first.
    (asked,) = (one for one in model.profile.guessed if "order of the layers" in one)
    assert (asked.field, asked.candidates) == ("arguments.adn_ordering", ("NDA", "ADN"))


TWENTY_GB = 20 * 10**9
HOSTILE = {
    "list longer than the file": struct.pack("<Q", TWENTY_GB) + b"{}",
    "tensor of 20 GB": packed({"a": entry(0, TWENTY_GB)}, bytes(8)),
    "numbers without end": packed({"a": entry(0, 8, [2**61, 2**61])}, bytes(8)),
    "no numbers in huge axes": packed({"a": entry(0, 0, [0, 2**61, 2**61])}),
    "overlap": packed({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "the same place twice": packed({"a": entry(0, 8), "b": entry(0, 8)}, bytes(8)),
    "gap": packed({"a": entry(0, 8), "b": entry(12, 16)}, bytes(16)),
    "bytes behind": packed({"a": entry(0, 8)}, bytes(9)),
    "bytes missing": packed({"a": entry(0, 8)}, bytes(7)),
    "backwards": packed({"a": entry(8, 0, [2])}, bytes(8)),
    "negative": packed({"a": entry(-8, 0)}, bytes(8)),
    "another size than its shape": packed({"a": entry(0, 8, [3])}, bytes(8)),
    "a name twice": packed(
        b'{"a":'
        + b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
        + b',"a":'
        + b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        bytes(8),
    ),
    "no type": packed({"a": entry(0, 8, dtype=["F32"])}, bytes(8)),
    "a type of the future": packed({"a": entry(0, 8, dtype="F4")}, bytes(8)),
    "no entry": packed({"a": 3}),
    "no table": packed(b"[1]".ljust(8)),
    "nested without end": packed(b'{"a":' * 100_000),
    "not JSON": packed(b"{not JSON}"),
    "not UTF-8": packed(b'{"\xff":1}'),
    "metadata that are no texts": packed({"__metadata__": {"a": 1}}),
    "too many axes": packed({"a": entry(0, 4, [1] * 1000)}, bytes(4)),
    "nothing": packed({}),
    "metadata alone": packed({"__metadata__": {"a": "b"}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_claimed_without_being_there_is_refused_in_a_sentence(name, path):
    refusal(path, HOSTILE[name])


@FEW
@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_any_byte_changed_gives_a_sentence_or_tensors(place, byte, path):
    content = bytearray(WHOLE)
    content[place] = byte
    path.write_bytes(content)
    try:
        read = read_state_file(path)
    except CheckpointError as error:
        sentence = str(error)
    else:
        sentence = f"{len(read.tables[''])} tensors."
    assert sentence.endswith(".")


@FEW
@given(length=st.integers(0, len(WHOLE) - 1))
def test_any_file_cut_short_is_refused(length, path):
    refusal(path, WHOLE[:length])
