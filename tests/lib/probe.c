/* probe.c: looks at the container from inside, for the tests; runs on the host as well. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static int write_all(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0)
			return -1;
		p = (const char *)p + w;
		n -= (size_t)w;
	}
	return 0;
}

/* pattern FD MIB SEED: known bytes that no run-length or offset mistake leaves the same. */
static int pattern(char **argv)
{
	static uint64_t buf[(1 << 20) / 8];
	uint64_t x = strtoull(argv[2], NULL, 0) | 1;
	int fd = atoi(argv[0]);

	for (long mib = atol(argv[1]); mib > 0; mib--) {
		for (size_t i = 0; i < sizeof(buf) / 8; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			buf[i] = x;
		}
		if (write_all(fd, buf, sizeof(buf)) < 0) {
			perror("probe: write");
			return 1;
		}
	}
	return 0;
}

/* both MIB: a pattern through stdout (seed 1) and one through stderr (seed 2) at the same time. */
static int both(char **argv)
{
	char *out[] = { "1", argv[0], "1" }, *err[] = { "2", argv[0], "2" };
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return 1;
	if (!pid)
		_exit(pattern(err));
	if (pattern(out) || waitpid(pid, &status, 0) != pid)
		return 1;
	return status ? 1 : 0;
}

/* tty: what 0, 1 and 2 are. */
static int tty(char **argv)
{
	(void)argv;
	for (int fd = 0; fd < 3; fd++) {
		struct winsize ws = { 0 };
		struct stat st;
		const char *kind = "closed";

		if (fstat(fd, &st) == 0)
			kind = isatty(fd)	      ? "tty"
			       : S_ISFIFO(st.st_mode) ? "pipe"
			       : S_ISCHR(st.st_mode)  ? "char"
			       : S_ISSOCK(st.st_mode) ? "socket"
						      : "other";
		printf("%d %s", fd, kind);
		if (isatty(fd) && ioctl(fd, TIOCGWINSZ, &ws) == 0)
			printf(" %hux%hu", ws.ws_row, ws.ws_col);
		printf("\n");
	}
	return 0;
}

static volatile sig_atomic_t got;

static void note(int sig)
{
	got = sig;
}

/* signals N: says "ready", then the name of each of N signals that come, then ends with 0. */
static int signals(char **argv)
{
	struct sigaction sa = { .sa_handler = note };
	sigset_t all, old;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != SIGCHLD)
			sigaction(sig, &sa, NULL);
	printf("ready\n");
	fflush(stdout);
	for (int n = atoi(argv[0]); n > 0; n--) {
		got = 0;
		while (!got)
			sigsuspend(&old);
		if (got == SIGWINCH) {
			struct winsize ws = { 0 };

			ioctl(0, TIOCGWINSZ, &ws);
			printf("got %s %hux%hu\n", strsignal(got), ws.ws_row, ws.ws_col);
		} else {
			printf("got %d\n", (int)got);
		}
		fflush(stdout);
	}
	return 0;
}

/* fds: every open descriptor but the standard ones; there should be none. */
static int fds(char **argv)
{
	(void)argv;
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			printf("fd %d is open\n", fd);
	return 0;
}

/* reopen: /dev/stdout and /dev/stderr can be opened again, as nginx's logs do. */
static int reopen(char **argv)
{
	(void)argv;
	for (int i = 1; i <= 2; i++) {
		const char *path = i == 1 ? "/dev/stdout" : "/dev/stderr";
		int fd = open(path, O_WRONLY | O_APPEND);

		if (fd < 0 || dprintf(fd, "through %s\n", path) < 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

/* mem MIB: touches so much memory. */
static int mem(char **argv)
{
	for (long i = atol(argv[0]); i > 0; i--) {
		char *p = malloc(1 << 20);

		if (!p)
			return 1;
		memset(p, (int)i, 1 << 20);
	}
	printf("touched\n");
	return 0;
}

static void wake(int sig)
{
	(void)sig;
}

/* hold MIB: touches so much memory in one go, gives it back at SIGUSR1, and stays. */
static int hold(char **argv)
{
	size_t size = (size_t)atol(argv[0]) << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigset_t set;

	if (p == MAP_FAILED)
		return 1;
	signal(SIGUSR1, wake);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
	write_all(1, "holds\n", 6);
	sigemptyset(&set);
	sigsuspend(&set);
	munmap(p, size);
	write_all(1, "freed\n", 6);
	for (;;)
		pause();
}

/* orphan: leaves a grandchild behind; as PID 1 it has to be reaped or killed by the end. */
static int orphan(char **argv)
{
	(void)argv;
	if (fork() == 0) {
		if (fork() == 0) {
			pause();
			_exit(0);
		}
		_exit(0);
	}
	return 3;
}

/* xattr FILE NAME: the value of an extended attribute. */
static int xattr(char **argv)
{
	char value[256];
	ssize_t n = lgetxattr(argv[0], argv[1], value, sizeof(value));

	if (n < 0) {
		perror(argv[0]);
		return 1;
	}
	printf("%.*s\n", (int)n, value);
	return 0;
}

/* vsock PORT: dials the host as any process can, and says something that nobody should hear. */
static int vsock(char **argv)
{
	struct {
		sa_family_t family;
		unsigned short reserved;
		unsigned port, cid, flags;
	} to = { .family = AF_VSOCK, .port = (unsigned)atoi(argv[0]), .cid = 2 };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("refused");
		return 1;
	}
	printf("connected\n");
	return write_all(fd, "this is no frame of the agent's", 31) < 0;
}

/* clock: the wall clock's time, in seconds since 1970. */
static int wall_clock(char **argv)
{
	struct timespec ts;

	(void)argv;
	clock_gettime(CLOCK_REALTIME, &ts);
	printf("%lld.%09ld\n", (long long)ts.tv_sec, ts.tv_nsec);
	return 0;
}

/* hog: takes the only processor for itself; not even the kernel's threads run any more. */
static int hog(char **argv)
{
	int fd = open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY);
	struct sched_param p = { .sched_priority = 99 };

	(void)argv;
	if (fd < 0 || write_all(fd, "-1", 2) < 0)
		perror("sched_rt_runtime_us");
	/* musl has no sched_setscheduler */
	if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p) < 0)
		perror("sched_setscheduler");
	else
		printf("mine\n");
	fflush(stdout);
	sleep(1); /* for that to be read */
	for (;;)
		;
}

static const struct {
	const char *name;
	int operands;
	int (*run)(char **argv);
} commands[] = {
	{ "pattern", 3, pattern }, { "both", 1, both },	       { "tty", 0, tty },
	{ "signals", 1, signals }, { "fds", 0, fds },	       { "reopen", 0, reopen },
	{ "xattr", 2, xattr },	   { "mem", 1, mem },	       { "orphan", 0, orphan },
	{ "vsock", 1, vsock },	   { "clock", 0, wall_clock }, { "hold", 1, hold },
	{ "hog", 0, hog },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name) && argc == 2 + commands[i].operands)
			return commands[i].run(argv + 2);
	printf("probe\n");
	return argc > 1 ? 2 : 0;
}
