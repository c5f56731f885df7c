"""What `python -m emu.experiment NAME` asks and says: the module NAME holds the click command `command`."""
