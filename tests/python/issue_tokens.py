#!/usr/bin/env python3
"""An issuer of identity tokens: prints its URL, serves its metadata and keys, and answers each line of JSON on standard
input ({"alg": ..., "claims": ...}) with a token.
"""

import http.server
import json
import sys
import threading

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS = {
    "RS256": RSA,
    "PS384": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def jwk(algorithm: str) -> dict:
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    return public | {"kid": f"key-{algorithm}", "alg": algorithm, "use": "sig"}


class Issuer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        documents = {
            "/.well-known/openid-configuration": {"issuer": URL, "jwks_uri": f"{URL}/keys"},
            "/keys": {"keys": [jwk(algorithm) for algorithm in KEYS]},
        }
        document = documents.get(self.path)
        self.send_response(200 if document else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_) -> None:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
URL = f"http://127.0.0.1:{server.server_address[1]}"
threading.Thread(target=server.serve_forever, daemon=True).start()
print(URL, flush=True)
for line in sys.stdin:
    wanted = json.loads(line)
    algorithm = wanted["alg"]
    headers = {"kid": f"key-{algorithm}"}
    print(jwt.encode(wanted["claims"], KEYS[algorithm], algorithm=algorithm, headers=headers), flush=True)
