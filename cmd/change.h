/* change.h: --change of commit and import: instructions of a Dockerfile on an image's config. */
#ifndef ZL_CMD_CHANGE_H
#define ZL_CMD_CHANGE_H

#include "runtime/base/err.h"
#include "runtime/base/json.h"
#include "runtime/base/str.h"

/*
 * Applies CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and
 * WORKDIR, in order, to the "config" member of an image config. -EINVAL in docker's words.
 */
int config_change(struct js *config, const struct strv *changes, struct err *e);

#endif
