/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* What a child prints on one of its pipes: drained always, told line by line, the last of it kept.
 * Bounded, whatever comes; the bytes are only ever text, never a format. Not thread-safe. */
typedef struct _KcpOutput KcpOutput;

/* One line, valid UTF-8 without its newline; a longer one than the limit comes in pieces. */
typedef void (*KcpOutputLine) (const char *line,
                               gpointer    data);

/* Takes @fd, which must be non-blocking. */
KcpOutput *kcp_output_new    (int            fd,
                              KcpOutputLine  func,
                              gpointer       data);
/* May be called by the function that is told the lines. */
void       kcp_output_free   (KcpOutput     *self);
void       kcp_output_attach (KcpOutput     *self,
                              GMainContext  *context);

/* Nothing more is read; the tail stays. */
void       kcp_output_close  (KcpOutput     *self);

/* -1 once it has ended. */
int        kcp_output_get_fd (KcpOutput     *self);

/* Reads what is there, at most a fixed amount; never blocks, never waits for the end: a
 * grandchild may hold the pipe. FALSE: nothing was there. */
gboolean   kcp_output_read   (KcpOutput     *self);
void       kcp_output_drain  (KcpOutput     *self);

/* The last 64 KiB, as valid UTF-8. */
char      *kcp_output_get_tail (KcpOutput   *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpOutput, kcp_output_free)

G_END_DECLS
