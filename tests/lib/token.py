#!/usr/bin/env python3
"""token.py: a token server for Debian's docker-registry: token.py KEY CERT USER PASSWORD STATE

Signs what it hands out with KEY, which the registry trusts by CERT. Whoever shows USER and PASSWORD,
or the refresh token given for them, gets what he asks for; others may only pull. STATE is a
folder: "port" appears in it when the server listens, "log" gets a line per request.
"""
import base64
import http.server
import json
import os
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.parse

KEY, CERT, USER, PASSWORD = sys.argv[1:5]
STATE = pathlib.Path(sys.argv[5])
REFRESH = "refresh-me"


def b64(data):
    """Base64 as JWTs have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def sign(claims):
    """A JWT by RS256 with the certificate in it."""
    der = base64.b64encode(ssl.PEM_cert_to_DER_cert(pathlib.Path(CERT).read_text("ascii")))
    header = {"typ": "JWT", "alg": "RS256", "x5c": [der.decode()]}
    text = b64(json.dumps(header).encode()) + b"." + b64(json.dumps(claims).encode())
    command = ["openssl", "dgst", "-sha256", "-sign", KEY]
    signature = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout
    return (text + b"." + b64(signature)).decode()


def access_of(scopes, known):
    """The claim for scopes such as "repository:a/b:pull,push"."""
    found = []
    for scope in " ".join(scopes).split():
        kind, name, actions = scope.rsplit(":", 1)[0].split(":", 1) + [scope.rsplit(":", 1)[1]]
        wanted = [a for a in actions.split(",") if known or a == "pull"]
        found.append({"type": kind, "name": name, "actions": wanted})
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        with open(STATE / "log", "a", encoding="utf-8") as f:
            f.write(f"{self.command} {self.path}\n")

    def answer(self, status, doc):
        """A whole answer."""
        body = json.dumps(doc).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def token(self, query, known):
        """A token for what is asked for."""
        now = int(time.time())
        service = query.get("service", [""])[0]
        claims = {"iss": "zl-tests", "sub": USER, "aud": service, "exp": now + 300, "nbf": now - 10}
        claims |= {"iat": now, "jti": str(now), "access": access_of(query.get("scope", []), known)}
        doc = {"token": sign(claims), "expires_in": 300}
        if known and query.get("offline_token") == ["true"]:
            doc["refresh_token"] = REFRESH
        self.answer(200, doc)

    def do_GET(self):  # pylint: disable=invalid-name
        """By user and password, or by nothing."""
        shown = self.headers["Authorization"]
        good = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if shown and shown != good:
            return self.answer(401, {})
        return self.token(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query), bool(shown))

    def do_POST(self):  # pylint: disable=invalid-name
        """By refresh token."""
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form.get("refresh_token") != [REFRESH]:
            return self.answer(401, {})
        return self.token(form, True)


def main():
    """Serves until killed."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (STATE / "port.new").write_text(str(server.server_address[1]), encoding="utf-8")
    os.rename(STATE / "port.new", STATE / "port")
    server.serve_forever()


main()
