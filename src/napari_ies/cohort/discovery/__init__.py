"""Which cases there are: folders of the original scripts, BIDS, nnU-Net, or a table."""
