/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-host-session.h"
#include "kcp-host-callback-command.h"
#include "kcp-host-config.h"

#include <glib/gi18n.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the stop ladder, after the time that calls are given to end. */
#define TERM_MS 2000
#define KILL_MS 1000

/* ---- the end ---- */

static void
tell_of_death (HostSession   *self,
               KcpExitReport *report)
{
  if (!self->death_told)
    host_complain_death (report);
  self->death_told = TRUE;
}

static void
stop_done (GObject      *source,
           GAsyncResult *result,
           gpointer      user_data)
{
  HostSession *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpExitReport) report = kcp_actor_stop_finish (KCP_ACTOR (source), result, &error);

  if (report == NULL)
    host_complain_error (NULL, error);
  else
    {
      if (self->exit_status == HOST_EXIT_CHILD_DIED)
        tell_of_death (self, report);
      if (self->verb->stopped)
        self->verb->stopped (self, report);
    }

  g_main_loop_quit (self->loop);
}

void
host_session_finish (HostSession *self,
                     int          exit_status)
{
  if (self->finishing)
    return;

  self->finishing = TRUE;
  self->exit_status = exit_status;
  if (self->actor)
    kcp_actor_stop_async (self->actor, NULL, stop_done, self);
  else
    g_main_loop_quit (self->loop);
}

static void
actor_exited (KcpActor      *actor,
              KcpExitReport *report,
              gpointer       user_data)
{
  HostSession *self = user_data;

  if (self->finishing)
    return;

  tell_of_death (self, report);
  if (self->verb->exited)
    self->verb->exited (self, report);
  else
    host_session_finish (self, HOST_EXIT_CHILD_DIED);
}

/* The first is one clean stop, the second is the end of patience; a third does not wait at all. */
static gboolean
interrupted (HostSession *self,
             int          signal_number)
{
  self->n_interrupts++;
  if (self->n_interrupts > 2)
    _exit (HOST_EXIT_INTERRUPTED);

  if (self->n_interrupts == 2)
    {
      if (self->actor)
        kcp_actor_kill (self->actor);
      host_session_finish (self, HOST_EXIT_INTERRUPTED);
    }
  else if (self->actor == NULL)
    g_cancellable_cancel (self->start_cancellable);
  else if (self->verb->interrupted == NULL || !self->verb->interrupted (self, signal_number))
    host_session_finish (self, HOST_EXIT_INTERRUPTED);

  return G_SOURCE_CONTINUE;
}

static gboolean
sigint (gpointer user_data)
{
  return interrupted (user_data, SIGINT);
}

static gboolean
sigterm (gpointer user_data)
{
  return interrupted (user_data, SIGTERM);
}

static gboolean
sighup (gpointer user_data)
{
  return interrupted (user_data, SIGHUP);
}

/* ---- the start ---- */

static void
spawned (GObject      *source,
         GAsyncResult *result,
         gpointer      user_data)
{
  HostSession *self = user_data;
  g_autoptr (GError) error = NULL;

  self->actor = kcp_launcher_spawn_finish (KCP_LAUNCHER (source), result, &error);
  if (self->actor == NULL)
    {
      HostExit status = host_exit_for_start (error);

      if (status != HOST_EXIT_INTERRUPTED)
        host_complain_error (NULL, error);
      if (self->verb->failed)
        self->verb->failed (self);
      host_session_finish (self, status);
      return;
    }

  g_signal_connect (self->actor, "exited", G_CALLBACK (actor_exited), self);
  if (g_cancellable_is_cancelled (self->start_cancellable))
    host_session_finish (self, HOST_EXIT_INTERRUPTED);
  else
    self->verb->ready (self);
}

static void
configure_child (KcpLauncher *launcher,
                 HostOptions *options)
{
  if (options->name)
    kcp_launcher_set_name (launcher, options->name);
  kcp_launcher_set_log_level (launcher, options->log_level);
  for (guint i = 0; i < options->config->len; i++)
    {
      HostSetting *setting = g_ptr_array_index (options->config, i);

      kcp_launcher_add_config (launcher, setting->key, setting->value);
    }

  kcp_launcher_set_inherit_environ (launcher, options->inherit_env);
  for (guint i = 0; options->env && options->env[i]; i++)
    {
      const char *equals = strchr (options->env[i], '=');
      g_autofree char *variable = g_strndup (options->env[i], (gsize) (equals - options->env[i]));

      kcp_launcher_setenv (launcher, variable, equals + 1);
    }
  for (guint i = 0; options->unset_env && options->unset_env[i]; i++)
    kcp_launcher_unsetenv (launcher, options->unset_env[i]);

  if (options->directory)
    kcp_launcher_set_working_directory (launcher, options->directory);
  if (options->stub)
    kcp_launcher_set_stub (launcher, options->stub);
  kcp_launcher_set_core_dumps (launcher, options->core_dumps);
}

static void
configure_limits (KcpLauncher *launcher,
                  HostOptions *options)
{
  if (options->frame_limit > 0)
    kcp_launcher_set_frame_limit (launcher, options->frame_limit);
  if (options->timeout_ms != KCP_TIMEOUT_DEFAULT)
    kcp_launcher_set_call_timeout (launcher, options->timeout_ms);
  if (options->start_timeout_ms != KCP_TIMEOUT_DEFAULT)
    kcp_launcher_set_start_timeout (launcher, options->start_timeout_ms);
  if (options->stop_timeout_ms != KCP_TIMEOUT_DEFAULT)
    kcp_launcher_set_stop_timeouts (launcher, options->stop_timeout_ms, TERM_MS, KILL_MS);

  if (options->wrapper)
    {
      kcp_launcher_set_wrapper (launcher, (const char *const *) options->wrapper);
      /* A program such as valgrind takes its time. */
      if (options->start_timeout_ms == KCP_TIMEOUT_DEFAULT)
        kcp_launcher_set_start_timeout (launcher, KCP_TIMEOUT_NONE);
    }
}

static gboolean
prepare_callbacks (HostSession  *self,
                   GError      **error)
{
  char **settings = self->options->callbacks;

  if (settings == NULL && !self->options->callback_lines)
    return TRUE;

  self->router = kcp_callback_router_new ();
  for (guint i = 0; settings && settings[i]; i++)
    if (!host_callback_command_add (self->router, settings[i], error))
      return FALSE;

  kcp_launcher_set_callback_handler (self->launcher, KCP_CALLBACK_HANDLER (self->router));
  return TRUE;
}

static void
complain_usage (const char   *usage,
                const GError *error)
{
  host_complain ("%s", error->message);
  if (usage)
    {
      /* Translators: the arguments of a command follow */
      g_printerr (_("Usage: kcp-host [OPTION…] PLUGIN [KEY=VALUE…] %s"), _(usage));
      g_printerr ("\n");
    }
  else
    g_printerr ("%s\n", _("“kcp-host --help” shows how to use it."));
}

/* The exit status if there is nothing to start. */
static HostExit
prepare (HostSession *self)
{
  g_autoptr (GError) error = NULL;

  self->launcher = kcp_launcher_new (self->options->plugin);
  configure_child (self->launcher, self->options);
  configure_limits (self->launcher, self->options);

  if (!prepare_callbacks (self, &error))
    {
      complain_usage (NULL, error);
      return HOST_EXIT_USAGE;
    }

  if (self->verb->prepare (self, self->options->args, &error))
    return HOST_EXIT_OK;

  if (error->domain == G_SPAWN_ERROR)
    {
      host_complain ("%s", error->message);
      return HOST_EXIT_COMMAND_NOT_FOUND;
    }

  complain_usage (self->verb->usage, error);
  return HOST_EXIT_USAGE;
}

static void
run (HostSession *self)
{
  const guint sources[] = {
    g_unix_signal_add (SIGINT, sigint, self),
    g_unix_signal_add (SIGTERM, sigterm, self),
    g_unix_signal_add (SIGHUP, sighup, self),
  };

  kcp_launcher_spawn_async (self->launcher, self->start_cancellable, spawned, self);
  g_main_loop_run (self->loop);

  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    g_source_remove (sources[i]);
}

static void
settle (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

int
host_session_run (HostOptions    *options,
                  const HostVerb *verb)
{
  HostSession self = { .verb = verb, .options = options };

  host_style_init (&self.out, STDOUT_FILENO, options->color);
  self.loop = g_main_loop_new (NULL, FALSE);
  self.start_cancellable = g_cancellable_new ();

  self.exit_status = prepare (&self);
  if (self.exit_status == HOST_EXIT_OK)
    run (&self);

  /* What was cancelled just now still comes back, and lets go of what it holds. */
  settle ();
  if (verb->free && self.data)
    verb->free (self.data);
  if (self.actor)
    g_signal_handlers_disconnect_by_data (self.actor, &self);
  g_clear_object (&self.actor);
  g_clear_object (&self.launcher);
  g_clear_object (&self.router);
  g_clear_object (&self.start_cancellable);
  settle ();
  g_main_loop_unref (self.loop);

  return self.exit_status;
}

KcpMessage *
host_session_new_message (HostSession *self,
                          const char  *path,
                          JsonNode    *body)
{
  KcpMessage *message = kcp_message_new (path, body);

  if (self->options->timeout_ms != KCP_TIMEOUT_DEFAULT)
    kcp_message_set_timeout (message, self->options->timeout_ms);
  return message;
}
