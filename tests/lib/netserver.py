#!/usr/bin/env python3
"""netserver.py DIR ADDRESS...: the host's side of the network tests and benchmarks.

On each address TCP and UDP on one port, which is written to DIR/port when all are ready. A TCP
client says in one line what it wants:

    sum          it sends until it ends its side; the answer is the SHA-256 of it
    count        the same, answered by the number of bytes
    give N       N bytes of a pattern
    echo         everything comes back
    peer         the address that it came from

Datagrams come back as they are. Every connection is a line in DIR/seen. With DNS=NAME=ADDRESS,... in
the environment there is also a name server on port 53 of each address: what it was asked is in
DIR/asked; other names do not exist.
"""
import hashlib
import os
import pathlib
import socket
import socketserver
import struct
import sys
import threading

DIR = pathlib.Path(sys.argv[1])
PATTERN = bytes(range(251)) * 1000
LOCK = threading.Lock()


def note(name, text):
    with LOCK, open(DIR / name, "a", encoding="utf-8") as f:
        f.write(text + "\n")


def pattern(n):
    while n > 0:
        part = PATTERN[:n]
        n -= len(part)
        yield part


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        note("seen", self.client_address[0])
        what = self.rfile.readline().split()
        if not what:
            return
        if what[0] in (b"sum", b"count"):
            digest, n = hashlib.sha256(), 0
            while data := self.rfile.read1(1 << 20):
                n += len(data)
                if what[0] == b"sum":
                    digest.update(data)
            answer = digest.hexdigest() if what[0] == b"sum" else str(n)
            self.wfile.write(answer.encode() + b"\n")
        elif what[0] == b"give":
            for part in pattern(int(what[1])):
                self.wfile.write(part)
        elif what[0] == b"echo":
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := self.rfile.read1(1 << 20):
                self.wfile.write(data)
        elif what[0] == b"peer":
            self.wfile.write(self.client_address[0].encode() + b"\n")


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


class Dns(socketserver.BaseRequestHandler):
    names = dict(p.split("=") for p in os.environ.get("DNS", "").split(",") if p)

    def handle(self):
        query, sock = self.request
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        question, name = query[12:at + 5], ".".join(labels)
        note("asked", name)
        address = self.names.get(name)
        answer = b""
        if address and kind == (28 if ":" in address else 1):
            packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
            answer = struct.pack(">HHHIH", 0xc00c, kind, 1, 1, len(packed)) + packed
        flags = 0x8180 if address else 0x8183
        head = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0)
        sock.sendto(head + question + answer, self.client_address)


def serve(server, handler, address, port):
    class Server(socketserver.ThreadingMixIn, server):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        allow_reuse_address = daemon_threads = True
        request_queue_size = 512
        max_packet_size = 65536

        def server_bind(self):
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            super().server_bind()

    made = Server((address, port), handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return made.server_address[1]


PORT = 0
for where in sys.argv[2:]:
    PORT = serve(socketserver.TCPServer, Tcp, where, PORT)
    serve(socketserver.UDPServer, Udp, where, PORT)
    if Dns.names:
        serve(socketserver.UDPServer, Dns, where, 53)
(DIR / "port.new").write_text(str(PORT))
(DIR / "port.new").rename(DIR / "port")
threading.Event().wait()
