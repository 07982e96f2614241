/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-reader.h"

#include <string.h>

#define CHUNK (64 * 1024)

struct _HostReader
{
  GInputStream *stream;
  GCancellable *cancellable;
  const HostReaderFuncs *funcs;
  gpointer data;
  gsize max_line;

  GByteArray *pending;   /* read, not handed out yet, but for the first bytes: */
  gsize taken;           /* so many are handed out already */
  gsize scanned;         /* bytes after those known to hold no line end */
  guint8 chunk[CHUNK];

  gboolean paused;
  gboolean reading;      /* a read is in flight: it holds a reference */
  gboolean pumping;      /* lines are being handed out: not again from inside */
  gboolean skipping;     /* the rest of a line that was too long */
  gboolean at_end;
  gboolean ended;
  gboolean closed;
  GError *error;
};

static void pump (HostReader *self);

static void
reader_clear (gpointer data)
{
  HostReader *self = data;

  g_clear_object (&self->stream);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->pending, g_byte_array_unref);
  g_clear_error (&self->error);
}

static void
reader_unref (HostReader *self)
{
  g_rc_box_release_full (self, reader_clear);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HostReader, reader_unref)

static void
read_done (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  g_autoptr (HostReader) self = user_data;
  g_autoptr (GError) error = NULL;
  gssize n = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);

  self->reading = FALSE;
  if (self->closed)
    return;

  if (n > 0)
    {
      g_byte_array_remove_range (self->pending, 0, (guint) self->taken);
      self->taken = 0;
      g_byte_array_append (self->pending, self->chunk, (guint) n);
    }
  else
    {
      self->at_end = TRUE;
      self->error = g_steal_pointer (&error);
    }
  pump (self);
}

/* Takes the next @length bytes of pending, and the line end behind them if there is one. */
static void
hand_out (HostReader *self,
          gsize       length,
          gsize       line_end)
{
  g_autofree char *line = NULL;
  gboolean too_long = self->skipping || length > self->max_line;

  if (!too_long)
    {
      line = g_malloc (length + 1);
      memcpy (line, self->pending->data + self->taken, length);
      line[length] = '\0';
    }

  /* First our own state, then the world: it may pause or close us. */
  self->taken += length + line_end;
  self->scanned = 0;
  self->skipping = FALSE;
  self->funcs->line (self->data, line, too_long ? 0 : length);
}

/* Whether there was a line. */
static gboolean
next_line (HostReader *self)
{
  guint8 *start = self->pending->data + self->taken;
  gsize length = self->pending->len - self->taken;
  guint8 *end = length > self->scanned ? memchr (start + self->scanned, '\n', length - self->scanned) : NULL;

  if (end)
    {
      hand_out (self, (gsize) (end - start), 1);
      return TRUE;
    }

  if (self->skipping || length > self->max_line)
    {
      self->skipping = TRUE;
      g_byte_array_set_size (self->pending, 0);
      self->taken = length = 0;
    }
  self->scanned = length;

  /* The last line may come without an end. */
  if (self->at_end && (length > 0 || self->skipping))
    {
      hand_out (self, length, 0);
      return TRUE;
    }

  return FALSE;
}

static void
pump (HostReader *self)
{
  g_autoptr (HostReader) alive = g_rc_box_acquire (self);

  if (self->pumping)
    return;

  self->pumping = TRUE;
  while (!self->paused && !self->closed && next_line (self))
    ;
  self->pumping = FALSE;

  if (self->paused || self->closed)
    return;

  if (!self->at_end)
    {
      if (self->reading)
        return;
      self->reading = TRUE;
      g_input_stream_read_async (self->stream, self->chunk, CHUNK, G_PRIORITY_DEFAULT, self->cancellable,
                                 read_done, g_rc_box_acquire (self));
    }
  else if (!self->ended)
    {
      self->ended = TRUE;
      self->funcs->ended (self->data, self->error);
    }
}

HostReader *
host_reader_new (GInputStream          *stream,
                 gsize                  max_line,
                 const HostReaderFuncs *funcs,
                 gpointer               data)
{
  HostReader *self = g_rc_box_new0 (HostReader);

  self->stream = g_object_ref (stream);
  self->cancellable = g_cancellable_new ();
  self->funcs = funcs;
  self->data = data;
  self->max_line = max_line;
  self->pending = g_byte_array_new ();
  self->paused = TRUE;
  return self;
}

void
host_reader_set_paused (HostReader *self,
                        gboolean    paused)
{
  if (self->paused == paused)
    return;

  self->paused = paused;
  if (!paused)
    pump (self);
}

void
host_reader_close (HostReader *self)
{
  self->closed = TRUE;
  g_cancellable_cancel (self->cancellable);
  reader_unref (self);
}
