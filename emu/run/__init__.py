"""`python -m emu.run`: runs a program in the machine and shows what it cost."""
