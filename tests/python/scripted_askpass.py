#!/usr/bin/python3 -IS
"""Gives the PINs that stand in `pins` beside the link by which it is called, one a call, and notes in `prompts` what it was asked."""

import pathlib
import sys

here = pathlib.Path(sys.argv[0]).parent
with open(here / "prompts", "a", encoding="utf-8") as prompts:
    prompts.write(sys.argv[1] + "\n")
pin, _, left = (here / "pins").read_text(encoding="utf-8").partition("\n")
(here / "pins").write_text(left, encoding="utf-8")
if not pin:
    sys.exit(1)
print(pin)
