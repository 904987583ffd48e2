/* size.c: what a container's own files take. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/own.h"
#include "runtime/base/str.h"
#include "runtime/box/state.h"

/* Deeper folders are not counted: each level takes a descriptor. */
#define DEPTH_MAX 200

static uint64_t folder_size(int dirfd, const char *name, unsigned depth)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	own_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t bytes = 0;
	struct dirent *de;
	struct stat st;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
		    fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			bytes += folder_size(fd, de->d_name, depth + 1);
		else if (S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

uint64_t box_size(const struct box *b)
{
	own_free char *upper = xasprintf("%s/" BOX_UPPER, b->dir);

	return folder_size(AT_FDCWD, upper, 0);
}
