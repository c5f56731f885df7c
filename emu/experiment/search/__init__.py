"""Schedules of marked regions of assembly: legal reorderings and renamings, priced by the model, verified by execution."""
