/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-socket-private.h"

#include "kcp-error.h"

#include <errno.h>
#include <sys/socket.h>

/* A megabyte message goes over in a few sends instead of hundreds. */
#define SEND_BUFFER (1024 * 1024)

void
kcp_socket_prepare (GSocket *socket)
{
  int size = SEND_BUFFER;

  g_socket_set_blocking (socket, FALSE);
  /* Where the system allows less, less it is. */
  setsockopt (g_socket_get_fd (socket), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

gboolean
kcp_socket_get_peer (GSocket  *socket,
                     KcpPeer  *peer,
                     GError  **error)
{
  struct ucred credentials;
  socklen_t size = sizeof credentials;

  if (getsockopt (g_socket_get_fd (socket), SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_PERMISSION,
                   "cannot tell who is at the other end of the socket: %s", g_strerror (errno));
      return FALSE;
    }

  peer->pid = credentials.pid;
  peer->uid = credentials.uid;
  return TRUE;
}
