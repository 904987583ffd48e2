/* init.c: the small init of --init: reaps, and passes signals on. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/child.h"

/* Signals of the init's own faults and of its terminal; all others are the workload's. */
static const int own_signals[] = { SIGFPE,  SIGILL, SIGSEGV, SIGBUS, SIGABRT,
				   SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU };

static void forwarded(sigset_t *set)
{
	sigfillset(set);
	for (size_t i = 0; i < sizeof(own_signals) / sizeof(own_signals[0]); i++)
		sigdelset(set, own_signals[i]);
}

void init_block_signals(void)
{
	sigset_t set;

	forwarded(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

/* Reaps all there is; ends with the workload. */
static void reap(pid_t child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == child)
			_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

void init_run(pid_t child)
{
	sigset_t set;

	forwarded(&set);
	reap(child);
	for (;;) {
		int sig = sigwaitinfo(&set, NULL);

		if (sig == SIGCHLD)
			reap(child);
		else if (sig > 0)
			kill(child, sig);
	}
}
