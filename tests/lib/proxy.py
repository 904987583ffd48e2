#!/usr/bin/env python3
"""proxy.py: an HTTP proxy that takes every CONNECT to one port of loopback: proxy.py PORT STATE

So hosts of any name are there for a test. STATE is a folder: "port" appears in it when the
proxy listens, "log" gets a line with the host for each connection.
"""
import os
import pathlib
import socket
import socketserver
import sys
import threading

TARGET, STATE = int(sys.argv[1]), pathlib.Path(sys.argv[2])


def pump(source, sink):
    """Bytes one way, to the end."""
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self):
        line = self.rfile.readline().decode()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        with open(STATE / "log", "a", encoding="utf-8") as f:
            f.write(line)
        if not line.startswith("CONNECT "):
            self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", TARGET)) as target:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(target, self.connection), daemon=True)
            back.start()
            pump(self.connection, target)
            back.join()


class Server(socketserver.ThreadingTCPServer):
    """Quiet about clients that go away."""

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
