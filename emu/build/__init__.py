"""Finds a cross compiler, builds images into a cache keyed by their inputs, and reads them back."""
