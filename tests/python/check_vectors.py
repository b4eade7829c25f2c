#!/usr/bin/env python3
"""Makes the challenge and the sealing identity of each test vector anew, with nothing of ours, and compares.

usage: check_vectors.py [tests/vectors/challenge.json]
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

import rfc8785
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

DOMAIN = b"elevate/challenge/v1\0"
SEAL_DOMAIN = b"elevate/seal/v1"
VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def from_base64url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def check(vector: dict) -> None:
    jcs = rfc8785.dumps(vector["txn"])
    nonce = from_base64url(vector["nonce"])
    txn_hash = hashlib.sha256(jcs).digest()
    challenge = hashlib.sha256(DOMAIN + nonce + txn_hash).digest()
    compare(vector["name"], [
        ("nonce's length", 32, len(nonce)),
        ("jcs", jcs, vector["jcs"].encode()),
        ("txn_sha256", txn_hash.hex(), vector["txn_sha256"]),
        ("challenge", base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(), vector["challenge"]),
    ])


def check_seal(vector: dict) -> None:
    # RFC 5869: one block of output is all that is needed.
    pseudorandom = hmac.digest(SEAL_DOMAIN, bytes.fromhex(vector["output"]), "sha256")
    info = vector["rp_id"].encode() + b"\0" + from_base64url(vector["credential_id"])
    identity = hmac.digest(pseudorandom, info + b"\1", "sha256")
    recipient = X25519PrivateKey.from_private_bytes(identity).public_key().public_bytes_raw()
    compare(vector["name"], [
        ("identity", bech32("age-secret-key-", identity).upper(), vector["identity"]),
        ("recipient", bech32("age", recipient), vector["recipient"]),
    ])


def bech32(prefix: str, data: bytes) -> str:
    """BIP 173."""
    bits = "".join(f"{byte:08b}" for byte in data)
    values = [int(bits[at:at + 5].ljust(5, "0"), 2) for at in range(0, len(bits), 5)]
    checked = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + values
    sum_ = 1
    for value in checked + [0] * 6:
        top = sum_ >> 25
        sum_ = (sum_ & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            if top >> bit & 1:
                sum_ ^= generator
    checksum = [(sum_ ^ 1) >> 5 * (5 - at) & 31 for at in range(6)]
    return prefix + "1" + "".join(BECH32[value] for value in values + checksum)


def compare(name: str, fields: list) -> None:
    for field, ours, theirs in fields:
        if ours != theirs:
            sys.exit(f"{name}: {field} differs\n  here:   {ours}\n  vector: {theirs}")
    print(f"{name}: ok")


for path, check_one in [
    (pathlib.Path(*sys.argv[1:2] or [VECTORS / "challenge.json"]), check),
    (VECTORS / "seal.json", check_seal),
]:
    vectors = json.loads(path.read_bytes())
    if not vectors:
        sys.exit(f"there is no vector in {path}")
    for vector in vectors:
        check_one(vector)
