/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-conversation.h"
#include "kcp-host-log.h"
#include "kcp-host-verbs.h"

#include <gio/gunixinputstream.h>
#include <glib/gi18n.h>
#include <unistd.h>

/* kcp-host PLUGIN: JSON Lines between stdin and stdout, or a small console in a terminal. */

/* Longer lists of paths are left to `describe`. */
#define MAX_GREETED_PATHS 12

typedef struct
{
  HostSession *session;
  HostConversation *conversation;
  gboolean console;           /* a person types and reads */
  gboolean child_died;
} Lines;

static int
exit_status (Lines *self)
{
  if (self->child_died)
    return HOST_EXIT_CHILD_DIED;
  if (host_conversation_get_n_bad (self->conversation) > 0)
    return HOST_EXIT_BAD_LINES;
  if (host_conversation_get_n_failed (self->conversation) > 0)
    return HOST_EXIT_CALL_FAILED;

  return HOST_EXIT_OK;
}

static void
done (gpointer data)
{
  Lines *self = data;

  host_session_finish (self->session, exit_status (self));
}

static void
broken (gpointer      data,
        const GError *error)
{
  Lines *self = data;
  int status = exit_status (self);

  if (error)
    {
      host_complain_error (_("the output cannot be written"), error);
      status = HOST_EXIT_CONNECTION;
    }

  host_conversation_cancel_all (self->conversation);
  host_session_finish (self->session, status);
}

static const HostConversationFuncs funcs = { done, broken };

static void
make_way (gpointer data)
{
  Lines *self = data;

  host_conversation_make_way (self->conversation);
}

static gboolean
prepare (HostSession  *session,
         char        **args,
         GError      **error)
{
  const HostStyle *style = session->out.terminal ? &session->out : NULL;
  g_autoptr (GInputStream) input = g_unix_input_stream_new (STDIN_FILENO, FALSE);
  Lines *self = g_new0 (Lines, 1);

  self->session = session;
  self->console = style && isatty (STDIN_FILENO) == 1;
  self->conversation = host_conversation_new (session, input, STDOUT_FILENO, style, self->console,
                                              &funcs, self);
  session->data = self;
  if (self->console)
    host_log_set_before (make_way, self);

  host_conversation_begin (self->conversation);
  return TRUE;
}

static char *
greeting (HostSession *session)
{
  const HostStyle *style = &session->out;
  KcpManifest *manifest = kcp_actor_get_manifest (session->actor);
  const char *version = kcp_manifest_get_version (manifest);
  const char *const *paths = kcp_manifest_get_paths (manifest);
  g_autofree char *title = NULL;
  g_autofree char *list = NULL;
  g_autofree char *clean = NULL;
  guint n = paths ? g_strv_length ((char **) paths) : 0;

  title = g_strjoin (version && *version ? " " : "", kcp_manifest_get_name (manifest), version, NULL);
  list = n > 0 && n <= MAX_GREETED_PATHS ? g_strjoinv ("  ", (char **) paths) : g_strdup ("");
  clean = host_text_clean (list);
  return g_strdup_printf ("%s%s%s%s%s%s%s\n%s%s%s\n",
                          host_style_start (style, HOST_PAINT_STRONG), title, host_style_end (style),
                          *clean ? "  " : "",
                          host_style_start (style, HOST_PAINT_NUMBER), clean, host_style_end (style),
                          host_style_start (style, HOST_PAINT_FAINT),
                          _("Type a path and, if it wants one, a body in JSON. Ctrl-D ends."),
                          host_style_end (style));
}

static void
ready (HostSession *session)
{
  Lines *self = session->data;

  if (self->console && !session->options->quiet)
    {
      g_autofree char *text = greeting (session);

      host_conversation_print (self->conversation, text);
    }

  host_conversation_set_actor (self->conversation, session->actor);
}

static gboolean
interrupted (HostSession *session,
             int          signal_number)
{
  Lines *self = session->data;

  /* Not done(): calls in flight get the time of the stop to end, and their answers are printed. */
  host_session_finish (session, HOST_EXIT_INTERRUPTED);
  host_conversation_end_input (self->conversation, FALSE);
  return TRUE;
}

static void
exited (HostSession   *session,
        KcpExitReport *report)
{
  Lines *self = session->data;

  self->child_died = TRUE;
  host_conversation_end_input (self->conversation, FALSE);
}

static void
lines_free (gpointer data)
{
  Lines *self = data;

  host_log_set_before (NULL, NULL);
  host_conversation_free (self->conversation);
  g_free (self);
}

const HostVerb host_verb_lines = {
  .prepare = prepare,
  .ready = ready,
  .interrupted = interrupted,
  .exited = exited,
  .free = lines_free,
};
