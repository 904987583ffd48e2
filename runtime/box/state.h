/* state.h: a container's folder on disk: state.json, lock, appearing and vanishing. */
#ifndef ZL_BOX_STATE_H
#define ZL_BOX_STATE_H

#include "runtime/box/box.h"

/*
 * Inside runtime/box only. The rules:
 *
 *  - Whoever changes a container's folder holds its `lock`: the holder while
 *    the container runs, box_create until it is started, box_remove, and
 *    whoever finds that the holder died.
 *  - state.json says RUNNING, PAUSED, RESTARTING, or CREATED with a pid: a holder
 *    or a keeper is at work, which is true only if the lock is held. Any other state is true
 *    as it stands; the lock may still be held by a holder tidying up.
 *  - A folder being made (".new-<id>") or removed (".gone-<id>") belongs to a
 *    process that holds containers/.lock shared. Who gets that lock
 *    exclusively knows that nobody is at it, and sweeps.
 */
#define BOX_SPEC_FILE	 "spec.json"
#define BOX_STATE_FILE	 "state.json"
#define BOX_HEALTH_FILE	 "health.json"
#define BOX_LOCK_FILE	 "lock"
#define BOX_UPPER	 "upper"
#define BOX_CONSOLE_FILE "console.log"
#define BOX_HOLDER_LOG	 "holder.log"

/* spec.json and state.json are ours; still, nothing is read without a bound. */
#define BOX_JSON_MAX (16U << 20)
/* How long a holder that has said EXITED may take to let go of its container. */
#define BOX_LOCK_WAIT_MS 30000
/* The name of a holder's process: whoever kills one by its number looks at it first. */
#define BOX_HOLDER_COMM "zl-holder"
#define BOX_KEEPER_COMM "zl-keeper"
#define BOX_COMM_MAX	64
/* The exit code of a container whose holder or workload was killed. */
#define BOX_CODE_KILLED 137
/* docker's code for failures that are not the workload's. */
#define BOX_CODE_FAILED 125

char *box_path(const struct box_dirs *d, const char *id);
char *box_sock_path(const struct box_dirs *d, const char *id);
/* Opens containers/<id>; -ENOENT without a sentence of its own. */
int box_dir_open(const struct box_dirs *d, const char *id);
/* Whether dirfd still is containers/<id>, and not on its way out. */
bool box_dir_current(const struct box_dirs *d, const char *id, int dirfd);

/*
 * The folder's lock as an open descriptor; -EAGAIN when another process has
 * it. box_lock_wait waits for it, at most BOX_LOCK_WAIT_MS.
 */
int box_lock_try(int dirfd);
int box_lock_wait(int dirfd);

/* Takes from `now`, as it was read later, what may have changed since: its name, its limits. */
void spec_take_changes(struct box_spec *s, struct box_spec *now);
/* The same from spec.json; if that cannot be read, nothing changes. */
void spec_refresh(int dirfd, struct box_spec *s);
/* spec.json of the folder; what spec_read fills in is freed by box_spec_free. */
int spec_write(int dirfd, const struct box_spec *s, struct err *e);
int spec_read(int dirfd, struct box_spec *s, struct err *e);

int state_write(int dirfd, const struct box_state *s, struct err *e);
int state_read(int dirfd, struct box_state *s, struct err *e);
void state_free(struct box_state *s);
/* Replaces s->error; NULL is "". */
void state_set_error(struct box_state *s, const char *text);
void state_set_socket(struct box_state *s, const char *path);
/* Nothing is published any more. */
void state_drop_ports(struct box_state *s);
int64_t state_now(void);
/* Whether the state claims that a holder is at work. */
bool state_claims_holder(const struct box_state *s);

/* The shared lock on making and removing folders, or its exclusive form for the sweeper. */
int box_guard(const struct box_dirs *d, int how, struct err *e);
void box_sweep(const struct box_dirs *d);

/*
 * Removal in two steps, both under the folder's lock and box_guard: after the
 * first the container is gone for everyone, the second takes its time.
 */
int box_vanish(const struct box_dirs *d, const char *id, struct err *e);
int box_erase(const struct box_dirs *d, const char *id, struct err *e);

/* names.c */
int name_take(const struct box_dirs *d, const char *name, const char *id, struct err *e);
void name_drop(const struct box_dirs *d, const char *name, const char *id);
/* The id into out; false if nobody has the name. */
bool name_get(const struct box_dirs *d, const char *name, char out[BOX_ID_LEN + 1]);

bool box_id_full(const char *s); /* 64 lower-case hex digits */
/* Whether the container is there, or just being made. */
bool box_exists(const struct box_dirs *d, const char *id);

#endif
