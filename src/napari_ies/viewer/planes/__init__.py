"""Planes: axial, coronal and sagittal side by side, their marks and crosshair, and the 3-d view."""
