/* insns.c: a plugin of QEMU's that counts a guest's instructions, and when it first reaches a
 * function. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What we use of QEMU's plugin interface, version 1 (docs/devel/tcg-plugins.rst): no package has
 * it. */
struct qemu_plugin_tb;
struct qemu_info_t;
enum { CB_NO_REGS };
enum { INLINE_ADD_U64 };
int qemu_plugin_version = 1;
int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int argc, char **argv);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
					   void (*fn)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
					  void (*fn)(unsigned cpu, void *arg), int flags,
					  void *arg);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *counter,
					      uint64_t n);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*fn)(uint64_t id, void *arg), void *arg);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

#define MARKS_MAX 64

static struct mark {
	uint64_t addr;
	int seen;
	char name[64];
} marks[MARKS_MAX];
static unsigned nmarks;
static uint64_t total;

static void reached(unsigned cpu, void *arg)
{
	struct mark *m = arg;

	(void)cpu;
	if (!m->seen)
		fprintf(stderr, "%" PRIu64 " %s\n", total, m->name);
	m->seen = 1;
}

/* One CPU: a plain sum. A repeated string instruction counts once for each repetition. */
static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (unsigned i = 0; i < nmarks; i++) {
		if (marks[i].addr == qemu_plugin_tb_vaddr(tb))
			qemu_plugin_register_vcpu_tb_exec_cb(tb, reached, CB_NO_REGS, &marks[i]);
	}
	qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &total,
						 qemu_plugin_tb_n_insns(tb));
}

static void ended(uint64_t id, void *arg)
{
	(void)id;
	(void)arg;
	fprintf(stderr, "%" PRIu64 " the end\n", total);
}

/* marks=FILE: lines "address name", as System.map has them without the type. */
int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int argc, char **argv)
{
	FILE *f = argc && strncmp(argv[0], "marks=", 6) == 0 ? fopen(argv[0] + 6, "r") : NULL;

	(void)info;
	while (f && nmarks < MARKS_MAX &&
	       fscanf(f, "%" SCNx64 " %63s", &marks[nmarks].addr, marks[nmarks].name) == 2)
		nmarks++;
	if (f)
		fclose(f);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
