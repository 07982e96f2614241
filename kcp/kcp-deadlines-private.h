/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* The deadlines of one link, soonest first: a binary heap of nodes that live inside what they
 * belong to. One timer serves all of them, and setting or clearing one costs no source.
 * Not thread-safe. */

typedef struct _KcpDeadline KcpDeadline;

struct _KcpDeadline
{
  gint64 at;                             /* monotonic µs */
  guint place;                           /* in the heap, counted from 1; 0: not in it */
  void (*passed) (KcpDeadline *self);    /* called after it was taken out */
};

typedef struct
{
  GPtrArray *heap;
} KcpDeadlines;

void   kcp_deadlines_init   (KcpDeadlines *self);
void   kcp_deadlines_clear  (KcpDeadlines *self);
void   kcp_deadlines_add    (KcpDeadlines *self,
                             KcpDeadline  *deadline);
void   kcp_deadlines_remove (KcpDeadlines *self,
                             KcpDeadline  *deadline);
gint64 kcp_deadlines_next   (KcpDeadlines *self);   /* 0: there is none */
void   kcp_deadlines_run    (KcpDeadlines *self,
                             gint64        now);

G_END_DECLS
