/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-stub-private.h"

#include "kcp-error.h"
#include "kcp-socket-private.h"
#include "kcp-version.h"

#include <gio/gunixsocketaddress.h>
#include <unistd.h>

/* The host has a deadline of its own for the whole start; this only ends a stub that nobody
 * will ever answer. */
#define PATIENCE_US (60 * G_USEC_PER_SEC)

static GSocketConnection *
connect_to (const char  *path,
            GError     **error)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GSocket) socket = NULL;
  KcpPeer peer;

  /* Not by a GSocketClient: that would look for proxies, in a thread that then stays for good. */
  socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
  if (socket == NULL || !g_socket_connect (socket, address, NULL, error))
    {
      g_prefix_error (error, "%s: ", path);
      return NULL;
    }
  connection = g_socket_connection_factory_create_connection (socket);

  /* Someone else's listener in the place of ours must not get the token. */
  if (!kcp_socket_get_peer (g_socket_connection_get_socket (connection), &peer, error))
    return NULL;
  if (peer.uid != geteuid ())
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_PERMISSION,
                   "the listener belongs to user %u, this is user %u", peer.uid, (guint) geteuid ());
      return NULL;
    }

  kcp_socket_prepare (g_socket_connection_get_socket (connection));
  return g_steal_pointer (&connection);
}

static gboolean
wait_for (int           fd,
          GIOCondition  condition,
          gint64        until,
          GError      **error)
{
  GPollFD poll_fd = { fd, condition, 0 };
  gint64 left = until - g_get_monotonic_time ();

  if (left > 0 && g_poll (&poll_fd, 1, (int) (left / 1000) + 1) != 0)
    return TRUE;

  g_set_error_literal (error, KCP_ERROR, KCP_ERROR_HANDSHAKE_TIMED_OUT, "the host said nothing");
  return FALSE;
}

/* Reads one frame, which has to be a HELLO. */
static gboolean
read_hello (int              fd,
            KcpFrameReader  *reader,
            KcpHello        *hello,
            GError         **error)
{
  gint64 until = g_get_monotonic_time () + PATIENCE_US;

  for (;;)
    {
      g_auto (KcpFrame) frame = { .body = NULL };

      switch (kcp_frame_reader_take (reader, &frame, error))
        {
        case KCP_TAKE_ERROR:
          return FALSE;
        case KCP_TAKE_FRAME:
          if (frame.header.kind == KCP_FRAME_HELLO)
            return kcp_hello_decode (frame.body, hello, error);
          g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "%s frame where a HELLO was expected",
                       kcp_frame_kind_to_string (frame.header.kind));
          return FALSE;
        case KCP_TAKE_MORE:
        default:
          break;
        }

      switch (kcp_frame_reader_fill (reader, fd, error))
        {
        case KCP_FILL_EOF:
          g_set_error_literal (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED, "the host has hung up");
          return FALSE;
        case KCP_FILL_ERROR:
          return FALSE;
        case KCP_FILL_AGAIN:
          if (!wait_for (fd, G_IO_IN, until, error))
            return FALSE;
          break;
        case KCP_FILL_DATA:
        default:
          break;
        }
    }
}

static gboolean
write_hello (int              fd,
             const KcpHello  *hello,
             GError         **error)
{
  g_autoptr (KcpFrameWriter) writer = kcp_frame_writer_new ();
  g_autoptr (GBytes) body = kcp_hello_encode (hello);

  kcp_frame_writer_push (writer, KCP_FRAME_HELLO, 0, 0, NULL, 0, body);
  switch (kcp_frame_writer_flush (writer, fd, error))
    {
    case KCP_FLUSH_DONE:
      return TRUE;
    case KCP_FLUSH_ERROR:
      return FALSE;
    case KCP_FLUSH_BLOCKED:   /* a new socket holds a HELLO many times over */
    case KCP_FLUSH_CLOSED:
    default:
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED, "the host has hung up");
      return FALSE;
    }
}

/* The host speaks first. Even if it speaks another version it gets an answer, so that it can
 * say to its user which versions met. */
gboolean
kcp_stub_connect (KcpSocketRole   role,
                  const char     *path,
                  const char     *token,
                  KcpLinkSocket  *socket,
                  KcpTerms       *terms,
                  GError        **error)
{
  g_autoptr (GSocketConnection) connection = connect_to (path, error);
  g_autoptr (KcpFrameReader) reader = kcp_frame_reader_new (KCP_FRAME_HELLO_LIMIT);
  g_auto (KcpHello) theirs = { .program = NULL };
  KcpHello ours = {
    .from_child = TRUE,
    .socket = role,
    .protocol_min = KCP_PROTOCOL_MIN,
    .protocol_max = KCP_PROTOCOL_MAX,
    .program = (char *) "kcp-child " KCP_VERSION_STRING,
    .token = (char *) token,
    .pid = getpid (),
    .frame_limit = KCP_FRAME_DEFAULT_LIMIT,
    .credit = TRUE,
    .fds = TRUE,
  };
  int fd;

  if (connection == NULL)
    return FALSE;

  fd = g_socket_get_fd (g_socket_connection_get_socket (connection));
  if (!read_hello (fd, reader, &theirs, error))
    return FALSE;

  /* What this side announces is what it enforces; the host may allow more than the
   * default. Streams are read with the window that the host has, too. */
  ours.frame_limit = MAX (ours.frame_limit, theirs.frame_limit);
  ours.stream_items = theirs.stream_items;
  ours.stream_bytes = theirs.stream_bytes;
  if (!write_hello (fd, &ours, error) || !kcp_hello_agree (&ours, &theirs, terms, error))
    return FALSE;

  socket->connection = g_steal_pointer (&connection);
  socket->reader = g_steal_pointer (&reader);
  return TRUE;
}
