"""Packers by fused kernel, and what they share (`linear`)."""
