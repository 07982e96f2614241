/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-watchdog-private.h"

#include "kcp-debug-private.h"
#include "kcp-socket-directory-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_GRACE_MS 2000

/* From the end of the sockets to the end of a host that is dying: it closes one after the other. */
#define DYING_MS 200

typedef struct
{
  struct pollfd fds[3];   /* both sockets, the host's process */
  int count;
  int host_fd;            /* its pidfd; -1: none */
  char *directory;
} Watchdog;

static int grace_ms = DEFAULT_GRACE_MS;
static int host_is_gone;        /* atomic */
static Watchdog *the_watchdog;  /* one a process; lives until it ends */

void
kcp_watchdog_set_grace (int milliseconds)
{
  g_atomic_int_set (&grace_ms, MAX (milliseconds, 0));
}

/* The thread and the exit handler must not take each other's lock for the host's. */
static void
sweep (Watchdog *self)
{
  static GMutex mutex;

  g_mutex_lock (&mutex);
  kcp_socket_directory_sweep_one (self->directory);
  g_mutex_unlock (&mutex);
}

/* Sleeps until then, whatever signals come. On the way, when the host is dead and not merely silent,
 * its lock is free, and what it has left is removed. */
static void
wait_until (Watchdog *self,
            gint64    until,
            gboolean  only_for_host)
{
  struct pollfd host = { self->host_fd, POLLIN, 0 };
  gint64 left;

  while ((left = until - g_get_monotonic_time ()) > 0)
    if (poll (&host, 1, (int) (left / 1000) + 1) > 0)
      {
        if (only_for_host)
          break;
        sweep (self);
        host.fd = -1;
      }

  sweep (self);
}

static void
end_group (void)
{
  if (getpgrp () == getpid ())
    kill (0, SIGKILL);
}

/* The last of the exit handlers, being the first one that was registered. */
static void
at_exit (void)
{
  if (!g_atomic_int_get (&host_is_gone) || the_watchdog == NULL)
    return;

  wait_until (the_watchdog, g_get_monotonic_time () + DYING_MS * 1000, TRUE);
  end_group ();
}

void
kcp_watchdog_host_is_gone (void)
{
  g_atomic_int_set (&host_is_gone, TRUE);
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
  wait_until (self, g_get_monotonic_time () + (gint64) g_atomic_int_get (&grace_ms) * 1000, FALSE);

  end_group ();
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
  self->host_fd = open_host (request_fd);
  add (self, self->host_fd, POLLIN);
  self->directory = g_strdup (directory);
  the_watchdog = self;
  atexit (at_exit);

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  g_thread_unref (g_thread_new ("kcp-watchdog", run, self));
  pthread_sigmask (SIG_SETMASK, &before, NULL);
}
