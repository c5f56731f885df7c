"""Kernel sets from the command line: what there is, and a folder to begin with."""
