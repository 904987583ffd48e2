#!/usr/bin/env python3
"""faulty.py: a registry on loopback that serves one OCI layout under every name, with a fault.

faulty.py FIFO: for every line "LAYOUT<tab>FAULT<tab>STATE<tab>TLS" in it a server of its own is
forked, since starting Python takes longer than all that most of them do. STATE is a folder: "pid"
and "port" appear in it when the server listens, "log" gets a line per request, and the creation of
"go" ends every wait. TLS, "CERT KEY" or empty: by HTTPS.

faulty.py LAYOUT FAULT STATE: one server, by HTTP.

Faults: none; for blobs truncated, longer, flipped, stalled (half, then waits), reset, drip (a byte
now and then), broken (half the first time, ranges then), throttled
(16 MiB/s for each connection; ranges), norange (the same without ranges), elsewhere (redirected to another server,
which notes in "leaks" what it is shown); for manifests html, notjson, empty, endless, wrongdigest,
hugeint, nolayers, recursive (index within index), hugeindex; for everything status-NNN, silent
(accepts, never answers until "go"), redirects, unauthorized, flaky (503 to every first request),
limited (429 likewise); for tokens tokens (each is good for two requests), tokenhtml, tokennone,
tokenrefused, tokenloop (the registry takes none); for pushes pushbreak (a transfer breaks half-way
once), pushlost (and what came is forgotten), pushdenied; for searches catalogue (in pages),
catalogueloop (a page that leads to itself).
"""
import hashlib
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

LAYOUT, FAULT, STATE = pathlib.Path(), "", pathlib.Path()  # of a server: set by serve
LOG = threading.Lock()
SEEN = set()  # requests that came once
TOKENS = {}  # how often each may still be shown
UPLOADS, BLOBS, PUT = {}, {}, {}  # pushes on their way, what was pushed
TYPES = {
    "image": "application/vnd.oci.image.manifest.v1+json",
    "index": "application/vnd.oci.image.index.v1+json",
}


def wait_for_go():
    """Until the test says so; the poll is as long as no test waits for its end."""
    while not (STATE / "go").exists():
        time.sleep(0.02)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        with LOG, open(STATE / "log", "a", encoding="utf-8") as f:
            f.write(f"{self.command} {self.path}\n")

    def first_time(self):
        """Whether this request has not come before."""
        with LOG:
            new = (self.command, self.path) not in SEEN
            SEEN.add((self.command, self.path))
        return new

    def answer(self, status, body, ctype="application/json", length=None, headers=()):
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", ctype)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers:
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def blob(self, data):
        """A blob, or what the fault makes of it."""
        if FAULT == "truncated":
            self.answer(200, data[: len(data) // 2], "application/octet-stream", len(data))
            self.close_connection = True
        elif FAULT == "longer":
            self.answer(200, data + b"more", "application/octet-stream")
        elif FAULT == "flipped":
            bad = bytearray(data)
            bad[len(bad) // 2] ^= 1
            self.answer(200, bytes(bad), "application/octet-stream")
        elif FAULT == "stalled" and len(data) > 4096:
            self.answer(200, data[: len(data) // 2], "application/octet-stream", len(data))
            self.wfile.flush()
            wait_for_go()
            self.wfile.write(data[len(data) // 2 :])
        elif FAULT == "drip":
            self.answer(200, b"", "application/octet-stream", len(data))
            for byte in data:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
        elif FAULT == "broken" and len(data) > 4096:
            self.broken(data)
        elif FAULT in ("throttled", "norange"):
            self.throttled(data)
        elif FAULT == "elsewhere" and self.server.other:
            where = f"http://127.0.0.1:{self.server.other}{self.path}"
            self.answer(307, b"", headers=[("Location", where)])
        elif FAULT == "reset":
            self.answer(200, data[:10], "application/octet-stream", len(data))
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        else:
            self.answer(200, data, "application/octet-stream")

    def broken(self, data):
        """Half of it, and from then on ranges."""
        first = (self.headers["Range"] or "bytes=0-")[6:].split("-")[0]
        if self.headers["Range"]:
            with LOG, open(STATE / "log", "a", encoding="utf-8") as f:
                f.write(f"range {first}\n")
            span = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return self.answer(206, data[int(first) :], headers=[("Content-Range", span)])
        self.answer(200, data[: len(data) // 2], "application/octet-stream", len(data))
        self.close_connection = True
        return None

    def throttled(self, data):
        """As much a second as this connection gets."""
        first, last = 0, len(data) - 1
        if self.headers["Range"] and FAULT == "throttled":
            first, last = (int(n or last) for n in self.headers["Range"][6:].split("-"))
            span = f"bytes {first}-{last}/{len(data)}"
            with LOG, open(STATE / "log", "a", encoding="utf-8") as f:
                f.write(f"range {first}-{last}\n")
            self.send_response(206)
            self.send_header("Content-Range", span)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        for at in range(first, last + 1, 1 << 18):
            self.wfile.write(data[at : min(at + (1 << 18), last + 1)])
            time.sleep(1 / 64)

    def manifest(self, data, ctype, digest):
        """A manifest, or what the fault makes of it."""
        doc = json.loads(data)
        if FAULT in ("recursive", "hugeindex"):
            return self.answer(200, self.index(), TYPES["index"])
        if FAULT == "html":
            self.answer(200, b"<html><body>Log in to the hotel's WiFi</body></html>", "text/html")
        elif FAULT == "notjson":
            self.answer(200, data[:-20], ctype)
        elif FAULT == "empty":
            self.answer(200, b"", ctype)
        elif FAULT == "endless":
            self.send_response(200)
            self.send_header("Content-Type", ctype)
            self.end_headers()
            self.close_connection = True
            while True:
                self.wfile.write(b'{"schemaVersion":2,"x":"' + b"a" * 65536)
        elif FAULT == "wrongdigest":
            self.answer(200, data + b" ", ctype, headers=[("Docker-Content-Digest", digest)])
        elif FAULT == "hugeint":
            doc["layers"][0]["size"] = 1 << 62
            self.answer(200, json.dumps(doc).encode(), ctype)
        elif FAULT == "nolayers":
            doc["layers"] = "none"
            self.answer(200, json.dumps(doc).encode(), ctype)
        else:
            self.answer(200, data, ctype, headers=[("Docker-Content-Digest", digest)])
        return None

    def index(self):
        """Indexes within indexes, or one of very many entries."""
        data, depth = b"{}", 1 if FAULT == "hugeindex" else 12
        for _ in range(depth):
            name = "sha256:" + hashlib.sha256(data).hexdigest()
            PUT[name] = data
            one = {"mediaType": TYPES["index"], "digest": name, "size": len(data)}
            many = 100000 if FAULT == "hugeindex" else 1
            doc = {"schemaVersion": 2, "mediaType": TYPES["index"], "manifests": [one] * many}
            data = json.dumps(doc).encode()
        return data

    def token(self):
        """What the token server says."""
        if FAULT == "tokenhtml":
            return self.answer(200, b"<html>Sign in</html>", "text/html")
        if FAULT == "tokennone":
            return self.answer(200, b'{"expires_in": -5}')
        if FAULT == "tokenrefused":
            return self.answer(401, b"{}")
        with LOG:
            name = f"t{len(TOKENS)}"
            TOKENS[name] = 2
        return self.answer(200, json.dumps({"token": name, "expires_in": 3600}).encode())

    def let_in(self):
        """Whether a token is shown that is still good; answers if not."""
        shown = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        with LOG:
            good = FAULT == "tokens" and TOKENS.get(shown, 0) > 0
            if good:
                TOKENS[shown] -= 1
        if good:
            return True
        realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="faulty"'
        self.answer(401, b"{}", headers=[("WWW-Authenticate", realm)])
        return False

    def hub(self):
        """The Hub's search, or what the fault makes of it."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if FAULT == "hubdown":
            return self.answer(503, b"<html>down for a moment</html>", "text/html")
        if FAULT == "hubhtml":
            return self.answer(200, b"<html>Sign in</html>", "text/html")
        if FAULT == "hubodd":
            return self.answer(200, b'{"results": 3}')
        word = query["q"][0]
        rows = [
            {"name": f"{word}", "description": "the\nofficial\tone " + "x" * 60, "star_count": 900,
             "is_official": True, "is_automated": False},
            {"name": f"some/{word}", "description": "", "star_count": 1000, "is_official": False,
             "is_automated": True},
            {"description": "no name"},
            {"name": f"other/{word}", "description": "small", "star_count": 2},
        ][: int(query["n"][0])]
        return self.answer(200, json.dumps({"num_results": len(rows), "results": rows}).encode())

    def catalogue(self):
        """Names in pages of two, each page with the way to the next."""
        names = [f"team/app{i}" for i in range(7)] + ["other/App1x"]
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        at = int(query.get("last", ["0"])[0])
        headers = [("Link", f'</v2/_catalog?n=2&last={at + 2}>; rel="next"')]
        if FAULT == "catalogueloop":
            headers = [("Link", '</v2/_catalog?n=2&last=0>; rel="next"')]
        elif at + 2 >= len(names):
            headers = []
        body = json.dumps({"repositories": names[at : at + 2]}).encode()
        return self.answer(200, body, headers=headers)

    # --- pushes

    def body(self, limit=None):
        """What was sent, or its beginning."""
        n = int(self.headers["Content-Length"] or 0)
        return self.rfile.read(n if limit is None else min(n, limit))

    def do_POST(self):  # pylint: disable=invalid-name
        """The beginning of an upload."""
        if self.path == "/token":
            self.body()
            return self.token()
        self.body()
        if FAULT == "pushdenied":
            return self.answer(403, b'{"errors":[{"code":"DENIED","message":"read-only"}]}')
        with LOG:
            name = f"u{len(UPLOADS)}"
            UPLOADS[name] = b""
        return self.answer(202, b"", headers=[("Location", f"/upload/{name}?state=0")])

    def do_PATCH(self):  # pylint: disable=invalid-name
        """More of it; or half of that, and a broken connection."""
        name = urllib.parse.urlsplit(self.path).path.split("/")[-1]
        if FAULT in ("pushbreak", "pushlost") and "broke" not in SEEN:
            SEEN.add("broke")
            UPLOADS[name] += self.body(int(self.headers["Content-Length"]) // 2)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return None
        if self.headers["Content-Range"]:
            with LOG, open(STATE / "log", "a", encoding="utf-8") as f:
                f.write(f"range {self.headers['Content-Range']}\n")
            if not self.headers["Content-Range"].startswith(f"{len(UPLOADS[name])}-"):
                return self.answer(416, b"")
        UPLOADS[name] += self.body()
        headers = [("Location", f"/upload/{name}?state={len(UPLOADS[name])}")]
        return self.answer(202, b"", headers=headers)

    def do_PUT(self):  # pylint: disable=invalid-name
        """A manifest, or the end of an upload."""
        where = urllib.parse.urlsplit(self.path)
        data = self.body()
        if where.path.startswith("/v2/"):
            PUT[where.path.split("/")[-1]] = data
            return self.answer(201, b"")
        data = UPLOADS.pop(where.path.split("/")[-1]) + data
        digest = urllib.parse.parse_qs(where.query)["digest"][0]
        if digest != "sha256:" + hashlib.sha256(data).hexdigest():
            return self.answer(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
        BLOBS[digest] = data
        return self.answer(201, b"")

    def upload_state(self):
        """How far an upload is."""
        name = urllib.parse.urlsplit(self.path).path.split("/")[-1]
        if FAULT == "pushlost":
            UPLOADS.pop(name, None)
        if name not in UPLOADS:
            return self.answer(404, b"{}")
        n = len(UPLOADS[name])
        headers = [("Location", f"/upload/{name}?state={n}"), ("Range", f"0-{max(n - 1, 0)}")]
        return self.answer(204, b"", headers=headers)

    def do_GET(self):  # pylint: disable=invalid-name
        """GET and HEAD."""
        if FAULT.startswith("status-"):
            body = b'{"errors":[{"code":"DENIED","message":"the registry says no"}]}'
            return self.answer(int(FAULT[7:]), body)
        if FAULT == "silent":
            return wait_for_go()
        if FAULT == "redirects":
            return self.answer(307, b"", headers=[("Location", self.path)])
        if FAULT == "unauthorized":
            return self.answer(401, b"{}", headers=[("WWW-Authenticate", 'Basic realm="x"')])
        if FAULT in ("flaky", "limited") and self.first_time():
            headers = [("Retry-After", "1")]
            return self.answer(503 if FAULT == "flaky" else 429, b"{}", headers=headers)
        if self.path.startswith("/token"):
            return self.token()
        if FAULT.startswith("token") and not self.let_in():
            return None
        if self.path.startswith("/v1/search?") and FAULT.startswith("hub"):
            return self.hub()
        if self.path.startswith("/upload/"):
            return self.upload_state()
        if self.path.startswith("/v2/_catalog") and FAULT.startswith("catalogue"):
            return self.catalogue()
        return self.get()

    def get(self):
        """What any registry answers."""
        parts = self.path.split("/")
        if self.path == "/v2/":
            return self.answer(200, b"{}")
        if len(parts) < 4 or parts[-2] not in ("blobs", "manifests"):
            return self.answer(404, b"{}")
        return self.content(parts[-2], parts[-1])

    do_HEAD = do_GET

    def content(self, kind, which):
        """What the layout has under this digest or tag."""
        with open(LAYOUT / "index.json", encoding="utf-8") as f:
            entries = json.load(f)["manifests"]
        digest = which if which.startswith("sha256:") else entries[0]["digest"]
        if digest in PUT:
            return self.answer(200, PUT[digest], TYPES["index"])
        if FAULT.startswith("push"):
            return self.answer(200 if digest in BLOBS else 404, b"{}")
        path = LAYOUT / "blobs" / "sha256" / digest.removeprefix("sha256:")
        if "/" in digest or not path.exists():
            return self.answer(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}')
        data = path.read_bytes()
        if kind == "blobs":
            return self.blob(data)
        return self.manifest(data, json.loads(data).get("mediaType"), digest)


class Server(http.server.ThreadingHTTPServer):
    """Quiet about clients that go away, which is what they are tested with."""

    daemon_threads = True
    other = 0  # the port of the server "elsewhere"

    def handle_error(self, request, client_address):
        pass


class Elsewhere(Handler):
    """The server that blobs are redirected to: notes what nobody should show it."""

    def do_GET(self):  # pylint: disable=invalid-name
        if self.headers["Authorization"]:
            (STATE / "leaks").write_text(self.headers["Authorization"], encoding="utf-8")
        super().get()

    do_HEAD = do_GET


def serve(layout, fault, state, tls):
    """Serves until killed."""
    global LAYOUT, FAULT, STATE  # pylint: disable=global-statement
    LAYOUT, FAULT, STATE = pathlib.Path(layout), fault, pathlib.Path(state)
    server = Server(("127.0.0.1", 0), Handler)
    if FAULT == "elsewhere":
        other = Server(("127.0.0.1", 0), Elsewhere)
        server.other = other.server_address[1]
        threading.Thread(target=other.serve_forever, daemon=True).start()
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls.split())
        server.socket = context.wrap_socket(server.socket, server_side=True)
    (STATE / "pid").write_text(str(os.getpid()), encoding="utf-8")
    (STATE / "port.new").write_text(str(server.server_address[1]), encoding="utf-8")
    os.rename(STATE / "port.new", STATE / "port")
    server.serve_forever()


def main():
    """Serves, or forks servers, until killed."""
    if len(sys.argv) > 2:
        serve(*sys.argv[1:], "")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Opened for both, so that it does not end with the first who wrote.
    with open(os.open(sys.argv[1], os.O_RDWR), encoding="utf-8") as fifo:
        for line in fifo:
            if os.fork() == 0:
                serve(*line.rstrip("\n").split("\t"))


main()
