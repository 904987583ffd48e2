/* logfile.h: a container's log.json: writing records, reading them back. */
#ifndef ZL_BOX_LOGFILE_H
#define ZL_BOX_LOGFILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"

/*
 * docker's json-file format, one record per line:
 *
 *	{"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}
 *
 * A line of output longer than LOG_LINE_MAX becomes several records, of which
 * only the last has the newline. JSON is Unicode and output is bytes: where a
 * record's bytes are no UTF-8, "log" has U+FFFD for the bad ones (as docker's
 * has) and a further key "raw" holds all of them in base64, so that nothing
 * is lost and every reader of docker's format still works.
 */
#define LOG_FILE     "log.json"
#define LOG_LINE_MAX (16U << 10)
/*
 * All output is logged, with one exception: of a --rm container whose
 * starting client is there and has both streams, only the first so many
 * bytes. Its log dies with it and its output is on its way to where the user
 * wants it; a stream of gigabytes shall not go to the disk besides.
 */
#define LOG_FOREGROUND_MAX (16ULL << 20)
/* Longest record: each byte as \u00xx, and once more in base64. */
#define LOG_RECORD_MAX (9 * LOG_LINE_MAX)

enum log_stream {
	LOG_STDOUT,
	LOG_STDERR,
	LOG_STREAMS,
};

struct logfile;
/* Appends to the log in the container's folder. */
struct logfile *logfile_open(int dirfd, struct err *e);
/*
 * Adds output, from `skip` bytes into iov on. The bytes may change while they
 * are read. Whole lines are on disk when it returns; the start of a line
 * waits for its rest. A full disk loses records, never stops the container.
 */
void logfile_add(struct logfile *l, enum log_stream stream, const struct iovec *iov, int n,
		 size_t skip);
/* Output past so many bytes is not logged (0: all is). */
void logfile_limit(struct logfile *l, uint64_t bytes);
/* The stream is at its end: writes what waits. */
void logfile_end(struct logfile *l, enum log_stream stream);
/* Both streams' ends, and closes. NULL is allowed. */
void logfile_close(struct logfile *l);

struct log_record {
	enum log_stream stream;
	int64_t time_ns; /* since 1970 */
	struct str data; /* the bytes as they were written */
};
/*
 * One line of the file (without its newline) into *r, whose data is emptied
 * first and freed by the caller in the end. -EINVAL if it is no record.
 */
int log_record_parse(const char *line, size_t len, struct log_record *r);

/* "2026-01-02T03:04:05.678901234Z", into LOG_TIME_MAX bytes; its length. */
#define LOG_TIME_MAX 48
size_t log_time_format(char *out, int64_t ns);

#endif
