/* check.h: proving the store: what image_check's files share. */
#ifndef ZL_OCI_CHECK_H
#define ZL_OCI_CHECK_H

#include "oci/store_impl.h"
#include "oci/unpack.h"
#include "runtime/base/err.h"

/*
 * Compares two unpacked layers, file by file: type, mode, size, times, attributes, content, links.
 * 0: they are the same; 1: they differ, and e says where; negative: one could not be read.
 */
int check_same_tree(int a, int b, struct err *e);

#endif
