/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-frame-send-private.h"

#include "kcp-error.h"

#include <errno.h>
#include <gio/gunixfdlist.h>
#include <sys/socket.h>

/* How long to rest where the socket can be written and takes no descriptors. */
#define FDS_REST_US 1000

typedef union
{
  struct cmsghdr align;
  char space[CMSG_SPACE (sizeof (int) * KCP_FRAME_FD_LIMIT)];
} Control;

/* FALSE: the list has not what its frame announces. */
static gboolean
attach_fds (struct msghdr *message,
            Control       *control,
            GUnixFDList   *list,
            guint          expected)
{
  struct cmsghdr *header;
  const int *fds;
  int length;
  gsize size;

  fds = g_unix_fd_list_peek_fds (list, &length);
  if ((guint) length != expected || expected > KCP_FRAME_FD_LIMIT)
    return FALSE;

  size = sizeof (int) * expected;
  memset (control, 0, sizeof *control);
  message->msg_control = control;
  message->msg_controllen = CMSG_SPACE (size);
  header = CMSG_FIRSTHDR (message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN (size);
  memcpy (CMSG_DATA (header), fds, size);
  return TRUE;
}

static KcpFlush
judge (int       reason,
       GError  **error)
{
  if (reason == EAGAIN || reason == EWOULDBLOCK || reason == ENOBUFS)
    return KCP_FLUSH_BLOCKED;
  if (reason == EPIPE || reason == ECONNRESET)
    return KCP_FLUSH_CLOSED;

  /* This user has as many descriptors on their way as he may have; they get fewer when those who
   * get them read. No poll tells when, it finds the socket writable all the time: rest a moment
   * here, or the loop would spin. */
  if (reason == ETOOMANYREFS)
    {
      g_usleep (FDS_REST_US);
      return KCP_FLUSH_BLOCKED;
    }

  g_set_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED,
               "cannot write to the socket: %s", g_strerror (reason));
  return KCP_FLUSH_ERROR;
}

KcpFlush
kcp_frame_send (int                  fd,
                struct iovec        *vectors,
                guint                n_vectors,
                GUnixFDList         *fds,
                guint                n_fds,
                gsize               *sent,
                GError             **error)
{
  struct msghdr message = { .msg_iov = vectors, .msg_iovlen = n_vectors };
  Control control;
  gssize count;

  /* The announcement cannot be taken back: the other side could only take what comes next for it. */
  if (fds && !attach_fds (&message, &control, fds, n_fds))
    {
      g_set_error_literal (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED,
                           "a message was changed after it was sent: its descriptors are gone");
      return KCP_FLUSH_ERROR;
    }

  do
    count = sendmsg (fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (count < 0 && errno == EINTR);
  if (count < 0)
    return judge (errno, error);

  *sent = (gsize) count;
  return KCP_FLUSH_DONE;
}
