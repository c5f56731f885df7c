"""Listening: a decision every 100 ms over a recording of any length, and the words that they add up to."""
