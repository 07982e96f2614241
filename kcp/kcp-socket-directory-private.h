/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* The private directory, mode 0700, in which a host has its sockets: one for each host process,
 * made at the first spawn and removed with the last child. A lock file in it is held by the host
 * as long as it lives; a directory whose lock is free belonged to a host that was killed, and is
 * swept by the next. Also used by the stub, for the directory of a host that is gone. */
typedef struct _KcpSocketDirectory KcpSocketDirectory;

/* The one of this process; NULL with KCP_ERROR_SPAWN_FAILED. Any thread. */
KcpSocketDirectory *kcp_socket_directory_get       (GError             **error);
void                kcp_socket_directory_unref     (KcpSocketDirectory  *self);

/* A path for a new socket, short enough for sun_path. */
char               *kcp_socket_directory_new_path  (KcpSocketDirectory  *self,
                                                    const char          *suffix);

/* Removes @path and what is in it if no live host holds its lock. */
gboolean            kcp_socket_directory_sweep_one (const char          *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpSocketDirectory, kcp_socket_directory_unref)

G_END_DECLS
