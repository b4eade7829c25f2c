#!/usr/bin/python3 -IS
"""Speaks the line protocol of `elevate drive-security-key NODE` as NODE.json tells it, and notes in NODE.log what it is told.

NODE.json: {"start": TURN, "assert": [TURN, ...], ...}; the n-th command of a kind gets its n-th turn, the last again
and again. A turn is a list of ["say", EVENT], ["raw", LATIN1], ["sleep", SECONDS], ["wait"] (until told to cancel),
["die"], ["freeze"] (deaf, for 20 s).
"""

import json
import os
import select
import sys
import time

node = sys.argv[2]
assert sys.argv[1] == "drive-security-key"
with open(node + ".json", encoding="utf-8") as file:
    script = json.load(file)
log = open(node + ".log", "a", encoding="utf-8")
turns, buffer = {}, b""


def note(what):
    log.write(what + "\n")
    log.flush()


def command():
    """The next line of standard input; ends us with it."""
    global buffer
    while b"\n" not in buffer:
        more = os.read(0, 65536)
        if not more:
            note("dark")
            sys.exit(0)
        buffer += more
    line, buffer = buffer.split(b"\n", 1)
    note(line.decode())
    parsed = json.loads(line)
    return parsed if isinstance(parsed, str) else next(iter(parsed))


def rest(seconds):
    """Sleeps, unless told something; whether it was."""
    return b"\n" in buffer or bool(select.select([0], [], [], seconds)[0])


def say(event):
    os.write(1, json.dumps(event).encode() + b"\n")


def play(turn):
    for what, *argument in turn:
        if what == "say":
            say(argument[0])
        elif what == "raw":
            os.write(1, argument[0].encode("latin-1"))
        elif what == "sleep" and rest(argument[0]) or what == "wait":
            if command() == "cancel":
                say({"failed": "cancelled"})
            return
        elif what == "die":
            os._exit(101)
        elif what == "freeze":
            time.sleep(20)
            os._exit(0)


play(script.get("start", []))
while True:
    kind = command()
    there = script.get(kind, [])
    count = turns[kind] = turns.get(kind, -1) + 1
    if there:
        play(there[min(count, len(there) - 1)])
