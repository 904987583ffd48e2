/* term.c: the terminal's raw mode; see term.h. */
#include "cmd/term.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct {
	int fd;
	pid_t owner; /* a holder forked from us must leave the terminal alone */
	volatile sig_atomic_t raw;
	struct termios before, during;
} term = { .fd = -1 };

void term_restore(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;

	if (!term.raw || getpid() != term.owner)
		return;
	term.raw = 0;
	/* in the background this would stop us */
	sigaction(SIGTTOU, &ignore, &old);
	tcsetattr(term.fd, TCSANOW, &term.before);
	sigaction(SIGTTOU, &old, NULL);
}

/* A crash: the terminal first, then as it would have been. */
static void on_fatal(int sig)
{
	term_restore();
	sigaction(sig, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	raise(sig);
}

static void catch_signals(const int *fatal, size_t n)
{
	struct sigaction sa = { .sa_handler = on_fatal };

	for (size_t i = 0; i < n; i++) {
		struct sigaction now;

		/* a sanitizer's handler has more to say than ours */
		if (sigaction(fatal[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			sigaction(fatal[i], &sa, NULL);
	}
}

static int begin(int fd, struct err *e)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
	static bool registered;

	if (tcgetattr(fd, &term.before) < 0)
		return err_sys(e, "read the terminal's mode");
	if (!registered) {
		catch_signals(fatal, sizeof(fatal) / sizeof(fatal[0]));
		atexit(term_restore);
		registered = true;
	}
	term.fd = fd;
	term.owner = getpid();
	term.during = term.before;
	return 0;
}

static int set(int fd, struct err *e)
{
	term.raw = 1;
	if (tcsetattr(fd, TCSANOW, &term.during) < 0) {
		term.raw = 0;
		return err_sys(e, "set the terminal's mode");
	}
	return 0;
}

int term_raw(int fd, struct err *e)
{
	int r = begin(fd, e);

	if (r < 0)
		return r;
	cfmakeraw(&term.during);
	return set(fd, e);
}

int term_hide(int fd, struct err *e)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	int r = begin(fd, e);

	if (r < 0)
		return r;
	catch_signals(ending, sizeof(ending) / sizeof(ending[0]));
	term.during.c_lflag &= ~(tcflag_t)ECHO;
	term.during.c_lflag |= ISIG | ICANON;
	return set(fd, e);
}

void term_again(void)
{
	if (term.raw && getpid() == term.owner)
		tcsetattr(term.fd, TCSANOW, &term.during);
}

bool term_size(int fd, unsigned short *rows, unsigned short *cols)
{
	struct winsize ws;

	*rows = *cols = 0;
	if (ioctl(fd, TIOCGWINSZ, &ws) < 0)
		return false;
	*rows = ws.ws_row;
	*cols = ws.ws_col;
	return true;
}
