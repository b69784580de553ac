"""A compressed file is what was compressed, or it is refused: nothing in between."""

import bz2
import gzip
import hashlib
import itertools
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_ies.patient.images.file_stream import FileStream
from napari_ies.regular_files import TooLargeError

# Noise that does not compress, and zeros that do: the stream holds blocks of either kind.
PLAIN = np.random.default_rng(0).bytes(3000) + bytes(2000) + b"lesion" * 500
REFUSED = (OSError, EOFError, zlib.error)
BOUNDED = settings(
    derandomize=True,
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def content(path, packed, at_most=1 << 20):
    path.write_bytes(packed)
    with FileStream(path) as stream:
        return stream.content(at_most).getvalue()


@BOUNDED
@given(
    data=st.data(),
    pack=st.sampled_from([gzip.compress, bz2.compress, lambda raw: gzip.compress(raw, 1)]),
)
def test_a_flipped_bit_changes_no_value(tmp_path, data, pack):
    packed = bytearray(pack(PLAIN))
    place = data.draw(st.integers(0, 8 * len(packed) - 1))
    packed[place // 8] ^= 1 << place % 8
    try:
        found = content(tmp_path / "a", bytes(packed))
    except REFUSED:
        return
    # A bit of the name, the date or the system in the head of gzip; or it is gzip no more.
    assert found in (PLAIN, bytes(packed))


@BOUNDED
@given(data=st.data(), pack=st.sampled_from([gzip.compress, bz2.compress]))
def test_a_file_cut_short_is_refused_wherever_it_was_cut(tmp_path, data, pack):
    packed = pack(PLAIN)
    length = data.draw(st.one_of(st.integers(4, len(packed) - 1), st.just(len(packed) - 8)))
    with pytest.raises(REFUSED):
        content(tmp_path / "a", packed[:length])


@BOUNDED
@given(
    cuts=st.lists(st.integers(0, len(PLAIN)), max_size=6),
    padding=st.integers(0, 3000),
    pack=st.sampled_from([gzip.compress, bz2.compress]),
)
def test_members_follow_one_another(tmp_path, cuts, padding, pack):
    ends = [0, *sorted(cuts), len(PLAIN)]
    parts = [PLAIN[a:b] for a, b in itertools.pairwise(ends)]
    zeros = bytes(padding) if pack is gzip.compress else b""  # as gzip has it
    packed = b"".join(pack(part) for part in parts) + zeros
    assert content(tmp_path / "a", packed) == PLAIN
    assert pack is bz2.compress or gzip.decompress(packed) == PLAIN


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_what_follows_that_is_no_member_is_refused(tmp_path, pack):
    with pytest.raises(REFUSED):
        content(tmp_path / "a", pack(PLAIN) + b"something else")


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, bytes])
def test_large_contents_come_whole_and_are_hashed_as_they_lie_on_the_disk(tmp_path, pack):
    plain = bytes(5 << 20) + np.random.default_rng(1).bytes(3 << 20) + bytes(1)
    path = tmp_path / "a"
    path.write_bytes(pack(plain))
    with FileStream(path) as stream:
        assert stream.head(600) == plain[:600]
        assert stream.content(len(plain)).getvalue() == plain
        assert stream.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert stream.size == len(path.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, bytes])
def test_no_more_is_unpacked_than_was_asked_for(tmp_path, pack):
    path = tmp_path / "a"
    path.write_bytes(pack(bytes(64 << 20)))
    with FileStream(path) as stream:
        with pytest.raises(TooLargeError):
            stream.content(1 << 20)
        # Blocks of a megabyte, and one that was too much.
        assert stream._read.getbuffer().nbytes <= 3 << 20


def test_a_byte_of_gzip_stands_for_no_more_than_the_ratio(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(bytes(32 << 20), 9))
    with FileStream(path) as stream:
        assert 0.99 * stream.largest < 32 << 20 < stream.largest


@pytest.mark.parametrize("zeros", [1, 5000, 3_000_000])
def test_zeros_after_gzip_are_no_damage_however_many(tmp_path, zeros):
    file = tmp_path / "padded.gz"
    file.write_bytes(gzip.compress(b"content") + bytes(zeros))
    with FileStream(file) as stream:
        assert stream.content(100).read() == b"content"
    file.write_bytes(gzip.compress(b"content") + bytes(zeros) + gzip.compress(b" goes on"))
    with FileStream(file) as stream:
        assert stream.content(100).read() == b"content goes on"
