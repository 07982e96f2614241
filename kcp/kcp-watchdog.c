/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-watchdog-private.h"

#include "kcp-debug-private.h"
#include "kcp-socket-directory-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_GRACE_MS 2000

typedef struct
{
  struct pollfd fds[3];   /* both sockets, the host's process */
  int count;
  char *directory;
} Watchdog;

static int grace_ms = DEFAULT_GRACE_MS;

void
kcp_watchdog_set_grace (int milliseconds)
{
  g_atomic_int_set (&grace_ms, MAX (milliseconds, 0));
}

/* Sleeps without anything that a signal or a late wake-up could shorten. */
static void
wait_until (gint64 until)
{
  gint64 left;

  while ((left = until - g_get_monotonic_time ()) > 0)
    poll (NULL, 0, (int) (left / 1000) + 1);
}

static gpointer
run (gpointer data)
{
  Watchdog *self = data;
  int count;

  /* A hang-up, an error and a descriptor that the plugin has closed are reported unasked. */
  do
    count = poll (self->fds, (nfds_t) self->count, -1);
  while (count <= 0);

  KCP_DEBUG (KCP_DEBUG_CHILD, "the host is gone; this child has %d ms", g_atomic_int_get (&grace_ms));
  kcp_socket_directory_sweep_one (self->directory);
  wait_until (g_get_monotonic_time () + (gint64) g_atomic_int_get (&grace_ms) * 1000);

  if (getpgrp () == getpid ())
    kill (0, SIGKILL);
  _exit (1);
}

static int
open_host (int fd)
{
  struct ucred peer;
  socklen_t size = sizeof peer;

  if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0)
    return -1;

  return (int) syscall (SYS_pidfd_open, peer.pid, 0);
}

static void
add (Watchdog *self,
     int       fd,
     short     events)
{
  if (fd >= 0)
    self->fds[self->count++] = (struct pollfd) { fd, events, 0 };
}

/* The thread has descriptors of its own: the numbers of the others may be reused by the plugin. */
void
kcp_watchdog_start (int         request_fd,
                    int         callback_fd,
                    const char *directory)
{
  Watchdog *self = g_new0 (Watchdog, 1);
  sigset_t all, before;

  add (self, fcntl (request_fd, F_DUPFD_CLOEXEC, 3), POLLRDHUP);
  add (self, fcntl (callback_fd, F_DUPFD_CLOEXEC, 3), POLLRDHUP);
  add (self, open_host (request_fd), POLLIN);
  self->directory = g_strdup (directory);

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  g_thread_unref (g_thread_new ("kcp-watchdog", run, self));
  pthread_sigmask (SIG_SETMASK, &before, NULL);
}
