"""Engines: the gradients of many output voxels, exactly, as fast as the network allows."""
