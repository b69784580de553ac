"""Attention a window and a head at a time, against loops in float64 and against the layer."""

import math

import numpy as np
import pytest
import torch
from monai.networks.nets.swin_unetr import WindowAttention

from napari_ies.saliency.engines.whole import attention_passes as module_of
from napari_ies.saliency.engines.whole import packed_passes as registry
from napari_ies.saliency.engines.whole.attention_passes import attended
from napari_ies.saliency.engines.whole.packed_passes import certified, packed_passes


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Several have PyTorch's own attention, where a test says so."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


def attention(heads=2, width=3, window=(2, 2, 3), seed=0, **settings):
    torch.manual_seed(seed)
    layer = WindowAttention(heads * width, heads, window, **{"qkv_bias": True, **settings})
    layer = layer.double().eval().requires_grad_(False)
    for parameter in layer.parameters():
        parameter.normal_()
    return layer


def masks(count, tokens, seed=1):
    """Masks of which the first two are equal."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.rand((count, tokens, tokens), generator=generator) > 0.6
    hidden[0] = hidden[1]
    return -100.0 * hidden.double()


def by_loops(layer, values, mask):
    """What the attention gives, number by number: a token of a window asks all others."""
    windows, tokens, channels = values.shape
    width = channels // layer.num_heads
    weight, bias = layer.qkv.weight.numpy(), layer.qkv.bias.numpy()
    table, index = layer.relative_position_bias_table.numpy(), layer.relative_position_index
    found = np.zeros(values.shape)
    for window in range(windows):
        asked = values[window].numpy() @ weight.T + bias
        for head in range(layer.num_heads):
            query, key, value = (
                asked[:, part * channels + head * width :][:, :width] for part in range(3)
            )
            for one in range(tokens):
                logits = [
                    sum(query[one] * key[other]) / math.sqrt(width)
                    + table[index[one, other], head]
                    + (0 if mask is None else float(mask[window % len(mask), one, other]))
                    for other in range(tokens)
                ]
                weights = np.exp(np.array(logits) - max(logits))
                weights /= weights.sum()
                found[window, one, head * width : (head + 1) * width] = weights @ value
    return found @ layer.proj.weight.numpy().T + layer.proj.bias.numpy()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("tokens", [12, 7], ids=["whole windows", "smaller windows"])
def test_an_attention_is_that_of_the_loops_and_its_pass_their_slope(
    tokens, masked, threads, monkeypatch
):
    """Two images of three windows each; the slope is measured in steps of a hundred-thousandth."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    layer = attention()
    values = torch.randn((6, tokens, 6), dtype=torch.float64)
    mask = masks(3, tokens) if masked else None
    leaf = values.clone().requires_grad_()
    found = attended(layer, leaf, mask)
    np.testing.assert_allclose(found.detach(), by_loops(layer, values, mask), rtol=1e-9, atol=1e-9)
    cotangent, step = torch.randn_like(values), torch.randn_like(values)
    (pulled,) = torch.autograd.grad(found, leaf, cotangent)
    ahead, behind = (by_loops(layer, values + 1e-5 * sign * step, mask) for sign in (1, -1))
    slope = float((cotangent.numpy() * (ahead - behind)).sum() / 2e-5)
    assert float((pulled * step).sum()) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_pass_is_autograds_pass_through_the_layer(masked, bias):
    layer = attention(heads=3, width=2, qkv_bias=bias)
    leaf = torch.randn((4, 12, 6), dtype=torch.float64, requires_grad=True)
    mask = masks(2, 12) if masked else None
    expected = layer(leaf, mask)
    cotangent = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(expected, leaf, cotangent)
    with packed_passes(certified(layer)):
        found = layer(leaf, mask)
    for _ in range(2):  # nothing is used up by the first row
        (pulled,) = torch.autograd.grad(found, leaf, cotangent, retain_graph=True)
        torch.testing.assert_close(pulled, gradient, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert "forward" not in vars(layer)


def test_a_sharp_attention_is_finite_and_the_same():
    """Logits of hundreds: most weights are nothing, and the largest would overflow by itself."""
    layer = attention()
    leaf = (30 * torch.randn((2, 12, 6), dtype=torch.float64)).requires_grad_()
    expected = layer(leaf, None)
    found = attended(layer, leaf)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    cotangent = torch.randn_like(expected)
    gradients = (torch.autograd.grad(given, leaf, cotangent)[0] for given in (found, expected))
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-10)


def test_dropout_that_is_on_is_left_to_the_layer():
    layer = attention(attn_drop=0.5).train()
    values = torch.randn((2, 12, 6), dtype=torch.float64)
    drawn = []
    for run in (lambda: attended(layer, values, None), lambda: layer(values, None)):
        torch.manual_seed(3)
        drawn.append(run())
    assert torch.equal(*drawn)


def test_an_attention_that_fails_its_trial_stays_as_it_is(monkeypatch, caplog):
    """A pass that is off by a thousandth, and a layer whose attributes have other names."""
    monkeypatch.setattr(registry, "TRIED", {})
    real = module_of._pulled
    monkeypatch.setattr(module_of, "_pulled", lambda *args, **named: 1.001 * real(*args, **named))
    assert not [one for one in certified(attention()) if isinstance(one, WindowAttention)]
    assert "failed its trial" in caplog.text
    monkeypatch.setattr(module_of, "_pulled", real)
    monkeypatch.setattr(registry, "TRIED", {})
    other = attention()
    assert other in certified(other)
    renamed = attention(heads=1)
    renamed.to_qkv = renamed.qkv
    del renamed.qkv
    assert renamed not in certified(renamed)
    layer, values = attention(), torch.randn((2, 12, 6), dtype=torch.float64)
    expected = layer(values, None)
    with packed_passes([]):
        assert torch.equal(layer(values, None), expected)
