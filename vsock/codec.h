/* codec.h: frames <-> structures of wire.h; pure, no I/O. */
#ifndef ZL_VSOCK_CODEC_H
#define ZL_VSOCK_CODEC_H

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "vsock/wire.h"

/*
 * wire_put_X appends one whole frame (header included) to `out`.
 * wire_get_X reads a frame's payload; 0, or -EPROTO when it is too short,
 * too long, holds a string with a NUL or a count or value out of range; the
 * structure then owns nothing. What a successful one owns is freed by
 * wire_X_free, where there is one.
 */
void wire_put_hello(struct str *out, const struct wire_hello *m);
void wire_put_open(struct str *out, const struct wire_open *m);
void wire_put_started(struct str *out, const struct wire_started *m);
void wire_put_ending(struct str *out, const struct wire_ending *m);
void wire_put_oom(struct str *out, const struct wire_oom *m);
void wire_put_failed(struct str *out, const struct wire_failed *m);
void wire_put_exited(struct str *out, const struct wire_exited *m);
void wire_put_memory(struct str *out, const struct wire_memory *m);
void wire_put_boot(struct str *out, const struct wire_boot *m);
void wire_put_exec(struct str *out, const struct wire_task *m);
void wire_put_signal(struct str *out, const struct wire_signal *m);
void wire_put_resize(struct str *out, const struct wire_resize *m);
void wire_put_limits(struct str *out, const struct wire_limits *m);
void wire_put_time(struct str *out, const struct wire_time *m);
void wire_put_query(struct str *out, const struct wire_query *m);
void wire_put_process(struct str *out, const struct wire_process *m);
void wire_put_stats(struct str *out, const struct wire_stats *m);
void wire_put_sync(struct str *out, const struct wire_sync *m);
void wire_put_synced(struct str *out, const struct wire_synced *m);
void wire_put_forward(struct str *out, const struct wire_forward *m);

int wire_get_hello(const void *p, size_t n, struct wire_hello *m);
int wire_get_open(const void *p, size_t n, struct wire_open *m);
int wire_get_started(const void *p, size_t n, struct wire_started *m);
int wire_get_ending(const void *p, size_t n, struct wire_ending *m);
int wire_get_oom(const void *p, size_t n, struct wire_oom *m);
int wire_get_failed(const void *p, size_t n, struct wire_failed *m);
int wire_get_exited(const void *p, size_t n, struct wire_exited *m);
int wire_get_memory(const void *p, size_t n, struct wire_memory *m);
int wire_get_boot(const void *p, size_t n, struct wire_boot *m);
int wire_get_exec(const void *p, size_t n, struct wire_task *m);
int wire_get_signal(const void *p, size_t n, struct wire_signal *m);
int wire_get_resize(const void *p, size_t n, struct wire_resize *m);
int wire_get_limits(const void *p, size_t n, struct wire_limits *m);
int wire_get_time(const void *p, size_t n, struct wire_time *m);
int wire_get_query(const void *p, size_t n, struct wire_query *m);
int wire_get_process(const void *p, size_t n, struct wire_process *m);
int wire_get_stats(const void *p, size_t n, struct wire_stats *m);
int wire_get_sync(const void *p, size_t n, struct wire_sync *m);
int wire_get_synced(const void *p, size_t n, struct wire_synced *m);
int wire_get_forward(const void *p, size_t n, struct wire_forward *m);

void wire_failed_free(struct wire_failed *m);
void wire_boot_free(struct wire_boot *m);
void wire_task_free(struct wire_task *m);
void wire_process_free(struct wire_process *m);

/* One frame found at the start of a buffer. */
struct wire_frame {
	uint16_t type;
	const void *payload;
	size_t len;
	size_t used; /* bytes of the buffer it took */
};

/* 1: *f is set; 0: more bytes are needed; -EPROTO: this is no frame. */
int wire_frame_next(const void *buf, size_t n, struct wire_frame *f);

#endif
