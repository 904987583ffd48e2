/* retry.c: attempts of a request in a row, until one ends it. */
#include <errno.h>
#include <time.h>

#include "oci/config.h"
#include "oci/http.h"
#include "runtime/base/log.h"
#include "runtime/base/own.h"

enum verdict {
	DONE,
	AGAIN, /* the same might succeed in a moment */
	FAIL,
};

/* What an attempt's end means; fills e for all but DONE. */
static enum verdict judge(const struct http_request *q, const struct http_response *resp, int r,
			  bool first, struct err *e)
{
	own_free char *host = http_url_host(q->url);
	int status = resp->status;

	if (r == -ECONNRESET || r == -ETIMEDOUT)
		return q->fresh && r == -ECONNRESET ? FAIL : AGAIN;
	/* Nobody there: told at once, unless somebody was there before. */
	if (r == -ECONNREFUSED || r == -EHOSTUNREACH)
		return first ? FAIL : AGAIN;
	if (r < 0)
		return FAIL;
	if (status == 429 || (status >= 500 && status != 501 && status != 505)) {
		err_set(e, EAGAIN, "%s: %s (HTTP status %d)", host,
			status == 429 ? "too many requests" : "the server has a problem", status);
		if (resp->retry_after <= HTTP_RETRY_AFTER_S)
			return AGAIN;
		err_set(e, EAGAIN, "%s: it asks to come back in %ld seconds (HTTP status %d)", host,
			resp->retry_after, status);
		return FAIL;
	}
	if (status >= 200 && status < 300 && q->body && q->size != UINT64_MAX &&
	    q->from + resp->got < (q->until ? q->until : q->size)) {
		err_set(e, ECONNRESET, "%s: the answer is truncated: %llu of %llu bytes", host,
			(unsigned long long)(q->from + resp->got), (unsigned long long)q->size);
		return AGAIN;
	}
	return DONE;
}

bool http_pause(uint64_t ms, const atomic_bool *cancel)
{
	const uint64_t slice = 100;

	while (ms > 0) {
		uint64_t now = ms < slice ? ms : slice;
		struct timespec t = { 0, (long)(now * 1000000) };

		if (cancel && atomic_load(cancel))
			return false;
		nanosleep(&t, NULL);
		ms -= now;
	}
	return true;
}

uint64_t http_delay(const struct http_response *resp, int failures)
{
	uint64_t ms = (uint64_t)HTTP_BACKOFF_MS << (failures > 0 ? failures - 1 : 0);
	uint16_t dice;

	/* Many clients that failed together should not come back together. */
	random_bytes(&dice, sizeof(dice));
	ms += ms * dice / UINT16_MAX / 4;
	if (resp->retry_after > 0 && (uint64_t)resp->retry_after * 1000 > ms)
		ms = (uint64_t)resp->retry_after * 1000;
	return ms;
}

int http_do(struct http *h, const struct http_request *q, struct http_response *r, struct err *e)
{
	struct err why = ERR_INIT;
	int failures = 0, attempts = config_get()->attempts;

	if (attempts == 0)
		attempts = HTTP_ATTEMPTS;
	*r = (struct http_response){ 0 };
	for (bool first = true;; first = false) {
		uint64_t got = r->got, ms;
		enum verdict v;
		int code;

		code = http_once(h, q, r, &why);
		v = judge(q, r, code, first, &why);
		if (v == DONE)
			return 0;
		/* A server that drips must not keep us for ever. */
		if (r->got - got >= HTTP_PROGRESS)
			failures = 0;
		failures += code == -ETIMEDOUT ? 2 : 1;
		if (v == FAIL || q->once || failures >= attempts) {
			if (e)
				*e = why;
			return -why.code;
		}
		ms = http_delay(r, failures);
		log_step("%s; again in %llu ms", why.msg, (unsigned long long)ms);
		if (q->retry)
			q->retry(q->arg, (unsigned)((ms + 999) / 1000), &why);
		if (!http_pause(ms, q->cancel))
			return err_set(e, ECANCELED, "interrupted");
	}
}
