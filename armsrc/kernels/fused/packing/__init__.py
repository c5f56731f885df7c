"""Packers by fused kernel."""
