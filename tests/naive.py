"""The definitions, computed the slow way: what the package's values are compared with.

Nothing here uses the package's windows, reductions or gradients. The volume is covered by MONAI's
own differentiable sliding-window inference, every voxel of a footprint has a backward pass of
its own through the whole volume, and the formulas are loops in float64.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers import sliding_window_inference
from torch.nn import functional


def logits(network, image, profile, forward):
    """Logits (classes, X, Y, Z) of an image (C, X, Y, Z)."""
    if forward == "sliding-window":
        return sliding_window_inference(
            image[None], profile.window, 1, network, overlap=profile.overlap, mode=profile.blending
        )[0]
    shape = image.shape[1:]
    missing = [-size % divisor for size, divisor in zip(shape, profile.divisor, strict=True)]
    padded = functional.pad(image, [0, missing[2], 0, missing[1], 0, missing[0]])
    return network(padded[None])[0][(slice(None), *(slice(size) for size in shape))]


def smoothgrad(model, image, mask, *, aggregation, noises, sigma, forward, class_index=1):
    """Mean and standard error over noise samples, float64 (C, X, Y, Z), by a double loop."""
    rows = noisy_rows(
        model, image, mask, noises=noises, sigma=sigma, forward=forward, class_index=class_index
    )
    return over_samples(rows, aggregation)


def noisy_rows(model, image, mask, *, noises, sigma, forward, class_index=1):
    """The Jacobian of each noise sample, which all aggregations share."""
    return [
        jacobian(
            model,
            image.astype(np.float64) + sigma * noise.astype(np.float64),
            mask,
            forward=forward,
            class_index=class_index,
        )
        for noise in noises
    ]


def over_samples(rows, aggregation):
    """Mean and standard error over the samples' aggregated rows."""
    samples = np.array([aggregate(one, aggregation) for one in rows])
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples)) if len(samples) > 1 else None
    return samples.mean(axis=0), error


def networks_of(model):
    """The network in float64; of several as one, whose logits are averaged, each of them."""
    return [
        copy.deepcopy(one).double() for one in getattr(model.network, "members", [model.network])
    ]


def jacobian(model, image, mask, *, forward, class_index=1):
    """Gradients of the logits of a mask's voxels, float64 (V, C, X, Y, Z), one after the other."""
    networks = networks_of(model)
    leaf = torch.from_numpy(image.astype(np.float64)).requires_grad_()
    outputs = [logits(one, leaf, model.profile, forward)[class_index] for one in networks]
    output = sum(outputs) / len(outputs)
    rows = []
    for voxel in np.argwhere(mask):
        (row,) = torch.autograd.grad(output[tuple(voxel)], leaf, retain_graph=True)
        rows.append(row.numpy())
    return np.array(rows)


def aggregate(rows, aggregation):
    """Aggregate the rows (V, ...) of a Jacobian as the definitions say."""
    if aggregation == "mean":
        return rows.mean(axis=0)
    if aggregation == "sum":
        return rows.sum(axis=0)
    strongest = np.abs(rows).argmax(axis=0)
    return np.take_along_axis(rows, strongest[None], axis=0)[0]


def gradcam(model, image, mask, layer, *, forward, class_index=1):
    """Grad-CAM++ map, float64 (X, Y, Z), by a loop over channels: those of all networks."""
    networks = networks_of(model)
    profile, shape = model.profile, image.shape[1:]
    tensor = torch.from_numpy(image.astype(np.float64))
    if forward == "whole-volume":
        missing = [-size % divisor for size, divisor in zip(shape, profile.divisor, strict=True)]
        tensor = functional.pad(tensor, [0, missing[2], 0, missing[1], 0, missing[0]])
        windows = [tuple(slice(0, size) for size in tensor.shape[1:])]
        importance = torch.ones(tensor.shape[1:], dtype=torch.float64)
    else:
        steps = [int(size * (1 - profile.overlap)) for size in profile.window]
        windows = dense_patch_slices(shape, profile.window, steps)
        importance = compute_importance_map(profile.window, mode=profile.blending).double()
    total = torch.zeros(tensor.shape[1:], dtype=torch.float64)
    for window in windows:
        total[window] += importance
    padded_mask = np.zeros(tensor.shape[1:], dtype=bool)
    padded_mask[tuple(slice(0, size) for size in shape)] = mask
    passes = []
    for window in windows:
        if not padded_mask[window].any():
            continue
        kept, output = [], 0
        for network in networks:
            handle = network.get_submodule(layer).register_forward_hook(
                # What follows may work in place.
                lambda _module, _inputs, output, kept=kept: kept.append(output) or output.clone()
            )
            crop = tensor[(slice(None), *window)].clone().requires_grad_()
            output = output + network(crop[None])[0, class_index] / len(networks)
            handle.remove()
        weight = importance / total[window]
        score = sum(output[tuple(v)] * weight[tuple(v)] for v in np.argwhere(padded_mask[window]))
        gradient = torch.cat(torch.autograd.grad(score, kept), dim=1)
        activations = torch.cat(kept, dim=1).detach()
        passes.append((window, activations[0].numpy(), gradient[0].numpy()))
    result = np.zeros(tensor.shape[1:])
    n_channels = passes[0][1].shape[0]
    sums = [sum((a[k] * g[k] ** 3).sum() for _, a, g in passes) for k in range(n_channels)]
    for window, activations, gradients in passes:
        raw = np.zeros(activations.shape[1:])
        for k in range(n_channels):
            g, a = gradients[k], activations[k]
            denominator = 2 * g**2 + sums[k]
            alpha = np.zeros_like(g)
            np.divide(g**2, denominator, out=alpha, where=denominator != 0)
            raw += alpha * np.maximum(g, 0.0) * a
        raw = torch.from_numpy(np.maximum(raw, 0.0))[None, None]
        size = tuple(axis.stop - axis.start for axis in window)
        result[window] += functional.interpolate(raw, size=size, mode="trilinear")[0, 0].numpy()
    return result[tuple(slice(0, size) for size in shape)]
