/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-conversation.h"
#include "kcp-host-answer.h"
#include "kcp-host-calls.h"
#include "kcp-host-prompt.h"
#include "kcp-host-reader.h"
#include "kcp-host-request.h"
#include "kcp-host-writer.h"

#include <string.h>

/* The longest line is this, or what a message of the frame limit may take with all its characters
 * escaped. */
#define MAX_LINE (64 * 1024 * 1024)
#define LINE_FACTOR 6

/* For how long output that nobody takes may hold up the end of an interrupted run. */
#define LAST_WORDS_MS 500

struct _HostConversation
{
  const HostConversationFuncs *funcs;
  gpointer data;

  HostReader *reader;
  HostWriter *writer;
  const HostStyle *style;
  HostPrompt *prompt;
  HostCallbackLines *callbacks;   /* NULL if they are not passed on */
  HostCalls *calls;

  guint64 n_lines;
  guint64 n_bad;
  gboolean ready;                 /* there is an actor */
  gboolean input_ended;
  gboolean done;                  /* told so */
  gboolean broken;                /* the same */
};

static void update (HostConversation *self);

/* ---- output ---- */

/* Takes @text. */
static void
emit (gpointer  data,
      char     *text)
{
  HostConversation *self = data;

  if (self->prompt)
    host_prompt_hide (self->prompt);
  host_writer_add (self->writer, text, -1);
  g_free (text);
}

/* A callback that is open lets more lines be read: the answer is among them. */
static void
emit_callback (gpointer  data,
               char     *text)
{
  emit (data, text);
  update (data);
}

/* ---- input ---- */

static void
complain_line (HostConversation *self,
               const char       *id,
               const GError     *error)
{
  self->n_bad++;
  emit (self, host_answer_error (self->style, id, self->n_lines, error));
}

static gboolean
is_blank (const char *line)
{
  return line[strspn (line, " \t\r")] == '\0';
}

static void
take_line (HostConversation *self,
           const char       *text,
           gsize             length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HostRequest) line = NULL;
  g_autofree char *id = NULL;

  if (text == NULL)
    g_set_error_literal (&error, KCP_ERROR, KCP_ERROR_TOO_LARGE, "the line is too long");
  else if (is_blank (text) && strlen (text) == length)
    return;
  else
    line = host_request_parse (text, length, &id, &error);

  if (line == NULL)
    {
      complain_line (self, id, error);
      return;
    }

  switch (line->kind)
    {
    case HOST_REQUEST_CALL:
    case HOST_REQUEST_TELL:
      /* Without the id: the complaint must not look like the answer to the other call. */
      if (!host_calls_take (self->calls, line, self->n_lines, length, &error))
        complain_line (self, NULL, error);
      return;

    case HOST_REQUEST_CANCEL:
      host_calls_cancel (self->calls, line->id);
      return;

    case HOST_REQUEST_CALLBACK_REPLY:
    case HOST_REQUEST_CALLBACK_ITEM:
    case HOST_REQUEST_CALLBACK_ERROR:
    default:
      if (self->callbacks == NULL)
        g_set_error_literal (&error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                             "callbacks are not passed on here: --callbacks does that");
      else
        host_callback_lines_answer (self->callbacks, line, &error);
      if (error)
        complain_line (self, NULL, error);
    }
}

static void
line_read (gpointer    data,
           const char *text,
           gsize       length)
{
  HostConversation *self = data;

  if (self->input_ended)
    return;

  self->n_lines++;
  if (self->prompt)
    host_prompt_taken (self->prompt);
  take_line (self, text, length);
  update (self);
}

static void
input_over (gpointer      data,
            const GError *error)
{
  HostConversation *self = data;

  if (error)
    {
      self->n_bad++;
      host_complain_error ("stdin", error);
    }
  host_conversation_end_input (self, FALSE);
}

static const HostReaderFuncs reader_funcs = { line_read, input_over };

/* ---- flow ---- */

/* After each event: what goes on, what pauses, and whether it is over. */
static void
update (HostConversation *self)
{
  guint n_open;
  gboolean many;

  host_calls_pump (self->calls);
  n_open = host_calls_get_n_open (self->calls);

  if (self->ready && self->input_ended && n_open == 0 && host_writer_get_backlog (self->writer) == 0)
    {
      if (!self->done)
        {
          self->done = TRUE;
          self->funcs->done (self->data);
        }
      return;
    }

  if (self->input_ended)
    return;

  if (self->prompt && self->ready)
    host_prompt_show (self->prompt, n_open == 0);

  /* Calls in flight may wait for answers to callbacks, and those come as lines, too. */
  many = n_open >= HOST_CALLS_MAX_IN_FLIGHT &&
         (self->callbacks == NULL || host_callback_lines_get_n_open (self->callbacks) == 0);

  /* Last: it may bring the next line, and so come here again. */
  host_reader_set_paused (self->reader, many || host_writer_is_full (self->writer));
}

static void
changed (gpointer data)
{
  update (data);
}

static const HostCallsFuncs calls_funcs = { emit, changed };

static void
writer_drained (gpointer data)
{
  update (data);
}

static void
writer_broken (gpointer      data,
               const GError *error)
{
  HostConversation *self = data;

  if (self->broken)
    return;

  self->broken = TRUE;
  self->funcs->broken (self->data, error);
}

static const HostWriterFuncs writer_funcs = { writer_drained, writer_broken };

/* ---- from outside ---- */

HostConversation *
host_conversation_new (HostSession                 *session,
                       GInputStream                *input,
                       int                          output,
                       const HostStyle             *style,
                       gboolean                     prompt,
                       const HostConversationFuncs *funcs,
                       gpointer                     data)
{
  HostConversation *self = g_new0 (HostConversation, 1);
  gsize max_line = MAX (MAX_LINE, LINE_FACTOR * session->options->frame_limit);

  self->funcs = funcs;
  self->data = data;
  self->style = style;
  self->reader = host_reader_new (input, max_line, &reader_funcs, self);
  self->writer = host_writer_new (output, &writer_funcs, self);
  if (style && prompt)
    self->prompt = host_prompt_new (self->writer, style);
  self->calls = host_calls_new (self->writer, style, session->options->timeout_ms, &calls_funcs, self);

  if (session->options->callback_lines)
    {
      self->callbacks = host_callback_lines_new (style, emit_callback, self);
      kcp_callback_router_set_fallback (session->router, KCP_CALLBACK_HANDLER (self->callbacks));
    }

  return self;
}

void
host_conversation_free (HostConversation *self)
{
  host_writer_drain (self->writer, LAST_WORDS_MS);
  host_reader_close (self->reader);
  if (self->callbacks)
    host_callback_lines_close (self->callbacks);
  g_clear_object (&self->callbacks);
  host_calls_close (self->calls);
  g_clear_pointer (&self->prompt, host_prompt_free);
  host_writer_free (self->writer);
  g_free (self);
}

void
host_conversation_begin (HostConversation *self)
{
  update (self);
}

void
host_conversation_set_actor (HostConversation *self,
                             KcpActor         *actor)
{
  self->ready = TRUE;
  host_calls_set_actor (self->calls, actor);
  update (self);
}

void
host_conversation_end_input (HostConversation *self,
                             gboolean          drain)
{
  if (self->input_ended)
    return;

  self->input_ended = TRUE;
  host_reader_set_paused (self->reader, !drain);
  if (self->prompt)
    host_prompt_hide (self->prompt);
  if (self->callbacks)
    host_callback_lines_close (self->callbacks);
  update (self);
}

void
host_conversation_close_output (HostConversation *self)
{
  self->broken = TRUE;
  host_writer_close (self->writer);
}

void
host_conversation_cancel_all (HostConversation *self)
{
  host_calls_cancel_all (self->calls);
}

void
host_conversation_print (HostConversation *self,
                         const char       *text)
{
  emit (self, g_strdup (text));
}

void
host_conversation_make_way (HostConversation *self)
{
  if (self->prompt == NULL || self->input_ended)
    return;

  host_prompt_hide (self->prompt);
  host_writer_drain (self->writer, LAST_WORDS_MS);
  host_prompt_show (self->prompt, FALSE);
}

guint64
host_conversation_get_n_failed (HostConversation *self)
{
  return host_calls_get_n_failed (self->calls);
}

guint64
host_conversation_get_n_bad (HostConversation *self)
{
  return self->n_bad;
}
