/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-output-private.h"

#include <errno.h>
#include <glib-unix.h>
#include <unistd.h>

#define TAIL_SIZE (64 * 1024)
#define LINE_LIMIT 4096
#define READ_SIZE (16 * 1024)
/* More than a pipe holds; a child that goes on printing does not keep us here. */
#define DRAIN_READS 128

struct _KcpOutput
{
  int fd;
  GSource *source;
  KcpOutputLine func;    /* NULL: nobody listens any more */
  gpointer data;
  guint busy;            /* how deep in reading it is: its listener may free it */
  GString *line;         /* unfinished */
  char *tail;            /* a ring of TAIL_SIZE */
  gsize written;         /* all that ever came */
};

KcpOutput *
kcp_output_new (int            fd,
                KcpOutputLine  func,
                gpointer       data)
{
  KcpOutput *self = g_new0 (KcpOutput, 1);

  self->fd = fd;
  self->func = func;
  self->data = data;
  self->line = g_string_new (NULL);
  return self;
}

void
kcp_output_close (KcpOutput *self)
{
  if (self->source)
    g_source_destroy (self->source);
  g_clear_pointer (&self->source, g_source_unref);
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
}

void
kcp_output_free (KcpOutput *self)
{
  kcp_output_close (self);
  self->func = NULL;
  if (self->busy > 0)
    return;

  g_string_free (self->line, TRUE);
  g_free (self->tail);
  g_free (self);
}

int
kcp_output_get_fd (KcpOutput *self)
{
  return self->fd;
}

static void
tell_line (KcpOutput *self)
{
  g_autofree char *text = g_utf8_make_valid (self->line->str, (gssize) self->line->len);

  g_string_truncate (self->line, 0);
  if (self->func)
    self->func (text, self->data);
}

static void
take_lines (KcpOutput  *self,
            const char *bytes,
            gsize       size)
{
  for (gsize i = 0; i < size;)
    {
      const char *newline = memchr (bytes + i, '\n', size - i);
      gsize length = newline ? (gsize) (newline - (bytes + i)) : size - i;
      gsize room = LINE_LIMIT - self->line->len;

      if (length > room)
        {
          g_string_append_len (self->line, bytes + i, (gssize) room);
          i += room;
          tell_line (self);
          continue;
        }

      g_string_append_len (self->line, bytes + i, (gssize) length);
      i += length;
      if (newline)
        {
          i++;
          tell_line (self);
        }
    }
}

static void
keep_tail (KcpOutput  *self,
           const char *bytes,
           gsize       size)
{
  if (self->tail == NULL)
    self->tail = g_malloc (TAIL_SIZE);

  while (size > 0)
    {
      gsize at = self->written % TAIL_SIZE;
      gsize count = MIN (size, TAIL_SIZE - at);

      memcpy (self->tail + at, bytes, count);
      self->written += count;
      bytes += count;
      size -= count;
    }
}

static gboolean
read_some (KcpOutput *self)
{
  char buffer[READ_SIZE];
  gssize count;

  if (self->fd < 0)
    return FALSE;

  do
    count = read (self->fd, buffer, sizeof buffer);
  while (count < 0 && errno == EINTR);

  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return FALSE;
  if (count <= 0)
    {
      kcp_output_close (self);
      if (self->line->len > 0)
        tell_line (self);
      return FALSE;
    }

  keep_tail (self, buffer, (gsize) count);
  take_lines (self, buffer, (gsize) count);
  return TRUE;
}

gboolean
kcp_output_read (KcpOutput *self)
{
  gboolean more;

  self->busy++;
  more = read_some (self);
  self->busy--;

  if (self->func)
    return more;

  /* It was freed meanwhile. */
  if (self->busy == 0)
    kcp_output_free (self);
  return FALSE;
}

void
kcp_output_drain (KcpOutput *self)
{
  for (int i = 0; i < DRAIN_READS && kcp_output_read (self); i++)
    ;
}

static gboolean
on_readable (int           fd,
             GIOCondition  condition,
             gpointer      data)
{
  kcp_output_read (data);

  /* At its end it has destroyed this source itself. */
  return G_SOURCE_CONTINUE;
}

void
kcp_output_attach (KcpOutput    *self,
                   GMainContext *context)
{
  if (self->fd < 0)
    return;

  self->source = g_unix_fd_source_new (self->fd, G_IO_IN);
  g_source_set_callback (self->source, G_SOURCE_FUNC (on_readable), self, NULL);
  g_source_set_can_recurse (self->source, TRUE);
  g_source_attach (self->source, context);
}

char *
kcp_output_get_tail (KcpOutput *self)
{
  gsize size = MIN (self->written, TAIL_SIZE);
  gsize at = self->written % TAIL_SIZE;
  g_autofree char *text = g_malloc (size + 1);

  if (self->written > TAIL_SIZE)
    {
      memcpy (text, self->tail + at, TAIL_SIZE - at);
      memcpy (text + TAIL_SIZE - at, self->tail, at);
    }
  else if (size > 0)
    memcpy (text, self->tail, size);
  text[size] = '\0';

  return g_utf8_make_valid (text, (gssize) size);
}
