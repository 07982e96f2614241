/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-writer.h"

#include <errno.h>
#include <gio/gio.h>
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

  /* Waits for room while there is backlog, and always for the reader to go away. Made once: adding
   * a source for each line costs more than writing the line. */
  GSource *source;
  gpointer tag;
};

typedef struct
{
  GSource source;
  HostWriter *writer;     /* borrowed */
} WriterSource;

void
host_writer_close (HostWriter *self)
{
  self->broken = TRUE;
  self->full = FALSE;
  g_string_truncate (self->backlog, 0);
  self->written = 0;
  if (self->source)
    g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
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
write_some (HostWriter *self,
            gboolean    ready)
{
  gsize left = self->backlog->len - self->written;
  struct pollfd room = { .fd = self->fd, .events = POLLOUT };

  if (!self->is_file)
    {
      if (!ready && poll (&room, 1, 0) == 0)
        return 0;
      left = MIN (left, PIPE_BUF);
    }

  return write (self->fd, self->backlog->str + self->written, left);
}

/* With @ready the descriptor has just been polled. FALSE once it is broken. */
static gboolean
flush (HostWriter *self,
       gboolean    ready)
{
  gsize turn = 0;

  while (self->written < self->backlog->len && turn < TURN)
    {
      gssize n = write_some (self, ready);

      ready = FALSE;
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
writer_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     user_data)
{
  HostWriter *self = ((WriterSource *) source)->writer;
  GIOCondition condition = g_source_query_unix_fd (source, self->tag);

  if (host_writer_get_backlog (self) == 0)
    {
      if (condition & (G_IO_ERR | G_IO_HUP | G_IO_NVAL))
        set_broken (self, NULL);
      return G_SOURCE_CONTINUE;
    }

  if (!flush (self, TRUE))
    return G_SOURCE_CONTINUE;

  if (host_writer_get_backlog (self) == 0)
    g_source_modify_unix_fd (source, self->tag, G_IO_ERR);
  if (host_writer_get_backlog (self) <= LOW_WATER)
    self->full = FALSE;

  /* The last thing done: it may close us. */
  if (!self->full)
    self->funcs->drained (self->data);
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { .dispatch = writer_dispatch };

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

  self->source = g_source_new (&source_funcs, sizeof (WriterSource));
  ((WriterSource *) self->source)->writer = self;
  self->tag = g_source_add_unix_fd (self->source, fd, G_IO_ERR);
  g_source_attach (self->source, NULL);
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
  if (length < 0)
    length = (gssize) strlen (text);
  if (self->broken || length == 0)
    return;

  if (host_writer_get_backlog (self) == 0)
    g_source_modify_unix_fd (self->source, self->tag, G_IO_OUT | G_IO_ERR);

  /* Written in the next turn of the loop, together with what else this turn brings. */
  g_string_append_len (self->backlog, text, length);
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

      if (left <= 0 || poll (&ready, 1, (int) left) <= 0 || !flush (self, TRUE))
        return;
    }
}
