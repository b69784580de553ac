"""Whatever a bundle's configuration says: it is loaded or refused in a sentence; nothing runs."""

from __future__ import annotations

import copy
import json
import sys

import pytest
from bundles import METADATA, NORMALISED, config, trained_unet, write_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_ies.checkpoints import load_checkpoint
from napari_ies.errors import CheckpointError

ORIENTED = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
SPACED = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.0, 1.0, 1.0]}
WHOLE = config(transforms=(ORIENTED, SPACED, NORMALISED))
USED = ("network_def", "preprocessing", "inferer", "postprocessing")
RUNS = "$__import__('sys').__setattr__('canary', True)"

junk = st.one_of(
    st.sampled_from(
        [RUNS, "@network_def", "@nowhere", "@preprocessing::transforms::0", "%a", "", "UNet"]
    ),
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-3, 300) | st.none(), max_size=5),
    st.dictionaries(st.sampled_from(["_target_", "a", "norm"]), st.text(max_size=5), max_size=3),
)


def leaves(value, place=()):
    """Yield where each value stands, the containers too."""
    yield place
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*place, key))


PLACES = [place for part in USED for place in leaves(WHOLE[part], (part,))]


def changed(content, place, value, *, remove):
    content = copy.deepcopy(content)
    *way, last = place
    holder = content
    for step in way:
        if not isinstance(holder, dict | list):
            return content
        holder = holder[step]
    if remove:
        del holder[last]
    else:
        holder[last] = value
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("hostile") / "b", WHOLE)


def loads_or_says_why(folder):
    try:
        load_checkpoint(folder, device="cpu")
    except CheckpointError as error:
        sentence = str(error)
        assert sentence.startswith("b cannot be loaded")
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert len(sentence) < 1200
    assert not hasattr(sys, "canary")


@pytest.mark.slow
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.sampled_from(PLACES), value=junk, remove=st.booleans())
def test_any_value_anywhere(folder, place, value, remove):
    content = changed(WHOLE, place, value, remove=remove)
    (folder / "configs/inference.json").write_text(json.dumps(content))

    loads_or_says_why(folder)


@pytest.mark.slow
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.sampled_from([p for p in leaves(METADATA) if p]), value=junk, remove=st.booleans())
def test_any_metadata(folder, place, value, remove):
    (folder / "configs/inference.json").write_text(json.dumps(WHOLE))
    content = changed(METADATA, place, value, remove=remove)
    (folder / "configs/metadata.json").write_text(json.dumps(content))

    loads_or_says_why(folder)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200), ending=st.sampled_from(["json", "yaml"]))
def test_any_bytes(tmp_path_factory, content, ending):
    folder = tmp_path_factory.mktemp("bytes") / "b"
    write_bundle(folder, "", weights=SMALL, ending=ending)
    (folder / f"configs/inference.{ending}").write_bytes(content)

    loads_or_says_why(folder)


SMALL = trained_unet().state_dict()
