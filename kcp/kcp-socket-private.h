/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* What both ends do to a connected socket, and want to know about the process behind it. */

typedef struct
{
  int pid;
  guint uid;
} KcpPeer;

void     kcp_socket_prepare  (GSocket  *socket);

/* SO_PEERCRED, see unix(7). */
gboolean kcp_socket_get_peer (GSocket  *socket,
                              KcpPeer  *peer,
                              GError  **error);

G_END_DECLS
