/* licences.h: what is embedded in or linked into the executable. */
#ifndef ZL_CMD_LICENCES_H
#define ZL_CMD_LICENCES_H

/* The text of `zl version --licenses`. */
extern const char licences_text[];

#endif
