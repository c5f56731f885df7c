"""Questions that take many profiles to answer: `python -m emu.experiment`."""
