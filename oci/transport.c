/* transport.c: how a host is reached by libcurl: certificates, proxies, patience, signals. */
#include <errno.h>
#include <fcntl.h>
#include <nss.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "oci/config.h"
#include "oci/digest.h"
#include "oci/http_impl.h"
#include "runtime/base/fd.h"
#include "runtime/base/own.h"
#include "runtime/base/parse.h"

/* Where the distributions keep their certificates, the most common first. */
static const char *const ca_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/var/lib/ca-certificates/ca-bundle.pem",
	"/etc/ssl/cert.pem",
	"/usr/local/share/certs/ca-root-nss.crt",
};

/* Bytes that curl reads at once. */
#define READ_BUFFER (256L << 10)
static CURLSH *share;
static pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
static long stall_s = HTTP_STALL_S;
static const char *ca_file, *ca_dir;

static void share_lock(CURL *c, curl_lock_data data, curl_lock_access access, void *arg)
{
	(void)c, (void)access, (void)arg;
	pthread_mutex_lock(&share_locks[data]);
}

static void share_unlock(CURL *c, curl_lock_data data, void *arg)
{
	(void)c, (void)arg;
	pthread_mutex_unlock(&share_locks[data]);
}

static void find_certificates(void)
{
	const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");

	if (dir && *dir)
		ca_dir = dir;
	if (file && *file) {
		ca_file = file;
		return;
	}
	for (size_t i = 0; !ca_file && i < sizeof(ca_bundles) / sizeof(*ca_bundles); i++)
		if (access(ca_bundles[i], R_OK) == 0)
			ca_file = ca_bundles[i];
}

static void init_once(void)
{
	const char *stall = getenv("ZL_STALL_TIMEOUT");
	uint64_t v;

	digest_global_init();
	__nss_configure_lookup("hosts", "files dns");
	__nss_configure_lookup("passwd", "files");
	__nss_configure_lookup("group", "files");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	find_certificates();
	if (stall && parse_u64(stall, 1, HTTP_STALL_S_MAX, &v))
		stall_s = (long)v;
	/* Workers share what they learn of addresses and TLS sessions. */
	for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
		pthread_mutex_init(&share_locks[i], NULL);
	share = curl_share_init();
	if (share == NULL)
		return;
	curl_share_setopt(share, CURLSHOPT_LOCKFUNC, share_lock);
	curl_share_setopt(share, CURLSHOPT_UNLOCKFUNC, share_unlock);
	curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
}

void http_global_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

/* Go's rules, as docker has them: the upper-case names count too, even of HTTP_PROXY. */
static const char *proxy_variable(const char *lower, const char *upper)
{
	const char *value = getenv(lower);

	return value && *value ? value : getenv(upper);
}

/* Proxies are the configuration's or the environment's, but never for this machine itself. */
static void set_proxy(CURL *c, const char *url, const char *host)
{
	const struct config *conf = config_get();
	const char *proxy, *none = conf->no_proxy;

	if (http_host_is_loopback(host)) {
		curl_easy_setopt(c, CURLOPT_PROXY, "");
		return;
	}
	if (str_starts(url, "https:"))
		proxy = conf->https_proxy ? conf->https_proxy
					  : proxy_variable("https_proxy", "HTTPS_PROXY");
	else
		proxy = conf->http_proxy ? conf->http_proxy
					 : proxy_variable("http_proxy", "HTTP_PROXY");
	if (proxy)
		curl_easy_setopt(c, CURLOPT_PROXY, proxy);
	if (none == NULL)
		none = proxy_variable("no_proxy", "NO_PROXY");
	if (none)
		curl_easy_setopt(c, CURLOPT_NOPROXY, none);
}

/* The machine's authorities and the host's own. */
static int set_authorities(CURL *c, const char *ours, char **pem, struct err *e)
{
	own_str struct str all = STR_INIT;
	struct curl_blob blob = { .flags = CURL_BLOB_NOCOPY };
	int r = ca_file ? file_read(AT_FDCWD, ca_file, CERTS_BYTES_MAX, &all, e) : 0;

	if (r < 0)
		return r;
	str_addf(&all, "\n%s", ours);
	blob.len = all.len;
	*pem = str_steal(&all);
	blob.data = *pem;
	curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
	return 0;
}

static int set_tls(CURL *c, const char *host, char **pem, struct err *e)
{
	const struct host_certs *certs;
	int r = config_certs(host, &certs, e);

	if (r < 0)
		return r;
	/* As docker has it, this machine itself need not prove who it is; certs.d asks for it. */
	if (config_insecure(host) || (http_host_is_loopback(host) && certs == NULL)) {
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	} else if (certs && certs->ca) {
		r = set_authorities(c, certs->ca, pem, e);
	} else if (ca_file == NULL && ca_dir == NULL) {
		return err_set(e, ENOENT,
			       "no CA certificates on this machine (install the package "
			       "ca-certificates, or set SSL_CERT_FILE)");
	} else {
		curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
	}
	curl_easy_setopt(c, CURLOPT_CAPATH, ca_dir);
	if (certs && certs->cert) {
		curl_easy_setopt(c, CURLOPT_SSLCERT, certs->cert);
		curl_easy_setopt(c, CURLOPT_SSLKEY, certs->key);
	}
	return r;
}

int transport_set(CURL *c, const struct http_request *q, const char *url, const char *host,
		  char **pem, struct err *e)
{
	long small = q->small_s ? (long)q->small_s : HTTP_SMALL_S;

	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_SHARE, share);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, READ_BUFFER);
	curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, READ_BUFFER);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)HTTP_CONNECT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_STALL_SPEED);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, q->small_s ? small : stall_s);
	if (q->body == NULL && q->source == NULL)
		curl_easy_setopt(c, CURLOPT_TIMEOUT, small);
	set_proxy(c, url, host);
	return str_starts(url, "https:") ? set_tls(c, host, pem, e) : 0;
}

/*
 * libcurl leaves SIGPIPE to threads that mind (CURLOPT_NOSIGNAL), and libcrypto
 * writes without MSG_NOSIGNAL: a server that hangs up must not end the process.
 */
CURLcode transport_perform(CURL *c)
{
	const struct timespec now = { 0, 0 };
	sigset_t pipe_only, old, pending;
	CURLcode code;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
	code = curl_easy_perform(c);
	if (!sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return code;
}

int transport_explain(const struct http_request *q, CURLcode code, const char *reason,
		      bool answered, struct err *e)
{
	const char *why = *reason ? reason : curl_easy_strerror(code);
	size_t n = strcspn(why, "\r\n");

	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return err_set(e, EHOSTUNREACH, "%.*s", (int)n, why);
	case CURLE_COULDNT_CONNECT:
		return err_set(e, ECONNREFUSED, "%.*s", (int)n, why);
	case CURLE_OPERATION_TIMEDOUT:
		if (str_starts(why, "Operation too slow"))
			return err_set(e, ETIMEDOUT, "stalled: next to no data for %ld seconds",
				       stall_s);
		if (q->body == NULL && q->source == NULL && answered)
			return err_set(e, ETIMEDOUT, "no complete answer within %u seconds",
				       q->small_s ? q->small_s : HTTP_SMALL_S);
		return err_set(e, ETIMEDOUT, "%.*s", (int)n, why);
	case CURLE_SEND_FAIL_REWIND:
		return err_set(e, ECONNRESET, "the connection broke");
	case CURLE_PARTIAL_FILE:
		return err_set(e, ECONNRESET, "the answer is truncated");
	case CURLE_PEER_FAILED_VERIFICATION:
		return err_set(e, EPROTO, "its certificate is refused: %.*s", (int)n, why);
	case CURLE_SSL_CONNECT_ERROR:
		return err_set(e, EPROTO, "no TLS connection: %.*s", (int)n, why);
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		if (str_starts(why, "CONNECT tunnel failed"))
			return err_set(e, EPROTO, "the proxy refuses: %.*s", (int)n, why);
		return err_set(e, ECONNRESET, "%.*s", (int)n, why);
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return err_set(e, ECONNRESET, "%.*s", (int)n, why);
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(e, ENOENT,
			       "no usable CA certificates in %s (package "
			       "ca-certificates, or set SSL_CERT_FILE)",
			       ca_file ? ca_file : ca_dir);
	default:
		return err_set(e, EPROTO, "%.*s", (int)n, why);
	}
}
