/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* The credit of one stream, counted in items and in bytes of their bodies; the same at both ends:
 * the producer asks it whether the next item may go, the consumer whether it may have come. What
 * the consumer takes in is given back. See PROTOCOL.md, "Credit". */
typedef struct
{
  guint max_items;
  gsize max_bytes;
  guint items;       /* sent and not given back */
  gsize bytes;
} KcpWindow;

/* One item always fits, however large. */
static inline gboolean
kcp_window_fits (const KcpWindow *self,
                 gsize            size)
{
  if (self->items == 0)
    return TRUE;

  return self->items < self->max_items && self->bytes + size <= self->max_bytes;
}

static inline void
kcp_window_take (KcpWindow *self,
                 gsize      size)
{
  self->items++;
  self->bytes += size;
}

/* FALSE: more is given back than was taken. */
static inline gboolean
kcp_window_give (KcpWindow *self,
                 guint      items,
                 gsize      bytes)
{
  if (items > self->items || bytes > self->bytes)
    return FALSE;

  self->items -= items;
  self->bytes -= bytes;
  return TRUE;
}

G_END_DECLS
