/* login.c: zl login and logout: credentials for registries. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/term.h"
#include "oci/remote.h"
#include "runtime/base/own.h"

/* Longest password or name that is read. */
#define SECRET_MAX (64u << 10)

struct login_flags {
	const char *user, *password;
	bool from_stdin;
};

#define AT(member) offsetof(struct login_flags, member)

static const struct opt login_opts[] = {
	{ OPT_TEXT, 'p', "password", "string", AT(password), NULL, NULL, "Password" },
	{ OPT_BOOL, 0, "password-stdin", NULL, AT(from_stdin), NULL, NULL,
	  "Take the password from stdin" },
	{ OPT_TEXT, 'u', "username", "string", AT(user), NULL, NULL, "Username" },
	{ .kind = OPT_END },
};

/* One line from stdin without its end; all of it where `whole`. NULL: nothing there. */
static char *read_secret(bool whole)
{
	own_str struct str s = STR_INIT;
	char c;

	while (s.len < SECRET_MAX && read(STDIN_FILENO, &c, 1) == 1) {
		if (c == '\n' && !whole)
			return str_steal(&s);
		str_add_char(&s, c);
	}
	/* docker takes one line's end off what comes by a pipe. */
	if (whole && s.len && s.s[s.len - 1] == '\n')
		s.s[--s.len] = '\0';
	if (whole && s.len && s.s[s.len - 1] == '\r')
		s.s[--s.len] = '\0';
	return s.len ? str_steal(&s) : NULL;
}

static char *ask(const char *what, bool hidden, struct err *e)
{
	char *answer;

	/* Who answers at once must not be shown either. */
	if (hidden && term_hide(STDIN_FILENO, e) < 0)
		return NULL;
	printf("%s: ", what);
	fflush(stdout);
	answer = read_secret(false);
	if (hidden) {
		term_restore();
		puts("");
	}
	if (answer == NULL || *answer == '\0') {
		free(answer);
		err_set(e, EINVAL, "%s is required", hidden ? "Password" : "Username");
		return NULL;
	}
	return answer;
}

/* What the command line leaves open, from the terminal. */
static int ask_missing(char **user, char **password, struct err *e)
{
	if ((*user == NULL || *password == NULL) && !isatty(STDIN_FILENO))
		return err_set(e, EINVAL,
			       "cannot perform an interactive login from a non TTY device");
	if (*user == NULL)
		*user = ask("Username", false, e);
	if (*user && *password == NULL)
		*password = ask("Password", true, e);
	return *user && *password ? 0 : -EINVAL;
}

static int check_flags(const struct login_flags *f, struct err *e)
{
	if (f->password && f->from_stdin)
		return err_set(e, EINVAL, "--password and --password-stdin are mutually exclusive");
	if (f->from_stdin && (f->user == NULL || *f->user == '\0'))
		return err_set(e, EINVAL, "Must provide --username with --password-stdin");
	if (f->password)
		fputs("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n",
		      stderr);
	return 0;
}

/* With what is stored: 0 if that did it, positive if the user has to be asked. */
static int again(const char *server, struct err *e)
{
	own_free char *user = NULL;
	int r = remote_login_again(server, &user, e);

	if (r == 0) {
		printf("Authenticating with existing credentials...%s%s%s\nLogin Succeeded\n",
		       user ? " [Username: " : "", user ? user : "", user ? "]" : "");
		return 0;
	}
	if (r != -EACCES)
		return r;
	fprintf(stderr, "Login did not succeed, error: %s\n", e->msg);
	*e = (struct err)ERR_INIT;
	return 1;
}

static int run_login(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	const struct login_flags *f = flags;
	own_free char *server = remote_server(ops->n ? ops->v[0] : "");
	own_free char *user = f->user && *f->user ? xstrdup(f->user) : NULL, *plain = NULL;
	own_free char *password = f->password ? xstrdup(f->password) : NULL;
	int r;

	(void)z;
	if (check_flags(f, e) < 0)
		return -1;
	if (f->from_stdin && (password = read_secret(true)) == NULL)
		return err_set(e, EINVAL, "password is empty");
	if (user == NULL && password == NULL) {
		r = again(server, e);
		if (r <= 0)
			return r;
	}
	if (ask_missing(&user, &password, e) < 0)
		return -1;
	r = remote_login(server, user, password, &plain, e);
	if (r < 0)
		return err_wrap(e, "login");
	if (plain)
		fprintf(stderr,
			"\nWARNING! Your credentials are stored unencrypted in '%s'.\n"
			"Configure a credential helper to remove this warning. See\n"
			"https://docs.docker.com/go/credential-store/\n\n",
			plain);
	puts("Login Succeeded");
	return 0;
}

const struct command cmd_login = {
	.names = "login",
	.help = "Authenticate to a registry",
	.usage = "[OPTIONS] [SERVER]",
	.run = run_login,
	.opts = login_opts,
	.flags_size = sizeof(struct login_flags),
	.max = 1,
	.flags = CMD_COMMON | CMD_PURE,
};

static int run_logout(struct zl *z, void *flags, const struct operands *ops, struct err *e)
{
	own_free char *server = remote_server(ops->n ? ops->v[0] : "");

	(void)z;
	(void)flags;
	printf("Removing login credentials for %s\n",
	       strcmp(server, "docker.io") == 0 ? "https://index.docker.io/v1/" : server);
	return remote_logout(server, e);
}

const struct command cmd_logout = {
	.names = "logout",
	.help = "Log out from a registry",
	.usage = "[SERVER]",
	.run = run_logout,
	.max = 1,
	.flags = CMD_COMMON | CMD_PURE,
};
