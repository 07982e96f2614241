/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-json.h"
#include "kcp-host-request.h"
#include "kcp-host-verbs.h"
#include "kcp-host-writer.h"

#include <gio/gunixinputstream.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

/* For how long output that nobody takes may hold up an interrupted run. */
#define LAST_WORDS_MS 500

/* kcp-host PLUGIN call PATH [JSON|-|@FILE] */
typedef struct
{
  HostSession *session;
  char *path;
  JsonNode *body;
  HostWriter *writer;
  GCancellable *cancellable;
  KcpStream *stream;
  gboolean reading;          /* a next_async() is in flight */
  gboolean ended;
  int exit_status;
} Call;

static void next (Call *self);

/* ---- the arguments ---- */

static gboolean
read_body (const char  *text,
           JsonNode   **body,
           GError     **error)
{
  g_autofree char *content = NULL;
  gsize length;

  if (text == NULL)
    return TRUE;

  if (strcmp (text, "-") == 0)
    {
      g_autoptr (GInputStream) input = g_unix_input_stream_new (STDIN_FILENO, FALSE);
      g_autoptr (GOutputStream) memory = g_memory_output_stream_new_resizable ();

      if (g_output_stream_splice (memory, input, G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET, NULL, error) < 0)
        return FALSE;
      length = g_memory_output_stream_get_data_size (G_MEMORY_OUTPUT_STREAM (memory));
      content = g_memory_output_stream_steal_data (G_MEMORY_OUTPUT_STREAM (memory));
    }
  else if (*text == '@')
    {
      if (!g_file_get_contents (text + 1, &content, &length, error))
        return FALSE;
    }
  else
    {
      content = g_strdup (text);
      length = strlen (text);
    }

  *body = kcp_json_parse (content ? content : "", (gssize) length, error);
  if (*body == NULL)
    g_prefix_error (error, _("the body is not JSON: "));
  return *body != NULL;
}

/* ---- the output ---- */

static void
finish_if_written (Call *self)
{
  if (self->ended && host_writer_get_backlog (self->writer) == 0)
    host_session_finish (self->session, self->exit_status);
}

static void
end (Call *self,
     int   exit_status)
{
  if (self->ended)
    return;

  self->ended = TRUE;
  self->exit_status = exit_status;
  finish_if_written (self);
}

static void
writer_drained (gpointer data)
{
  Call *self = data;

  finish_if_written (self);
  next (self);
}

static void
writer_broken (gpointer      data,
               const GError *error)
{
  Call *self = data;

  if (error)
    host_complain_error (_("the output cannot be written"), error);
  g_cancellable_cancel (self->cancellable);
  self->ended = TRUE;
  host_session_finish (self->session, error ? HOST_EXIT_CONNECTION : HOST_EXIT_OK);
}

static const HostWriterFuncs writer_funcs = { writer_drained, writer_broken };

/* FALSE with an error if the body is broken. */
static gboolean
print_body (Call        *self,
            KcpMessage  *message,
            GError     **error)
{
  const HostStyle *style = &self->session->out;
  g_autofree char *text = NULL;
  JsonNode *body;

  if (kcp_message_get_content_type (message) && !style->terminal)
    {
      GBytes *bytes = kcp_message_get_body_bytes (message, error);

      /* What is no JSON goes to a file or a program as it is. */
      if (bytes)
        host_writer_add (self->writer, g_bytes_get_data (bytes, NULL), (gssize) g_bytes_get_size (bytes));
      return bytes != NULL;
    }

  if (kcp_message_get_content_type (message))
    {
      g_autofree char *type = host_text_clean (kcp_message_get_content_type (message));
      GBytes *bytes = kcp_message_get_body_bytes (message, error);
      g_autofree char *size = NULL;

      if (bytes == NULL)
        return FALSE;
      size = g_format_size (g_bytes_get_size (bytes));
      text = g_strdup_printf (_("(%s of %s)"), size, type);
    }
  else
    {
      body = kcp_message_get_body (message, error);
      if (body == NULL)
        return FALSE;
      text = style->terminal || style->color ? host_json_render (body, style, 0, 0)
                                             : kcp_json_to_string (body, error);
      if (text == NULL)
        return FALSE;
    }

  host_writer_add (self->writer, text, -1);
  host_writer_add (self->writer, "\n", 1);
  return TRUE;
}

static gboolean
print_end (Call        *self,
           GError     **error)
{
  KcpMessage *result = kcp_stream_get_result (self->stream);

  if (result == NULL)
    return TRUE;

  if (kcp_message_get_content_type (result) == NULL)
    {
      JsonNode *body = kcp_message_get_body (result, error);

      if (body == NULL || JSON_NODE_HOLDS_NULL (body))
        return body != NULL;
    }

  return print_body (self, result, error);
}

/* ---- the call ---- */

static void
next_done (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  Call *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) item = kcp_stream_next_finish (KCP_STREAM (source), result, &error);

  self->reading = FALSE;
  if (self->ended)
    return;

  if (item && print_body (self, item, &error))
    next (self);
  else if (item == NULL && error == NULL && print_end (self, &error))
    end (self, HOST_EXIT_OK);

  if (error)
    {
      HostExit status = host_exit_for_call (error);

      /* How a child died is told when all is known about it. The library's own complaints name the
       * call, those of a plugin do not. */
      if (status != HOST_EXIT_INTERRUPTED && status != HOST_EXIT_CHILD_DIED)
        host_complain_error (g_str_has_prefix (error->message, "call “") ? NULL : self->path, error);
      end (self, status);
    }
}

static void
next (Call *self)
{
  if (self->ended || self->reading || self->stream == NULL || host_writer_is_full (self->writer))
    return;

  self->reading = TRUE;
  kcp_stream_next_async (self->stream, NULL, next_done, self);
}

/* ---- the verb ---- */

static gboolean
prepare (HostSession  *session,
         char        **args,
         GError      **error)
{
  guint n = g_strv_length (args);
  g_autoptr (JsonNode) body = NULL;
  Call *self;

  if (n < 1 || n > 2)
    {
      g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                           n < 1 ? _("“call” wants a path") : _("“call” takes a path and one body"));
      return FALSE;
    }

  if (!host_path_check (args[0], error) || !read_body (args[1], &body, error))
    return FALSE;

  self = g_new0 (Call, 1);
  self->session = session;
  self->path = g_strdup (args[0]);
  self->body = g_steal_pointer (&body);
  self->cancellable = g_cancellable_new ();
  self->writer = host_writer_new (STDOUT_FILENO, &writer_funcs, self);
  session->data = self;
  return TRUE;
}

static void
ready (HostSession *session)
{
  Call *self = session->data;
  g_autoptr (KcpMessage) message = NULL;

  message = host_session_new_message (session, self->path, g_steal_pointer (&self->body));
  self->stream = kcp_actor_ask_stream (session->actor, message, self->cancellable);
  next (self);
}

static gboolean
interrupted (HostSession *session,
             int          signal_number)
{
  Call *self = session->data;

  g_cancellable_cancel (self->cancellable);
  return FALSE;
}

/* The call's own error says more, and comes first or is on its way. */
static void
exited (HostSession   *session,
        KcpExitReport *report)
{
  Call *self = session->data;

  if (self->ended)
    host_session_finish (session, HOST_EXIT_CHILD_DIED);
}

static void
call_free (gpointer data)
{
  Call *self = data;

  host_writer_drain (self->writer, LAST_WORDS_MS);
  host_writer_free (self->writer);
  g_clear_object (&self->stream);
  g_clear_object (&self->cancellable);
  g_clear_pointer (&self->body, json_node_unref);
  g_free (self->path);
  g_free (self);
}

const HostVerb host_verb_call = {
  .name = "call",
  .usage = N_("call PATH [JSON|-|@FILE]"),
  .prepare = prepare,
  .ready = ready,
  .interrupted = interrupted,
  .exited = exited,
  .free = call_free,
};
