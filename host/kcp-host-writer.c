/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-writer.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Backlog at which the sources of text pause, and the one at which they go on. */
#define HIGH_WATER (1024 * 1024)
#define LOW_WATER (128 * 1024)

/* Written in one dispatch before other sources get their turn. */
#define TURN (1024 * 1024)

struct _HostWriter
{
  int fd;
  gboolean is_file;       /* takes everything at once */
  const HostWriterFuncs *funcs;
  gpointer data;

  GString *backlog;       /* not written, but for the first bytes: */
  gsize written;          /* so many are out already */
  gboolean full;          /* somebody was told to wait: drained() is due */
  gboolean broken;
  guint out_source;       /* waits for room, while there is backlog */
  guint gone_source;      /* notices that nobody reads any more, even while nothing is written */
};

void
host_writer_close (HostWriter *self)
{
  self->broken = TRUE;
  self->full = FALSE;
  g_string_truncate (self->backlog, 0);
  self->written = 0;
  g_clear_handle_id (&self->out_source, g_source_remove);
  g_clear_handle_id (&self->gone_source, g_source_remove);
}

static void
set_broken (HostWriter   *self,
            const GError *error)
{
  if (self->broken)
    return;

  host_writer_close (self);
  self->funcs->broken (self->data, error);
}

/* A pipe that polls as writable takes PIPE_BUF bytes without blocking, no more is certain. */
static gssize
write_some (HostWriter *self)
{
  gsize left = self->backlog->len - self->written;
  struct pollfd ready = { .fd = self->fd, .events = POLLOUT };

  if (!self->is_file)
    {
      if (poll (&ready, 1, 0) == 0)
        return 0;
      left = MIN (left, PIPE_BUF);
    }

  return write (self->fd, self->backlog->str + self->written, left);
}

/* FALSE once it is broken. */
static gboolean
flush (HostWriter *self)
{
  gsize turn = 0;

  while (self->written < self->backlog->len && turn < TURN)
    {
      gssize n = write_some (self);

      if (n > 0)
        {
          self->written += (gsize) n;
          turn += (gsize) n;
        }
      else if (n == 0 || errno == EAGAIN)
        break;
      else if (errno != EINTR)
        {
          int saved = errno;
          g_autoptr (GError) error = NULL;

          if (saved != EPIPE)
            error = g_error_new_literal (G_IO_ERROR, g_io_error_from_errno (saved), g_strerror (saved));
          set_broken (self, error);
          return FALSE;
        }
    }

  if (self->written == self->backlog->len)
    {
      g_string_truncate (self->backlog, 0);
      self->written = 0;
    }
  else if (self->written > HIGH_WATER)
    {
      g_string_erase (self->backlog, 0, (gssize) self->written);
      self->written = 0;
    }

  return TRUE;
}

static gboolean
out_ready (int          fd,
           GIOCondition condition,
           gpointer     user_data)
{
  HostWriter *self = user_data;
  gboolean go_on;

  if (!flush (self))
    return G_SOURCE_REMOVE;

  go_on = host_writer_get_backlog (self) > 0;
  if (!go_on)
    self->out_source = 0;
  if (self->full && host_writer_get_backlog (self) <= LOW_WATER)
    self->full = FALSE;

  /* The last thing done: it may free us. */
  if (!self->full)
    self->funcs->drained (self->data);
  return go_on ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean
reader_gone (int          fd,
             GIOCondition condition,
             gpointer     user_data)
{
  HostWriter *self = user_data;

  self->gone_source = 0;
  set_broken (self, NULL);
  return G_SOURCE_REMOVE;
}

HostWriter *
host_writer_new (int                    fd,
                 const HostWriterFuncs *funcs,
                 gpointer               data)
{
  HostWriter *self = g_new0 (HostWriter, 1);
  struct stat info;

  self->fd = fd;
  self->is_file = fstat (fd, &info) == 0 && S_ISREG (info.st_mode);
  self->funcs = funcs;
  self->data = data;
  self->backlog = g_string_new (NULL);
  if (!self->is_file)
    self->gone_source = g_unix_fd_add (fd, G_IO_ERR, reader_gone, self);
  return self;
}

void
host_writer_free (HostWriter *self)
{
  host_writer_close (self);
  g_string_free (self->backlog, TRUE);
  g_free (self);
}

void
host_writer_add (HostWriter *self,
                 const char *text,
                 gssize      length)
{
  if (self->broken)
    return;

  g_string_append_len (self->backlog, text, length);
  if (self->out_source != 0 || !flush (self))
    return;

  if (host_writer_get_backlog (self) > 0)
    self->out_source = g_unix_fd_add (self->fd, G_IO_OUT, out_ready, self);
}

gsize
host_writer_get_backlog (HostWriter *self)
{
  return self->backlog->len - self->written;
}

gboolean
host_writer_is_full (HostWriter *self)
{
  if (host_writer_get_backlog (self) > HIGH_WATER)
    self->full = TRUE;
  return self->full;
}

void
host_writer_drain (HostWriter *self,
                   int         milliseconds)
{
  gint64 deadline = g_get_monotonic_time () + (gint64) milliseconds * 1000;

  while (!self->broken && host_writer_get_backlog (self) > 0)
    {
      gint64 left = (deadline - g_get_monotonic_time ()) / 1000;
      struct pollfd ready = { .fd = self->fd, .events = POLLOUT };

      if (left <= 0 || poll (&ready, 1, (int) left) <= 0 || !flush (self))
        return;
    }
}
