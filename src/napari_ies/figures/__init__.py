"""Figures for papers: a lesion with its saliency, drawn from the data by matplotlib."""
