"""Packers by kind of layer, and what they share (`common`)."""
