#!/usr/bin/env python3
"""faulty.py: a registry on loopback that serves one OCI layout under every name, with a fault.

faulty.py LAYOUT FAULT STATE: STATE is a folder: "port" appears in it when the server listens,
"log" gets a line per request, and the creation of "go" ends every wait.

Faults: none; for blobs truncated, longer, flipped, stalled (half, then waits), reset;
for manifests html, notjson, empty, endless, wrongdigest, hugeint, nolayers; for everything
status-NNN, silent (accepts, never answers until "go"), redirects, unauthorized.
"""
import http.server
import json
import os
import pathlib
import socket
import struct
import sys
import threading
import time

LAYOUT, FAULT, STATE = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
LOG = threading.Lock()


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
        elif FAULT == "reset":
            self.answer(200, data[:10], "application/octet-stream", len(data))
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        else:
            self.answer(200, data, "application/octet-stream")

    def manifest(self, data, ctype, digest):
        """A manifest, or what the fault makes of it."""
        doc = json.loads(data)
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

    def handle_error(self, request, client_address):
        pass


def main():
    """Serves until killed."""
    server = Server(("127.0.0.1", 0), Handler)
    (STATE / "port.new").write_text(str(server.server_address[1]), encoding="utf-8")
    os.rename(STATE / "port.new", STATE / "port")
    server.serve_forever()


main()
