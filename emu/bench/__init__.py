"""`python -m emu.bench`: what accounting costs."""
