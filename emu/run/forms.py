"""What `python -m emu.run` writes to files: one row a form, whatever is run."""

from __future__ import annotations

from emu.report.forms import Form

KWS, STREAM, FIRMWARE = "kws", "kws --stream", "a firmware"  # what is run
CALLS, TOUCHES = "calls", "touches"  # what a form can need: calls are followed; accesses are counted by instruction, too

FORMS = (
    Form("json", "Write all that was measured as JSON (schema in docs/reports.md, docs/firmware.md); - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row a layer (of a firmware one in all, with --functions one a function, with --stream one a decision) as CSV, "
                "TinyMind's four columns first; - prints it.", "emu.report.shown:csv"),
    Form("markdown", "Write the tables for GitHub; - prints them.", "emu.report.shown:markdown"),
    Form("parquet", "Write the same rows, of every core and with what made them, as Parquet.", "emu.report.shown:parquet", (KWS, FIRMWARE)),
    Form("html", "Write a page that needs no other file: summary, layers, traffic, memory map, roofline, functions, and the listing with why each "
                 "instruction waited; - prints it.", "emu.report.html:of_run", (KWS, FIRMWARE), needs=TOUCHES),
    Form("plot", "Draw cycles and bytes by layer of the first input, or with --stream confidence over time (.png or .svg).",
         "emu.report.shown:plot", (KWS, STREAM), (".png", ".svg")),
    Form("callgrind", "Write costs by instruction and line, and calls, for KCachegrind and callgrind_annotate; - prints it.",
         "emu.report.callgrind:render", (KWS, FIRMWARE), needs=CALLS),
    Form("speedscope", "Write the call tree by cycles and by instructions for speedscope.app; - prints it.", "emu.report.speedscope:render",
         (KWS, FIRMWARE), needs=CALLS),
    Form("trace", "Write layers on a time line, with the call tree in each and traffic, for ui.perfetto.dev or chrome://tracing; "
                  "- prints it.", "emu.report.trace:render", (KWS, FIRMWARE), needs=CALLS),
    Form("report", "Firmware: write the table to FILE instead of standard error; - prints it.", "emu.report.shown:terminal", (FIRMWARE,)),
    Form("record", "Firmware: write the run as a recording (.npz), which other cores and tables can price: emu.experiment ablate, "
                   "emu.accuracy.", "emu.report.firmware:record", (FIRMWARE,)),
)
