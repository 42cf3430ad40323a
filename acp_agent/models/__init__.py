"""Weights on the disk: what there is to have, where it comes from, and whether it is whole."""
