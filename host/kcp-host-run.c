/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-conversation.h"
#include "kcp-host-verbs.h"

#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <glib/gi18n.h>
#include <string.h>

/* kcp-host PLUGIN run -- COMMAND [ARG…]: the command's output is our input, and the reverse. */

/* What a command wrote before it ended is still read, but not for longer: a program it left behind
 * may hold the pipe open for ever. */
#define LAST_WORDS_MS 500

typedef struct
{
  HostSession *session;
  char **argv;
  GSubprocess *process;
  HostConversation *conversation;   /* NULL until the command runs */
  gboolean over;                    /* the command has ended */
  gboolean served;                  /* all it wrote is answered, and it will write no more */
  gboolean child_died;
  guint timeout;
} Run;

static void
finish (Run *self)
{
  int status;

  if (g_subprocess_get_if_signaled (self->process))
    status = 128 + g_subprocess_get_term_sig (self->process);
  else
    status = g_subprocess_get_exit_status (self->process);

  /* A command that did not notice must not hide it. */
  if (status == 0 && self->child_died)
    status = HOST_EXIT_CHILD_DIED;
  if (self->session->n_interrupts > 0)
    status = HOST_EXIT_INTERRUPTED;

  host_session_finish (self->session, status);
}

static gboolean
waited_enough (gpointer user_data)
{
  Run *self = user_data;

  self->timeout = 0;
  finish (self);
  return G_SOURCE_REMOVE;
}

static void
command_over (GObject      *source,
              GAsyncResult *result,
              gpointer      user_data)
{
  Run *self = user_data;

  if (!g_subprocess_wait_finish (G_SUBPROCESS (source), result, NULL))
    return;

  self->over = TRUE;
  if (self->served)
    finish (self);
  else
    self->timeout = g_timeout_add (LAST_WORDS_MS, waited_enough, self);
}

/* So that the command sees the end of its input. */
static void
close_its_input (Run *self)
{
  host_conversation_close_output (self->conversation);
  g_output_stream_close (g_subprocess_get_stdin_pipe (self->process), NULL, NULL);
}

static void
done (gpointer data)
{
  Run *self = data;

  self->served = TRUE;
  if (self->over)
    finish (self);
  else
    close_its_input (self);
}

static void
broken (gpointer      data,
        const GError *error)
{
  /* The command does not read its answers: its own affair. It ends when it ends. */
}

static const HostConversationFuncs funcs = { done, broken };

static gboolean
start_command (Run     *self,
               GError **error)
{
  g_autoptr (GInputStream) output = NULL;
  GOutputStream *input;

  self->process = g_subprocess_newv ((const char *const *) self->argv,
                                     G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, error);
  if (self->process == NULL)
    return FALSE;

  input = g_subprocess_get_stdin_pipe (self->process);
  output = g_object_ref (g_subprocess_get_stdout_pipe (self->process));
  self->conversation = host_conversation_new (self->session, output,
                                              g_unix_output_stream_get_fd (G_UNIX_OUTPUT_STREAM (input)),
                                              NULL, FALSE, &funcs, self);
  g_subprocess_wait_async (self->process, self->session->start_cancellable, command_over, self);
  host_conversation_begin (self->conversation);
  return TRUE;
}

static gboolean
prepare (HostSession  *session,
         char        **args,
         GError      **error)
{
  Run *self;

  if (args[0] && strcmp (args[0], "--") == 0)
    args++;
  if (args[0] == NULL)
    {
      g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _("“run” wants a command"));
      return FALSE;
    }

  self = g_new0 (Run, 1);
  self->session = session;
  self->argv = args;
  session->data = self;

  /* A plugin may call back while it starts: then the command has to be there to answer. Else it is
   * run only once there is a plugin to talk to. */
  return !session->options->callback_lines || start_command (self, error);
}

static void
ready (HostSession *session)
{
  Run *self = session->data;
  g_autoptr (GError) error = NULL;

  if (self->process == NULL && !start_command (self, &error))
    {
      host_complain_error (self->argv[0], error);
      host_session_finish (session, HOST_EXIT_COMMAND_NOT_FOUND);
      return;
    }

  host_conversation_set_actor (self->conversation, session->actor);
}

/* The keyboard's Ctrl-C reaches the command by itself; other signals are passed on. Either way the
 * command gets the time it wants: a second signal does not wait for it. */
static gboolean
interrupted (HostSession *session,
             int          signal_number)
{
  Run *self = session->data;

  if (self->process == NULL || self->over)
    return FALSE;

  if (signal_number != SIGINT)
    g_subprocess_send_signal (self->process, signal_number);
  close_its_input (self);
  return TRUE;
}

static void
exited (HostSession   *session,
        KcpExitReport *report)
{
  Run *self = session->data;

  /* The command learns of it by the errors of its calls, and by the end of its input. */
  self->child_died = TRUE;
  if (self->conversation)
    host_conversation_end_input (self->conversation, TRUE);
  else
    host_session_finish (session, HOST_EXIT_CHILD_DIED);
}

static void
run_free (gpointer data)
{
  Run *self = data;

  g_clear_handle_id (&self->timeout, g_source_remove);
  g_cancellable_cancel (self->session->start_cancellable);
  if (self->process && !self->over)
    g_subprocess_force_exit (self->process);
  g_clear_pointer (&self->conversation, host_conversation_free);
  g_clear_object (&self->process);
  g_free (self);
}

const HostVerb host_verb_run = {
  .name = "run",
  .usage = N_("run -- COMMAND [ARG…]"),
  .prepare = prepare,
  .ready = ready,
  .interrupted = interrupted,
  .exited = exited,
  .free = run_free,
};
