/* http_impl.h: what http.c and transport.c share; nobody else includes it. */
#ifndef ZL_OCI_HTTP_IMPL_H
#define ZL_OCI_HTTP_IMPL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "oci/http.h"

/*
 * Sets how url's host is reached: patience, proxy, TLS. *pem is memory that curl looks at during
 * the transfer; the caller frees it afterwards.
 */
int transport_set(CURL *c, const struct http_request *q, const char *url, const char *host,
		  char **pem, struct err *e);
/* curl_easy_perform, without SIGPIPE. */
CURLcode transport_perform(CURL *c);
/* curl's reason as a code of ours; the sentence goes into e. answered: a status has come. */
int transport_explain(const struct http_request *q, CURLcode code, const char *reason,
		      bool answered, struct err *e);

#endif
