"""A provider of OpenID Connect for tests: discovery, authorization code with PKCE (S256), a client secret in the
header, ID tokens by RS256 or ES256. It checks what it is asked as a provider must, and does wrong what
it is told to.

Usage: provider.py DIR CALLBACK...   says one line of JSON: its issuer, and a file with its authority's
certificate. With TLS=1 it is reached by HTTPS. POST /control merges a JSON object into what it does:
  claims    what it says of whoever signs in           fault   what it does wrong (see `token` and `answer`)
  methods   how it says that it takes a secret         rotate  another key from now on
and says how many codes it was shown.
Ends with its standard input.
"""

import base64
import hashlib
import hmac
import html
import json
import os
import secrets
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from certificates import certified
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

DIRECTORY, CALLBACKS = sys.argv[1], sys.argv[2:]
CLIENT, SECRET = "han sard", "s3cret:&%"
TOLD = {"claims": {}, "fault": None, "methods": ["client_secret_basic"]}
CODES = {}
SHOWN = []
KEYS = []
LOCK = threading.Lock()


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def new_key():
    """RSA first, as every provider has it; then, as one that moves on, another kind."""
    kind = rsa.generate_private_key(65537, 2048) if not KEYS else ec.generate_private_key(ec.SECP256R1())
    KEYS[:] = [(f"key-{secrets.token_hex(4)}", kind)]


def jwk(name, key):
    public = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        return {"kty": "RSA", "use": "sig", "kid": name, "n": number(public.n), "e": number(public.e)}
    x, y = (text(value.to_bytes(32, "big")) for value in (public.x, public.y))
    return {"kty": "EC", "crv": "P-256", "kid": name, "x": x, "y": y}


def signed(head, body, key):
    message = ".".join(text(json.dumps(part).encode()) for part in (head, body)).encode()
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return message, text(signature)


def token(nonce, fault):
    name, key = KEYS[0]
    now = int(time.time())
    head = {"alg": "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256", "kid": name, "typ": "JWT"}
    body = {"iss": ISSUER, "sub": "248289761001", "aud": CLIENT, "nonce": nonce, "iat": now, "exp": now + 300}
    body |= TOLD["claims"]
    wrong = {
        "issuer": {"iss": "https://evil.example"},
        "audience": {"aud": "another"},
        "audiences": {"aud": [CLIENT, "another"]},
        "party": {"azp": "another"},
        "nonce": {"nonce": "of another attempt"},
        "no nonce": {"nonce": None},
        "expired": {"iat": now - 900, "exp": now - 300},
        "early": {"nbf": now + 900},
        "future": {"iat": now + 900, "exp": now + 1200},
    }
    body |= wrong.get(fault, {})
    if fault == "unknown key":
        head["kid"] = "another"
    if fault == "foreign key":
        key = rsa.generate_private_key(65537, 2048)
    if fault == "none":
        head = {"alg": "none"}
    message, signature = signed(head, body, key)
    if fault == "none":
        signature = ""
    if fault == "hs256":
        head["alg"] = "HS256"
        public = KEYS[0][1].public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        message = ".".join(text(json.dumps(part).encode()) for part in (head, body)).encode()
        signature = text(hmac.new(public, message, "sha256").digest())
    return f"{message.decode()}.{signature}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, body=b"", kind="application/json", headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def json(self, document, status=200):
        self.say(status, json.dumps(document).encode())

    def wrongly(self, what):
        """Answers as it is told to do wrong: `slow token`, `huge document`, `500 keys`, `away token` …"""
        fault, _, where = (TOLD["fault"] or "").partition(" ")
        if where != what:
            return False
        if fault == "slow":
            time.sleep(25)
        elif fault == "huge":
            self.say(200, b"[" + b" " * (1 << 20))
        elif fault == "302":
            self.say(302, headers=[("Location", "http://169.254.169.254/latest/meta-data")])
        elif fault == "500":
            self.say(500, b"<html>oops", "text/html")
        elif fault == "junk":
            self.say(200, b"<html>hello", "text/html")
        elif fault == "away":
            pass
        else:
            return False
        self.close_connection = True
        return True

    def do_GET(self):
        parts = urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            return self.wrongly("document") or self.document()
        if parts.path == "/keys":
            return self.wrongly("keys") or self.json({"keys": [jwk(*key) for key in KEYS]})
        if parts.path in ("/authorize", "/decide"):
            return self.asked(parts)
        self.say(404)

    def document(self):
        inside = TOLD["fault"] == "inside"
        self.json({
            "issuer": ISSUER + ("/other" if TOLD["fault"] == "other issuer" else ""),
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": "http://169.254.169.254/token" if inside else f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "token_endpoint_auth_methods_supported": TOLD["methods"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": TOLD["fault"] != "nameless",
        })

    def asked(self, parts):
        query = dict(parse_qsl(parts.query))
        callback = query.get("redirect_uri")
        wanted = {"response_type": "code", "client_id": CLIENT, "code_challenge_method": "S256"}
        is_good = all(query.get(name) == value for name, value in wanted.items())
        is_good &= "openid" in query.get("scope", "").split() and callback in CALLBACKS
        is_good &= all(len(query.get(name, "")) == 43 for name in ("state", "nonce", "code_challenge"))
        if not is_good:
            return self.say(400, b"not asked as it must be: " + self.path.encode(), "text/plain")
        if parts.path == "/authorize":
            links = "".join(
                f"<p><a href='/decide?{html.escape(parts.query)}&amp;answer={answer}'>{words}</a>"
                for answer, words in (("yes", "Yes, it is me"), ("no", "Never mind"))
            )
            page = f"<!doctype html><html lang=en><title>Provider</title><h1>Who are you?</h1>{links}"
            return self.say(200, page.encode(), "text/html; charset=utf-8")
        back = {"state": query["state"], "iss": ISSUER}
        if TOLD["fault"] == "sender":
            back["iss"] = "https://evil.example"
        if TOLD["fault"] in ("no sender", "nameless"):
            del back["iss"]
        if query.get("answer") == "yes":
            back["code"] = secrets.token_urlsafe(24)
            with LOCK:
                CODES[back["code"]] = query
        else:
            back["error"] = "access_denied"
        self.say(302, headers=[("Location", f"{callback}?{urlencode(back)}")])

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if self.path == "/control":
            told = json.loads(body)
            if told.pop("rotate", False):
                new_key()
            TOLD.update(told)
            return self.json({"shown": len(SHOWN)})
        if self.path == "/token":
            SHOWN.append(body)
            return self.wrongly("token") or self.exchange(parse_qs(body.decode(), strict_parsing=True))
        self.say(404)

    def client(self, form):
        """Whoever asks, by the one way that the document names."""
        if TOLD["methods"] == ["client_secret_post"]:
            return form.get("client_id") == [CLIENT] and form.get("client_secret") == [SECRET]
        kind, _, pair = self.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":")
        return kind == "Basic" and unquote_plus(name) == CLIENT and unquote_plus(secret) == SECRET

    def exchange(self, form):
        if not self.client(form):
            return self.json({"error": "invalid_client"}, 401)
        with LOCK:
            asked = CODES.pop(form["code"][0], None)
        verifier = form["code_verifier"][0].encode()
        is_good = asked is not None
        is_good = is_good and form["redirect_uri"] == [asked["redirect_uri"]]
        is_good = is_good and text(hashlib.sha256(verifier).digest()) == asked["code_challenge"]
        if not is_good or form["grant_type"] != ["authorization_code"]:
            return self.json({"error": "invalid_grant", "error_description": "\x1b[2J"}, 400)
        answer = {"access_token": "unused", "token_type": "Bearer", "expires_in": 300}
        if TOLD["fault"] != "no token":
            answer["id_token"] = token(asked["nonce"], TOLD["fault"])
        self.json(answer)


new_key()
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
scheme = "http"
if os.environ.get("TLS"):
    certified(DIRECTORY, "provider")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*(os.path.join(DIRECTORY, f"provider.{kind}") for kind in ("pem", "key")))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "https"
ISSUER = f"{scheme}://127.0.0.1:{server.server_port}"
print(json.dumps({"issuer": ISSUER, "ca": os.path.join(DIRECTORY, "ca.pem")}), flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
