"""Tiny nnU-Net v2 results folders with random weights, saved by nnU-Net's own trainer's code."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
RESIDUAL = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"


def configuration(**changed: Any) -> dict[str, Any]:
    """Return a configuration as nnU-Net's planner writes it, of a network of some 3,000 weights."""
    network = changed.pop("network", PLAIN)
    sampled = "resample_data_or_seg_to_shape"
    kwargs = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    blocks = "n_blocks_per_stage" if network == RESIDUAL else "n_conv_per_stage"
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [16, 20, 12],
        "median_image_size_in_voxels": [20, 24, 20],
        "spacing": [1.0, 1.1, 1.3],
        "normalization_schemes": ["ZScoreNormalization"] * 2,
        "use_mask_for_norm": [True, False],
        "resampling_fn_data": sampled,
        "resampling_fn_seg": sampled,
        "resampling_fn_probabilities": sampled,
        "resampling_fn_data_kwargs": kwargs,
        "resampling_fn_seg_kwargs": kwargs | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities_kwargs": kwargs | {"order": 1},
        "architecture": {
            "network_class_name": network,
            "arch_kwargs": {
                "n_stages": 3,
                "features_per_stage": [4, 6, 8],
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * 3,
                "strides": [[1, 1, 1], [2, 2, 1], [2, 2, 2]],
                blocks: [1, 1, 1],
                "n_conv_per_stage_decoder": [1, 1],
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
        **changed,
    }


def make_folder(
    place: Path,
    *,
    folds: tuple[str, ...] = ("0",),
    labels: dict[str, Any] | None = None,
    mirrored: tuple[int, ...] | None = (0, 1, 2),
    name: str = "3d_fullres",
    plans: dict[str, Any] | None = None,
    **changed: Any,
) -> Path:
    """Make a results folder of random networks and return it."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    dataset = {
        "channel_names": {"0": "FLAIR", "1": "T1"},
        "labels": labels or {"background": 0, "lesion": 1},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    if any(isinstance(one, list) for one in dataset["labels"].values()):
        dataset["regions_class_order"] = list(
            range(1, len(dataset["labels"]) - ("ignore" in dataset["labels"]))
        )
    said: dict[str, Any] = {
        "dataset_name": "Dataset001_Tiny",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [1, 0, 2],
        "transpose_backward": [1, 0, 2],
        "configurations": {name: configuration(**changed)},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(channel): {"mean": 1.0, "std": 2.0, "percentile_00_5": -3.0, "percentile_99_5": 4.0}
            for channel in range(2)
        },
        **(plans or {}),
    }
    place.mkdir(parents=True, exist_ok=True)
    (place / "dataset.json").write_text(json.dumps(dataset))
    (place / "plans.json").write_text(json.dumps(said))
    manager = PlansManager(said)
    heads = manager.get_label_manager(dataset).num_segmentation_heads
    for number, fold in enumerate(folds):
        torch.manual_seed(number)
        network = nnUNetTrainer.build_network_architecture(
            manager, manager.get_configuration(name), 2, heads, enable_deep_supervision=False
        )
        # Logits of some size about 0, so that probabilities are not all alike.
        for layer in network.decoder.seg_layers:
            weight = layer.weight.data
            weight.copy_(8 * (weight - weight.mean(dim=1, keepdim=True)))
            layer.bias.data.zero_()
        optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True)
        trainer = type("nnUNetTrainer", (SimpleNamespace,), {})(
            local_rank=0,
            disable_checkpointing=False,
            is_ddp=False,
            network=network,
            optimizer=optimizer,
            grad_scaler=None,
            logger=SimpleNamespace(
                get_checkpoint=lambda: {"mean_fg_dice": [np.float64(0.5)], "lrs": [np.float32(0.1)]}
            ),
            _best_ema=np.float64(0.5),
            current_epoch=1,
            my_init_kwargs={
                "plans": said,
                "configuration": name,
                "fold": fold if fold == "all" else int(fold),
                "dataset_json": dataset,
                "device": torch.device("cuda"),
            },
            inference_allowed_mirroring_axes=mirrored,
            print_to_log_file=print,
        )
        (place / f"fold_{fold}").mkdir(exist_ok=True)
        nnUNetTrainer.save_checkpoint(trainer, str(place / f"fold_{fold}" / "checkpoint_final.pth"))
    return place
