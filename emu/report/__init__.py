"""Forms of a profile, one module each. A form knows profiles, and not how they were measured."""
