"""A listing as a page of its own."""

from __future__ import annotations

from emu.report.annotate import Shown
from emu.report.html import shared
from emu.report.html.looked import Why
from emu.report.html.page import Section, count, page, share


def render(shown: Shown, command: str) -> str:
    """HTML text."""
    listing = shown.listing
    stalls = listing.cycles - listing.minimum
    facts = [("Cycles", count(listing.cycles), f"{share(listing.cycles, listing.total)} of the run's {listing.total:,}"),
             ("Instructions", count(listing.instructions), ""), ("Minimum", count(listing.minimum), "cycles, when nothing interferes"),
             ("Stalls", count(stalls), f"{share(stalls, listing.cycles)} of the cycles")]
    summary = {"heading": listing.scope[:1].upper() + listing.scope[1:],
               "on": f"{listing.target}, on a modelled {listing.core} with {listing.memory} memory",
               "verdict": None, "sentences": shared.stalls(Why(listing.minimum, listing.reasons), listing.cycles), "facts": facts}
    sections = [Section("summary", "Summary", "summary", summary)]
    if len(listing.functions) > 1:
        sections.append(shared.dearest(listing))
    made = [("Program", listing.target), ("Listed", listing.scope), ("Modelled core", listing.core), ("Memory", listing.memory)]
    return page(f"{listing.scope}, {listing.core}", [
        *sections, shared.listing(listing, shown.view.sources, shown.view.top, unfolded=True), shared.made(made, command)])

