#!/usr/bin/env python3
"""Verifies the access token on standard input, knowing nothing but where the issuer's keys are.

usage: verify_token.py JWKS_URL ISSUER AUDIENCE < token
"""

import json
import sys

import jwt

CLAIMS = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]  # RFC 9068, section 2.2


def verify(token: str, jwks_url: str, issuer: str, audience: str) -> dict:
    # RFC 9068, section 4: the header's `typ` keeps other JWTs of the same issuer from passing for access tokens.
    typ = str(jwt.get_unverified_header(token).get("typ", "none"))
    if typ.lower().removeprefix("application/") != "at+jwt":
        raise jwt.InvalidTokenError(f"its typ is {typ}, not at+jwt")
    key = jwt.PyJWKClient(jwks_url, timeout=5).get_signing_key_from_jwt(token)
    return jwt.decode(
        token, key, algorithms=["ES256"], issuer=issuer, audience=audience, options={"require": CLAIMS}
    )


if len(sys.argv) != 4:
    sys.exit(__doc__.strip())
try:
    print(json.dumps(verify(sys.stdin.read().strip(), *sys.argv[1:4])))
except jwt.PyJWTError as error:
    sys.exit(f"refused: {error}".replace("\n", " "))
