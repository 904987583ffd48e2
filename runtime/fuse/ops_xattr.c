/* ops_xattr.c: operations on extended attributes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/fuse/call.h"

/* XATTR_SIZE_MAX of the kernel. */
#define XATTR_VALUE_MAX 65536

/* size 0 asks for the length; else what was got must fit. */
static int reply_value(struct call *c, uint32_t size, const void *value, ssize_t n)
{
	struct fuse_getxattr_out out = { 0 };

	if (n < 0)
		return (int)n;
	if (size == 0) {
		out.size = (uint32_t)n;
		return call_put(c, 0, &out, sizeof(out)) < 0 ? -EIO : (int)sizeof(out);
	}
	return call_put(c, 0, value, (size_t)n) < 0 ? -ERANGE : (int)n;
}

int op_getxattr(struct call *c)
{
	uint32_t size = c->arg.getxattr.size;
	own_free char *value = NULL;
	ssize_t n;

	if (c->node->share == NULL)
		return -ENODATA;
	if (size > XATTR_VALUE_MAX)
		size = XATTR_VALUE_MAX;
	value = size ? xmalloc(size) : NULL;
	n = c->node->share->ops->getxattr(c->f, c->node, c->name, value, size);
	return reply_value(c, size, value, n);
}

int op_listxattr(struct call *c)
{
	uint32_t size = c->arg.getxattr.size;
	own_free char *list = NULL;
	ssize_t n;

	if (c->node->share == NULL)
		return reply_value(c, size, "", 0);
	if (size > XATTR_VALUE_MAX)
		size = XATTR_VALUE_MAX;
	list = size ? xmalloc(size) : NULL;
	n = c->node->share->ops->listxattr(c->f, c->node, list, size);
	return reply_value(c, size, list, n);
}

/* The fixed part has two sizes, as negotiated; then the name, then the value. */
int op_setxattr(struct call *c)
{
	struct fuse_setxattr_in *in = &c->arg.setxattr;
	own_free char *buf = NULL;
	const char *nul;
	size_t name_len, len;

	if (!call_take(c, in, c->f->setxattr_ext ? sizeof(*in) : FUSE_COMPAT_SETXATTR_IN_SIZE))
		return -EINVAL;
	if (in->size > XATTR_VALUE_MAX)
		return -E2BIG;
	len = c->left;
	if (len > CALL_NAME_MAX + 1 + (size_t)in->size)
		return -ERANGE;
	buf = xmalloc(len + 1);
	call_take(c, buf, len);
	nul = memchr(buf, 0, len);
	if (nul == NULL)
		return -EINVAL;
	name_len = (size_t)(nul - buf);
	if (name_len == 0 || name_len > CALL_NAME_MAX)
		return -ERANGE;
	if (len - name_len - 1 != in->size)
		return -EINVAL;
	return c->node->share->ops->setxattr(c->f, c->node, buf, nul + 1, in->size, (int)in->flags);
}

int op_removexattr(struct call *c)
{
	return c->node->share->ops->removexattr(c->f, c->node, c->name);
}
