/* own.h: scope frees, ownership leaves by a named act. */
#ifndef ZL_BASE_OWN_H
#define ZL_BASE_OWN_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * A variable marked own_* is released when its scope ends:
 *
 *	own_free char *path = NULL;
 *	own_fd int fd = -1;
 *	...
 *	return steal_fd(&fd);		(the caller owns it now)
 */

static inline void own_free_(void *p)
{
	free(*(void **)p);
}

/* Closes an owned descriptor, keeping errno; -1 is allowed. */
static inline void own_fd_(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void own_dir_(DIR **d)
{
	if (*d)
		closedir(*d);
}

static inline void own_file_(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define OWN(fn)	 __attribute__((cleanup(fn)))
#define own_free OWN(own_free_)
#define own_fd	 OWN(own_fd_)
#define own_dir	 OWN(own_dir_)
#define own_file OWN(own_file_)

static inline int steal_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

static inline void *steal_ptr_(void *pp)
{
	void *r = *(void **)pp;

	*(void **)pp = NULL;
	return r;
}

#define steal_ptr(pp) ((__typeof__(*(pp)))steal_ptr_(pp))

#endif
