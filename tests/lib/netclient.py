"""netclient: a client of netserve.c's, for the tests: netclient.py ADDRESS PORT CHECK...

PORT is where netserve's first port is published; those after it are at the next numbers. Each CHECK
prints one line; the exit status is 1 when one failed.
"""
import os
import socket
import sys
import threading
import time

HOST, PORT = sys.argv[1], int(sys.argv[2])
FAMILY = socket.AF_INET6 if ":" in HOST else socket.AF_INET
LIMIT = 60 * int(os.environ.get("TEST_SLOW", "1"))
MIB = 1 << 20


def dial(offset=0):
    """A connection."""
    conn = socket.socket(FAMILY)
    conn.settimeout(LIMIT)
    conn.connect((HOST, PORT + offset))
    return conn


def read_all(conn):
    """All until the end of file."""
    parts = []
    while part := conn.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def udp():
    """A datagram socket."""
    sock = socket.socket(FAMILY, socket.SOCK_DGRAM)
    sock.settimeout(LIMIT)
    sock.connect((HOST, PORT))
    return sock


def ask(sock, data):
    """The answer to a datagram, which may get lost."""
    for _ in range(5):
        sock.send(data)
        sock.settimeout(LIMIT / 10)
        try:
            return sock.recv(1 << 16)
        except (TimeoutError, ConnectionRefusedError):
            pass
    raise TimeoutError("no answer to a datagram")


def echo():
    """Bytes come back, and the end of file goes through both ways."""
    conn = dial()
    conn.sendall(b"ping")
    assert conn.recv(4) == b"ping"
    conn.shutdown(socket.SHUT_WR)
    assert conn.recv(1) == b""


def large():
    """16 MiB there and back at once, unchanged."""
    data = os.urandom(MIB) * 16
    conn = dial()
    sender = threading.Thread(target=lambda: (conn.sendall(data), conn.shutdown(socket.SHUT_WR)))
    sender.start()
    got = read_all(conn)
    sender.join()
    assert got == data, f"{len(got)} bytes"


def half():
    """The client ends first, and still gets its answer."""
    conn = dial(1)
    conn.sendall(b"x" * MIB)
    conn.shutdown(socket.SHUT_WR)
    assert read_all(conn) == b"%d bytes\n" % MIB


def reset():
    """A connection that the service breaks off does not stay open."""
    conn = dial(2)
    assert conn.recv(3) == b"bye"
    try:
        assert conn.recv(1) == b""
    except ConnectionResetError:
        pass


def source():
    """16 MiB from the service, to a client that waits before it reads."""
    conn = dial(3)
    time.sleep(1)
    assert len(read_all(conn)) == 16 * MIB


def many():
    """MANY (500) connections at once, each with its own bytes."""
    conns = [dial() for _ in range(int(os.environ.get("MANY", "500")))]
    for i, conn in enumerate(conns):
        conn.sendall(b"%08d" % i)
    for i, conn in enumerate(conns):
        got = b""
        while len(got) < 8:
            got += conn.recv(8) or b"the end."
        assert got == b"%08d" % i, got
    for conn in conns:
        conn.close()


def rude():
    """Clients that break off in the middle do not harm the next one."""
    for _ in range(50):
        conn = dial()
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        conn.sendall(b"x" * 100000)
        conn.close()
    echo()


def datagrams():
    """Borders are kept, up to the largest; each peer has its own port in there."""
    one, two = udp(), udp()
    for size in (0, 1, 1400, 9000, 60000):
        data = bytes([size % 251]) * size
        assert ask(one, data) == data, size
    ports = {ask(one, b"who"), ask(two, b"who")}
    assert len(ports) == 2 and all(p.startswith(b"port ") for p in ports), ports
    assert ask(one, b"who") in ports


def refused():
    """Nobody listens there: a reset, or the end at once."""
    conn = dial()
    try:
        assert conn.recv(1) == b""
    except ConnectionResetError:
        pass


def main():
    """Runs the checks by name."""
    failed = 0
    for name in sys.argv[3:]:
        start = time.monotonic()
        try:
            globals()[name]()
            print(f"{name}: good ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            failed = 1
    sys.exit(failed)


main()
