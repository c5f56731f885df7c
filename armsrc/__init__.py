"""The target's code, and in `abi` the rules of its kernel ABI for the host."""
