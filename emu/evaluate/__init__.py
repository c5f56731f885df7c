"""`python -m emu.evaluate`: every recording of a folder through the emulated machine code, checked and scored."""
