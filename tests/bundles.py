"""Small MONAI bundles, written as those that are published."""

from __future__ import annotations

import json
import zipfile

import torch
from monai.bundle import ConfigParser
from monai.networks.nets import UNet

NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 2,
    "out_channels": 2,
    "channels": [4, 6],
    "strides": [2],
    "num_res_units": 1,
    "norm": "batch",
}
NORMALISED = {
    "_target_": "NormalizeIntensityd",
    "keys": "@image_key",
    "nonzero": True,
    "channel_wise": True,
}
METADATA = {
    "name": "Lesions",
    "network_data_format": {
        "inputs": {"image": {"num_channels": 2, "channel_def": {"0": "FLAIR", "1": "T1"}}},
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "MS lesion"}}},
    },
}


def config(network=NETWORK, transforms=(NORMALISED,), **more):
    """Return a configuration with the expressions that bundles of the model zoo have."""
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "image_key": "image",
        "output_dir": "$@bundle_root + '/eval'",
        "datalist": "$list(sorted(glob.glob(@bundle_root + '/*.nii.gz')))",
        "device": "$torch.device('cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "@image_key", "image_only": False},
                {"_target_": "EnsureChannelFirstd", "keys": "@image_key"},
                *transforms,
                {"_target_": "CastToTyped", "keys": "@image_key", "dtype": "$torch.float32"},
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [16, 16, 16],
            "sw_batch_size": 2,
            "overlap": 0.5,
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing"},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            ],
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        "run": ["$@evaluator.run()"],
        **more,
    }


def trained_unet(seed=0):
    """Return the network of `NETWORK` with weights that leave no layer at its initial value."""
    torch.manual_seed(seed)
    network = UNet(3, 2, 2, (4, 6), (2,), num_res_units=1, norm="batch")
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.add_(torch.randn(tensor.shape), alpha=0.05)
    return network.eval()


def write_bundle(folder, content=None, *, metadata=METADATA, weights=None, ending="json"):
    """Write a bundle's folder and return it; the configuration may be a text."""
    content = config() if content is None else content
    if not isinstance(content, str):
        content = json.dumps(content, indent=4)  # JSON is YAML, too
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / f"inference.{ending}").write_text(content)
    if metadata is not None:
        (folder / "configs" / "metadata.json").write_text(json.dumps(metadata, indent=4))
    weights = trained_unet().state_dict() if weights is None else weights
    torch.save(weights, folder / "models" / "model.pt")
    return folder


def zipped(folder, archive, top=""):
    """Write a bundle's folder as a zip archive, below a folder in it."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, f"{top}{file.relative_to(folder).as_posix()}")
    return archive


def monai_probability(folder, files):
    """Return probabilities (classes, X, Y, Z), on the stored grid, by MONAI's parts of a bundle.

    Files are those of one image of several channels, or of one image for each key.
    """
    parser = ConfigParser(json.loads((folder / "configs/inference.json").read_text()))
    parser["bundle_root"] = str(folder)
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(folder / "models/model.pt", weights_only=True))
    files = files if isinstance(files, dict) else {"image": files}
    data = parser.get_parsed_content("preprocessing")(files)
    with torch.no_grad():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.eval())[0]
    for transform in parser.get_parsed_content("postprocessing").transforms:
        if type(transform).__name__ != "AsDiscreted":
            data = transform(data)
    return data["pred"].numpy()
