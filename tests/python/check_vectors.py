#!/usr/bin/env python3
"""Makes the challenge of each test vector anew, with nothing of ours, and compares.

usage: check_vectors.py [tests/vectors/challenge.json]
"""

import base64
import hashlib
import json
import pathlib
import sys

import rfc8785

DOMAIN = b"elevate/challenge/v1\0"
VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "challenge.json"


def from_base64url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def check(vector: dict) -> None:
    jcs = rfc8785.dumps(vector["txn"])
    nonce = from_base64url(vector["nonce"])
    txn_hash = hashlib.sha256(jcs).digest()
    challenge = hashlib.sha256(DOMAIN + nonce + txn_hash).digest()
    for field, ours, theirs in [
        ("nonce's length", 32, len(nonce)),
        ("jcs", jcs, vector["jcs"].encode()),
        ("txn_sha256", txn_hash.hex(), vector["txn_sha256"]),
        ("challenge", base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(), vector["challenge"]),
    ]:
        if ours != theirs:
            sys.exit(f"{vector['name']}: {field} differs\n  here:   {ours}\n  vector: {theirs}")
    print(f"{vector['name']}: ok")


vectors = json.loads(pathlib.Path(*sys.argv[1:2] or [VECTORS]).read_bytes())
if not vectors:
    sys.exit("there is no vector in the file")
for vector in vectors:
    check(vector)
