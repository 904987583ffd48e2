/* cmd.h: what a command is, and what each is given. */
#ifndef ZL_CMD_CMD_H
#define ZL_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/opt.h"
#include "oci/image.h"
#include "runtime/base/err.h"
#include "runtime/box/box.h"

#ifndef ZL_VERSION
#define ZL_VERSION "0.0.0"
#endif

/* docker's exit code for what went wrong before the workload could. */
#define EXIT_CLIENT 125

struct command;

/* One run of the program. */
struct zl {
	struct box_dirs dirs;
	struct store *store; /* only after zl_store */
	const struct command *cmd;
	char name[64]; /* the command as it was typed: "ps", "container ls" */
};

/*
 * Returns the exit code, or a negative errno with the error in e, which is
 * then printed and becomes exit code 1 (or the row's `failure`). An error
 * may stand beside an exit code; it is printed too.
 */
typedef int command_fn(struct zl *z, void *flags, const struct operands *ops, struct err *e);

#define CMD_COMMON (1U << 0) /* among the first in `zl --help` */
#define CMD_FIRST  (1U << 1) /* the first operand ends the options */
#define CMD_HIDDEN (1U << 2) /* for programs, not for people */
#define CMD_RAW	   (1U << 3) /* operands are handed over unread */
#define CMD_PURE   (1U << 4) /* needs no folders */

#define ANY_NUMBER (-1)

/* A command is a row. */
struct command {
	const char *names; /* all its spellings, docker's main one first: "container ls, ps" */
	const char *help;  /* one line, no full stop */
	const char *usage; /* what follows the name: "[OPTIONS] IMAGE [COMMAND] [ARG...]" */
	command_fn *run;
	const struct opt *opts;
	size_t flags_size;
	int min, max;	      /* operands; ANY_NUMBER */
	unsigned flags;	      /* CMD_* */
	int failure;	      /* exit code of a negative return; 0: 1 */
	const char *complete; /* operands, as struct opt.values; what stands first for CMD_FIRST */
};

/* A group of commands: `zl container ...`. */
struct group {
	const char *name, *help;
};

/* table.c */
extern const struct command *const commands[]; /* ends with NULL */
extern const struct group groups[];	       /* ends with a NULL name */
/*
 * Finds the command argv begins with; *used words belong to its name. NULL
 * where there is none. With *group set, argv names a group only.
 */
const struct command *command_find(int argc, char **argv, int *used, const struct group **group);
/* Calls fn for each spelling of the row. */
bool command_next_name(const struct command *c, const char **at, char *name, size_t size);
/* The shortest spelling: what `zl --help` shows. Of one word, or NULL. */
bool command_top_name(const struct command *c, char *name, size_t size);
int command_unknown(int argc, char **argv, const struct group *group, struct err *e);

/* help.c */
void help_top(struct str *out);
void help_group(const struct group *g, struct str *out);
void help_command(const struct command *c, const char *typed, struct str *out);
extern const struct opt global_opts[];

/* The options that stand before the command. */
struct global_flags {
	const char *root;
	bool debug, version;
};

/* dirs.c: where zl's things lie; with `make` the folders are there afterwards. */
int zl_dirs(struct zl *z, const char *root, bool make, struct err *e);
void zl_free(struct zl *z);
/* The home folder of the caller, or NULL; owned. */
char *home_folder(void);

/* fetch.c: opens the image store, once, and says what containers need of it. */
int zl_store(struct zl *z, struct err *e);
/*
 * image_pull on it, by name or id. A signal that ends the program ends it
 * here, after the pull has cleaned up.
 */
struct image *zl_pull(struct zl *z, const char *name, const struct pull_options *o, struct err *e);
/* image_push on it, likewise. */
struct push_options;
int zl_push(struct zl *z, const char *name, const struct push_options *o, struct err *e);

/*
 * tell.c: events of images, as docker names them: of one in the store, by name or id (`as`: the
 * name the event is about, NULL: the id); of a reference in a registry; of what a removal reports.
 */
void tell_image(struct zl *z, const char *action, const char *name, const char *as);
void tell_remote(struct zl *z, const char *action, const char *name, const struct image *i);
void tell_removed(struct zl *z, const char *id, const struct strv *report);

/* each.c: "zl: <sentence>" on stderr. */
void complain(const struct err *e);

/*
 * For commands that take many operands and go on after an error, as docker's
 * do: calls fn for each, complains, and returns 0 or 1. fn prints what there is
 * to print about success.
 */
typedef int each_fn(struct zl *z, void *flags, const char *operand, struct err *e);
int for_each_operand(struct zl *z, void *flags, const struct operands *ops, each_fn *fn);

/* A row each, in the command's own file. */
extern const struct command cmd_attach;
extern const struct command cmd_commit;
extern const struct command cmd_complete;
extern const struct command cmd_container_inspect;
extern const struct command cmd_container_prune;
extern const struct command cmd_cp;
extern const struct command cmd_create;
extern const struct command cmd_diff;
extern const struct command cmd_events;
extern const struct command cmd_exec;
extern const struct command cmd_export;
extern const struct command cmd_help;
extern const struct command cmd_history;
extern const struct command cmd_image_inspect;
extern const struct command cmd_image_prune;
extern const struct command cmd_images;
extern const struct command cmd_import;
extern const struct command cmd_info;
extern const struct command cmd_inspect;
extern const struct command cmd_kill;
extern const struct command cmd_load;
extern const struct command cmd_login;
extern const struct command cmd_logout;
extern const struct command cmd_logs;
extern const struct command cmd_man;
extern const struct command cmd_manifest_inspect;
extern const struct command cmd_pause;
extern const struct command cmd_port;
extern const struct command cmd_ps;
extern const struct command cmd_pull;
extern const struct command cmd_push;
extern const struct command cmd_rename;
extern const struct command cmd_restart;
extern const struct command cmd_rm;
extern const struct command cmd_rmi;
extern const struct command cmd_run;
extern const struct command cmd_save;
extern const struct command cmd_search;
extern const struct command cmd_start;
extern const struct command cmd_stats;
extern const struct command cmd_stop;
extern const struct command cmd_system_check;
extern const struct command cmd_system_df;
extern const struct command cmd_system_prune;
extern const struct command cmd_tag;
extern const struct command cmd_top;
extern const struct command cmd_unpause;
extern const struct command cmd_update;
extern const struct command cmd_version;
extern const struct command cmd_volume_create;
extern const struct command cmd_volume_inspect;
extern const struct command cmd_volume_ls;
extern const struct command cmd_volume_prune;
extern const struct command cmd_volume_rm;
extern const struct command cmd_wait;

#endif
