#!/usr/bin/env python3
# terminal.py SCRIPT [ARG...]: drives a program in a pseudo-terminal. SCRIPT is Python with these names:
#
#   start(*command, rows=24, cols=80)   in a new session, with a new pseudo-terminal
#   type(text), expect(regex)           what is typed; what must be shown (within 60 s x TEST_SLOW),
#                                       from where the last one ended; the match
#   size(rows, cols)                    the terminal's size, changed
#   mode()                              its settings, as stty -g would have them
#   kill(signal)                        to the program; hang_up() closes the terminal's other end
#   end()                               waits: its status, as a shell has it
#   args                                ARG...
#
# A script that comes to its end without an exception has passed.
import errno, fcntl, os, re, select, signal, struct, sys, termios, time

LIMIT = 60 * float(os.environ.get("TEST_SLOW", "1"))
pid = master = slave = None
shown, at = b"", 0


def start(*command, rows=24, cols=80):
    global pid, master, slave, shown, at
    master, slave = os.openpty()
    shown, at = b"", 0
    size(rows, cols)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in 0, 1, 2:
            os.dup2(slave, fd)
        os.close(master)
        if slave > 2:
            os.close(slave)
        os.execvp(command[0], command)


def size(rows, cols):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def type(text):
    data = text.encode()
    while data:
        data = data[os.write(master, data) :]


def more(seconds):
    """Reads what is shown; False when nobody has the terminal any more."""
    global shown
    if not select.select([master], [], [], seconds)[0]:
        return True
    try:
        data = os.read(master, 65536)
    except OSError as e:
        if e.errno != errno.EIO:
            raise
        return False
    shown += data
    return bool(data)


def expect(regex):
    global at
    until = time.monotonic() + LIMIT
    while True:
        found = re.compile(regex.encode()).search(shown, at)
        if found:
            at = found.end()
            return found.group(0).decode(errors="replace")
        if time.monotonic() > until or not more(0.2):
            raise SystemExit(f"not shown: {regex!r}, but: {shown[at:]!r} (before: {shown[:at][-400:]!r})")


def mode():
    return termios.tcgetattr(slave)


def kill(sig):
    os.kill(pid, sig)


def hang_up():
    global slave
    os.close(slave)
    slave = None
    os.close(master)


def end():
    until = time.monotonic() + LIMIT
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            raise SystemExit(f"it did not end; shown: {shown[-400:]!r}")
        if slave is not None:
            more(0.05)
        else:
            time.sleep(0.05)


if __name__ == "__main__":
    args = sys.argv[2:]
    # the names above, for the script
    exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"))
