"""Is it right? Takes a profile and references, returns the profile with the answer filled in."""
