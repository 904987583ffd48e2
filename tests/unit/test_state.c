/* test_state.c: containers' folders, names, listing, dead holders, sweeping. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/box/state.h"

static char root[] = "/tmp/zl-test-box.XXXXXX";
static char run[64];
static struct box_dirs dirs;

static int setup(void **state)
{
	(void)state;
	strcpy(root + sizeof(root) - 7, "XXXXXX");
	if (mkdtemp(root) == NULL)
		return -1;
	snprintf(run, sizeof(run), "%s/run", root);
	mkdir(run, 0700);
	dirs = (struct box_dirs){ .root = root, .runtime = run };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return dir_remove_all(AT_FDCWD, root, NULL);
}

static struct box *make(const char *name, int64_t created, bool auto_remove, struct err *e)
{
	struct box_spec s;
	struct box *b;

	box_spec_init(&s);
	free(s.name);
	s.name = xstrdup(name);
	s.created_ns = created;
	s.auto_remove = auto_remove;
	strv_add(&s.argv, "true");
	strv_add(&s.layers, root);
	b = box_create(&dirs, &s, e);
	box_spec_free(&s);
	return b;
}

static char *path_of(const struct box *b, const char *name)
{
	return xasprintf("%s/%s", b->dir, name);
}

static void create_and_find(void **state)
{
	struct err e = ERR_INIT;
	own_box struct box *a = make("one", 1, false, &e), *x = NULL, *y = NULL, *z = NULL;
	own_free char *upper = path_of(a, BOX_UPPER);
	char prefix[13] = "";
	struct stat st;

	(void)state;
	assert_non_null(a);
	assert_true(a->lock >= 0);
	chmod(root, 0700);
	assert_int_equal(stat(upper, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700); /* as the topmost layer's */
	x = box_find(&dirs, "one", &e);
	assert_non_null(x);
	assert_string_equal(x->spec.id, a->spec.id);
	assert_int_equal(x->state.status, BOX_CREATED);
	y = box_find(&dirs, a->spec.id, &e);
	assert_non_null(y);
	memcpy(prefix, a->spec.id, 12);
	z = box_find(&dirs, prefix, &e);
	assert_non_null(z);
	assert_null(box_find(&dirs, "two", &e));
	assert_int_equal(e.code, ENOENT);
	assert_string_equal(e.msg, "No such container: two");
	assert_null(box_find(&dirs, "../names/one", &e));
	assert_null(box_find(&dirs, "", &e));
}

static void names_are_unique(void **state)
{
	struct err e = ERR_INIT;
	own_box struct box *a = make("one", 1, false, &e), *b = NULL;
	struct box_list l;

	(void)state;
	assert_null(make("one", 2, false, &e));
	assert_int_equal(e.code, EEXIST);
	assert_non_null(strstr(e.msg, "Conflict. The container name \"/one\" is already in use"));
	assert_non_null(strstr(e.msg, a->spec.id));
	assert_int_equal(box_list(&dirs, &l, &e), 0);
	assert_int_equal(l.n, 1); /* nothing half-made is left */
	box_list_free(&l);
	assert_int_equal(box_remove(&dirs, a, false, &e), 0);
	b = make("one", 3, false, &e);
	assert_non_null(b);
}

/* A crash between the folder's going and the name's. */
static void stale_name(void **state)
{
	struct err e = ERR_INIT;
	own_box struct box *a = make("one", 1, false, &e), *b = NULL;

	(void)state;
	assert_int_equal(dir_remove_all(AT_FDCWD, a->dir, &e), 0);
	assert_null(box_find(&dirs, "one", &e));
	b = make("one", 2, false, &e);
	assert_non_null(b);
	name_drop(&dirs, "one", a->spec.id); /* not its any more */
	box_free(a);
	a = box_find(&dirs, "one", &e);
	assert_non_null(a);
}

static void newest_first(void **state)
{
	struct err e = ERR_INIT;
	struct box_list l;

	(void)state;
	for (int i = 0; i < 5; i++) {
		char name[] = { 'c', (char)('0' + i), 0 };

		box_free(make(name, 100 + (i * 3) % 5, false, &e));
	}
	assert_int_equal(box_list(&dirs, &l, &e), 0);
	assert_int_equal(l.n, 5);
	for (size_t i = 1; i < l.n; i++)
		assert_true(l.v[i - 1]->spec.created_ns > l.v[i]->spec.created_ns);
	box_list_free(&l);
}

/* A process that holds the lock, as a holder does, until it is told to end. */
static pid_t pretend_holder(const struct box *b, int *end)
{
	int ready[2], stop[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stop), 0);
	pid = fork();
	if (pid == 0) {
		int dirfd = box_dir_open(&dirs, b->spec.id);

		close(stop[1]);
		if (box_lock_try(dirfd) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(stop[0], &c, 1) < 0);
	}
	close(ready[1]);
	close(stop[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*end = stop[1];
	return pid;
}

static void set_running(struct box *b)
{
	own_fd int dirfd = box_dir_open(&dirs, b->spec.id);

	b->state.status = BOX_RUNNING;
	b->state.pid = 12345;
	b->state.started_ns = 5;
	assert_int_equal(state_write(dirfd, &b->state, NULL), 0);
	close(b->lock);
	b->lock = -1;
}

static void dead_holder(void **state)
{
	struct err e = ERR_INIT;
	own_box struct box *a = make("one", 1, false, &e), *x = NULL, *y = NULL;
	pid_t pid;
	int end;

	(void)state;
	set_running(a);
	pid = pretend_holder(a, &end);
	x = box_find(&dirs, "one", &e);
	assert_int_equal(x->state.status, BOX_RUNNING);
	assert_int_equal(box_remove(&dirs, x, false, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "cannot remove container \"/one\": container is running"));
	close(end);
	waitpid(pid, NULL, 0);
	y = box_find(&dirs, "one", &e);
	assert_int_equal(y->state.status, BOX_EXITED);
	assert_int_equal(y->state.exit_code, 137);
	assert_true(y->state.finished_ns > 0 && y->state.pid == 0);
	assert_true(y->state.error[0] != 0);
	box_free(x);
	x = box_find(&dirs, "one", &e); /* it was written down */
	assert_int_equal(x->state.finished_ns, y->state.finished_ns);
	assert_int_equal(box_remove(&dirs, x, false, &e), 0);
	assert_null(box_find(&dirs, "one", &e));
}

static void dead_holder_auto_remove(void **state)
{
	struct err e = ERR_INIT;
	own_box struct box *a = make("one", 1, true, &e), *b = NULL;
	struct box_list l;

	(void)state;
	set_running(a);
	assert_int_equal(box_list(&dirs, &l, &e), 0);
	assert_int_equal(l.n, 0);
	assert_int_not_equal(access(a->dir, F_OK), 0);
	b = make("one", 2, true, &e);
	assert_non_null(b);
}

static void sweeps_litter(void **state)
{
	struct err e = ERR_INIT;
	own_box struct box *a = make("one", 1, false, &e);
	own_free char *all = xasprintf("%s/containers", root);
	own_free char *litter = xasprintf("%s/.new-x/sub", all),
		      *gone = xasprintf("%s/.gone-y", all);
	struct box_list l;
	int guard;

	(void)state;
	assert_int_equal(dir_make_all(litter, 0700, &e), 0);
	assert_int_equal(dir_make_all(gone, 0700, &e), 0);
	guard = box_guard(&dirs, LOCK_SH, &e); /* somebody is at it */
	assert_int_equal(box_list(&dirs, &l, &e), 0);
	box_list_free(&l);
	assert_int_equal(access(litter, F_OK), 0);
	close(guard);
	assert_int_equal(box_list(&dirs, &l, &e), 0);
	assert_int_equal(l.n, 1);
	box_list_free(&l);
	assert_int_not_equal(access(litter, F_OK), 0);
	assert_int_not_equal(access(gone, F_OK), 0);
}

static void damaged(void **state)
{
	struct err e = ERR_INIT;
	own_box struct box *a = make("one", 1, false, &e), *x = NULL;
	own_free char *spec = path_of(a, BOX_SPEC_FILE);
	int exit_code = 1;

	(void)state;
	assert_int_equal(box_wait(&dirs, a, &exit_code, &e), 0);
	assert_int_equal(exit_code, 0);
	assert_int_equal(file_write_atomic(AT_FDCWD, spec, "{", 1, 0600, false, &e), 0);
	x = box_find(&dirs, a->spec.id, &e);
	assert_non_null(x);
	assert_int_equal(x->state.status, BOX_DEAD);
	box_free(a);
	a = NULL;
	assert_int_equal(box_remove(&dirs, x, false, &e), 0);
	assert_null(box_find(&dirs, x->spec.id, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(create_and_find, setup, teardown),
		cmocka_unit_test_setup_teardown(names_are_unique, setup, teardown),
		cmocka_unit_test_setup_teardown(stale_name, setup, teardown),
		cmocka_unit_test_setup_teardown(newest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_holder, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_holder_auto_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(sweeps_litter, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
