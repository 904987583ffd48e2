/* logfile.h: a container's log: writing records, rotating files, reading records back. */
#ifndef ZL_BOX_LOGFILE_H
#define ZL_BOX_LOGFILE_H

#include <stdbool.h>
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
 * with "attrs":{"key":"value"} before the time where --log-opt asks for some.
 *
 * A line of output longer than LOG_LINE_MAX becomes several records, of which
 * only the last has the newline. JSON is Unicode and output is bytes: where a
 * record's bytes are no UTF-8, "log" has U+FFFD for the bad ones (as docker's
 * has) and a further key "raw" holds all of them in base64, so that nothing
 * is lost and every reader of docker's format still works.
 *
 * Rotation: when log.json has max-size bytes or more, log.json.1 becomes
 * log.json.2 and so on, log.json becomes log.json.1, and a new log.json
 * appears; what would be number max-file is gone. Files end with whole records,
 * and a file that was moved away is never written to any more: whoever follows
 * reads on to its end, and then the one that is newer by one.
 */
#define LOG_FILE     "log.json"
#define LOG_FILE_NEW "log.json.new" /* about to become log.json */
#define LOG_NAME_MAX 32
#define LOG_LINE_MAX (16U << 10)
/*
 * All output is logged, with one exception: of a --rm container whose
 * starting client is there and has both streams, only the first so many
 * bytes. Its log dies with it and its output is on its way to where the user
 * wants it; a stream of gigabytes shall not go to the disk besides.
 */
#define LOG_FOREGROUND_MAX (16ULL << 20)
/* Longest "attrs". */
#define LOG_ATTRS_MAX (64U << 10)
/* Longest record: each byte as \u00xx, and once more in base64. */
#define LOG_RECORD_MAX (9 * LOG_LINE_MAX + LOG_ATTRS_MAX)
/* Most files. */
#define LOG_FILES_MAX 500

/* What --log-driver and --log-opt say. */
struct log_config {
	bool none;	    /* nothing is kept */
	uint64_t max_size;  /* bytes; 0: one file without a bound */
	unsigned max_files; /* at least 1 */
	char *attrs;	    /* "attrs" as JSON; NULL: none */
};
struct box_spec;
/* -EINVAL in docker's words; c then owns nothing. */
int log_config_of(struct log_config *c, const struct box_spec *s, struct err *e);
void log_config_free(struct log_config *c);

enum log_stream {
	LOG_STDOUT,
	LOG_STDERR,
	LOG_STREAMS,
};

/* Of the i-th file: LOG_FILE, then with numbers. */
void log_file_name(char name[LOG_NAME_MAX], unsigned i);

struct logfile;
/* Appends to the log in the container's folder, whose descriptor stays with the caller; c is
 * copied. */
struct logfile *logfile_open(int dirfd, const struct log_config *c, struct err *e);
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
	int64_t time_ns;	    /* since 1970 */
	struct str data;	    /* the bytes as they were written */
	struct str attrs;	    /* docker's --details: "key=value,key=value"; empty as a rule */
	struct str key, value, raw; /* the parser's, so that it does not allocate each time */
};
void log_record_free(struct log_record *r);
/*
 * One line of the file (without its newline) into *r, whose strings are emptied
 * first and freed by the caller in the end. -EINVAL if it is no record.
 */
int log_record_parse(const char *line, size_t len, struct log_record *r);

/*
 * Writes what box.h's options ask for of the log in folder `dir`. With `end` it
 * goes on as the log grows: when end->fd becomes readable, end->ended tells
 * whether there is no more to come (1), it was nothing (0), or -errno.
 */
struct box_log_options;
struct log_end {
	int fd;
	int (*ended)(void *arg, struct err *e);
	void *arg;
};
int log_read(const char *dir, unsigned max_files, const struct box_log_options *o,
	     const struct log_end *end, struct err *e);

/* "2026-01-02T03:04:05.678901234Z", into LOG_TIME_MAX bytes; its length. */
#define LOG_TIME_MAX 48
size_t log_time_format(char *out, int64_t ns);

#endif
