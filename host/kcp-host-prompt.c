/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-prompt.h"

/* Most answers come sooner, and the prompt should not flicker in between. */
#define PATIENCE_MS 150

struct _HostPrompt
{
  HostWriter *writer;
  const HostStyle *style;
  gboolean shown;
  guint timeout;
};

HostPrompt *
host_prompt_new (HostWriter      *writer,
                 const HostStyle *style)
{
  HostPrompt *self = g_new0 (HostPrompt, 1);

  self->writer = writer;
  self->style = style;
  return self;
}

void
host_prompt_free (HostPrompt *self)
{
  g_clear_handle_id (&self->timeout, g_source_remove);
  g_free (self);
}

void
host_prompt_hide (HostPrompt *self)
{
  g_clear_handle_id (&self->timeout, g_source_remove);
  if (!self->shown)
    return;

  /* What was typed but not entered stays with the terminal: only its picture is lost. */
  self->shown = FALSE;
  host_writer_add (self->writer, self->style->color ? "\r\033[K" : "\n", -1);
}

void
host_prompt_taken (HostPrompt *self)
{
  g_clear_handle_id (&self->timeout, g_source_remove);
  self->shown = FALSE;
}

static gboolean
show_now (gpointer user_data)
{
  HostPrompt *self = user_data;
  g_autofree char *text = NULL;

  self->timeout = 0;
  self->shown = TRUE;
  text = g_strdup_printf ("%s%s%s ", host_style_start (self->style, HOST_PAINT_STRONG),
                          self->style->ascii ? ">" : "›", host_style_end (self->style));
  host_writer_add (self->writer, text, -1);
  return G_SOURCE_REMOVE;
}

void
host_prompt_show (HostPrompt *self,
                  gboolean    idle)
{
  if (self->shown)
    return;

  if (idle)
    {
      g_clear_handle_id (&self->timeout, g_source_remove);
      show_now (self);
    }
  else if (self->timeout == 0)
    self->timeout = g_timeout_add (PATIENCE_MS, show_now, self);
}
