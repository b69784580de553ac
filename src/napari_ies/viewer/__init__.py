"""The viewer room: the only one that imports Qt or napari.

`widget` wires the small widgets; `layers` alone changes viewer layers; `jobs` computes in the
background. Importing any of these modules imports neither PyTorch nor MONAI.
"""
