/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-frame-private.h"

#include <sys/uio.h>

G_BEGIN_DECLS

typedef enum
{
  KCP_FLUSH_DONE,
  KCP_FLUSH_BLOCKED,   /* the socket is full; flush again when it can be written */
  KCP_FLUSH_CLOSED,    /* nobody reads any more */
  KCP_FLUSH_ERROR,
} KcpFlush;

/* One send, of which @sent says how much has left; that is more than nothing with KCP_FLUSH_DONE
 * only. With the first byte leaves what is in @fds (nullable), which has to be @n_fds. Never blocks,
 * never raises SIGPIPE. */
KcpFlush kcp_frame_send (int                  fd,
                         struct iovec        *vectors,
                         guint                n_vectors,
                         GUnixFDList         *fds,
                         guint                n_fds,
                         gsize               *sent,
                         GError             **error);

G_END_DECLS
