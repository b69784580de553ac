"""Whatever is changed in a state dict, the answer is a network that is proved, or one sentence."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNETR, BasicUNet, DynUNet, SegResNetDS, UNet

from napari_ies.checkpoints import load_checkpoint
from napari_ies.errors import CheckpointError
from napari_ies.printable import printable

EXAMPLES = 5 * int(os.environ.get("NAPARI_IES_EXAMPLES", "1"))
"""Of each network; more on request."""
NETWORKS = {
    "UNet": lambda: UNet(3, 2, 2, (4, 8, 8), (2, 2), norm="batch", num_res_units=1),
    "DynUNet": lambda: DynUNet(3, 2, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 4, 8]),
    "BasicUNet": lambda: BasicUNet(3, 2, 2, (2, 2, 2, 2, 2, 2)),
    "SegResNetDS": lambda: SegResNetDS(3, 4, 2, 2, blocks_down=(1, 1)),
    "UNETR": lambda: UNETR(2, 2, 16, feature_size=2, hidden_size=12, mlp_dim=8),
}
SHAPES = {
    "flat": lambda t: t.flatten(),
    "one more axis": lambda t: t[None],
    "one axis less": lambda t: t[0] if t.dim() else t,
    "nothing in it": lambda t: t.new_empty((0, *t.shape[1:])),
    "twice": lambda t: torch.cat([t, t]) if t.dim() else t,
    "turned": lambda t: t.transpose(0, -1) if t.dim() > 1 else t,
    "half of it": lambda t: t[: len(t) // 2] if t.dim() else t,
    "many axes": lambda t: t.reshape(*(1,) * 12, -1),
}
TYPES = {
    **{name: lambda t, name=name: t.to(getattr(torch, name)) for name in
       ("float16", "bfloat16", "float64", "int64", "bool", "uint8", "complex64", "float8_e5m2")},
    "sparse": lambda t: t.to_sparse(),
    "no tensor": lambda t: t.tolist(),
    "a text": lambda t: "weights",
    "nothing": lambda t: None,
}  # fmt: skip
NUMBERS = {
    "NaN": lambda t: torch.full_like(t, float("nan")) if t.is_floating_point() else t,
    "infinite": lambda t: torch.full_like(t, float("inf")) if t.is_floating_point() else t,
    "negative": lambda t: -t.abs() - 1 if t.is_floating_point() else t,
    "huge": lambda t: torch.full_like(t, 3e38) if t.is_floating_point() else t,
}
CHANGED = {**SHAPES, **TYPES, **NUMBERS}
NAMES = ["", "x", ".", "a.b.c", "weight", "\n", "\ud83d", "module.", "model." * 50, "9" * 400]


@st.composite
def mutations(draw, keys):
    kind = draw(st.sampled_from(["change", "drop", "rename", "add", "swap", "prefix"]))
    first, second = draw(st.sampled_from(keys)), draw(st.sampled_from(keys))
    how, name = draw(st.sampled_from(sorted(CHANGED))), draw(st.sampled_from(NAMES))

    def mutate(state):
        state = dict(state)
        if first not in state:
            return state
        if kind == "change" and isinstance(state[first], torch.Tensor):
            state[first] = CHANGED[how](state[first])
        elif kind == "drop":
            del state[first]
        elif kind == "rename":
            state[name + first] = state.pop(first)
        elif kind == "add":
            state[first + name] = state[first]
        elif kind == "swap" and second in state:
            state[first], state[second] = state[second], state[first]
        elif kind == "prefix":
            state = {name + key: value for key, value in state.items()}
        return state

    return mutate


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_any_mutation_of_a_state_dict(name, tmp_path):
    state = NETWORKS[name]().state_dict()
    path = tmp_path / "network.pth"

    @given(st.lists(mutations(sorted(state)), min_size=1, max_size=3))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def loads_or_says_why(changes):
        mutated = state
        for change in changes:
            mutated = change(mutated)
        torch.save(mutated, path)
        try:
            model = load_checkpoint(path, device="cpu")
        except CheckpointError as error:
            sentence = str(error)
            assert sentence.startswith("network.p")
            assert sentence.endswith(".")
            assert "\n" not in sentence
            assert printable(sentence) == sentence
            assert len(sentence) < 1500
        else:
            weights = model.network.state_dict().values()
            assert all(bool(t.isfinite().all()) for t in weights if t.is_floating_point())

    loads_or_says_why()


def test_of_weights_that_are_not_finite_the_layer_is_named(tmp_path):
    state = NETWORKS["DynUNet"]().state_dict()
    state["bottleneck.conv2.conv.weight"][0, 0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "network.pth")

    with pytest.raises(CheckpointError, match=r"bottleneck\.conv2\.conv\.weight.* hold NaN"):
        load_checkpoint(tmp_path / "network.pth", device="cpu")
