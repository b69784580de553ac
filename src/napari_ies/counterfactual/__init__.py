"""What the network would mark were the images different."""
