/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supervised.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#define GUARD_SECONDS 60

static gboolean
on_guard (gpointer what)
{
  g_error ("waited in vain for: %s", (const char *) what);
  return G_SOURCE_REMOVE;
}

guint
supervised_guard (const char *what)
{
  return g_timeout_add_seconds (GUARD_SECONDS, on_guard, (gpointer) what);
}

/* ---- life ---- */

static void
on_state (KcpSupervisor *supervisor,
          GParamSpec    *pspec,
          Supervised    *self)
{
  g_string_append_c (self->states, "SsRW-F"[kcp_supervisor_get_state (supervisor)]);
}

static void
keep_report (Supervised    *self,
             KcpExitReport *report)
{
  g_clear_pointer (&self->report, kcp_exit_report_unref);
  self->report = report ? kcp_exit_report_ref (report) : NULL;
  g_assert_true (report == kcp_supervisor_get_last_report (self->supervisor));
}

static void
on_restarting (KcpSupervisor *supervisor,
               guint          delay,
               KcpExitReport *report,
               Supervised    *self)
{
  g_array_append_val (self->delays, delay);
  keep_report (self, report);
  g_assert_cmpint (kcp_supervisor_get_state (supervisor), ==, KCP_SUPERVISOR_WAITING);
  g_assert_cmpint (kcp_supervisor_get_next_restart (supervisor), >, 0);
  g_assert_null (kcp_supervisor_get_actor (supervisor));
}

static void
on_restarted (KcpSupervisor *supervisor,
              KcpActor      *actor,
              Supervised    *self)
{
  self->restarted++;
  g_assert_true (actor == kcp_supervisor_get_actor (supervisor));
  g_assert_cmpint (kcp_supervisor_get_next_restart (supervisor), ==, 0);
}

static void
on_failed (KcpSupervisor *supervisor,
           KcpExitReport *report,
           Supervised    *self)
{
  self->failed++;
  keep_report (self, report);
  g_assert_cmpint (kcp_supervisor_get_state (supervisor), ==, KCP_SUPERVISOR_FAILED);
}

Supervised *
supervised_new (KcpRestartPolicy policy)
{
  g_autoptr (GError) error = NULL;
  Supervised *self = g_new0 (Supervised, 1);

  self->directory = g_dir_make_tmp ("kcp-supervisor-XXXXXX", &error);
  g_assert_no_error (error);
  self->log = g_build_filename (self->directory, "log", NULL);
  self->crash_file = g_build_filename (self->directory, "crash", NULL);
  self->fail_file = g_build_filename (self->directory, "fail", NULL);
  self->once_file = g_build_filename (self->directory, "once", NULL);
  self->states = g_string_new ("S");
  self->delays = g_array_new (FALSE, FALSE, sizeof (guint));

  g_assert_nonnull (g_getenv ("KCP_TEST_FRAGILE"));
  self->launcher = kcp_launcher_new (g_getenv ("KCP_TEST_FRAGILE"));
  kcp_launcher_set_start_timeout (self->launcher, GUARD_SECONDS * 1000);
  kcp_launcher_add_config (self->launcher, "log", self->log);
  kcp_launcher_add_config (self->launcher, "crash-if", self->crash_file);
  kcp_launcher_add_config (self->launcher, "fail-if", self->fail_file);
  kcp_launcher_add_config (self->launcher, "note", "first");

  self->supervisor = kcp_supervisor_new (self->launcher);
  kcp_supervisor_set_policy (self->supervisor, policy);
  kcp_supervisor_set_backoff (self->supervisor, 1, 4, 10000);
  kcp_supervisor_set_restart_limit (self->supervisor, G_MAXUINT, 1000);
  g_signal_connect (self->supervisor, "notify::state", G_CALLBACK (on_state), self);
  g_signal_connect (self->supervisor, "restarting", G_CALLBACK (on_restarting), self);
  g_signal_connect (self->supervisor, "restarted", G_CALLBACK (on_restarted), self);
  g_signal_connect (self->supervisor, "failed", G_CALLBACK (on_failed), self);
  return self;
}

static void
remove_file (char *file)
{
  g_remove (file);
  g_free (file);
}

void
supervised_free (Supervised *self)
{
  gpointer supervisor = self->supervisor;
  KcpActor *actor = supervisor ? kcp_supervisor_get_actor (supervisor) : NULL;
  int pid = actor ? kcp_actor_get_pid (actor) : 0;

  if (supervisor)
    {
      g_signal_handlers_disconnect_by_data (supervisor, self);
      g_object_add_weak_pointer (supervisor, &supervisor);
      g_object_unref (self->supervisor);
      WAIT_UNTIL (supervisor == NULL);
    }
  if (pid > 0)
    wait_for_death (pid);

  g_object_unref (self->launcher);
  g_string_free (self->states, TRUE);
  g_array_unref (self->delays);
  g_clear_pointer (&self->report, kcp_exit_report_unref);
  remove_file (self->log);
  remove_file (self->crash_file);
  remove_file (self->fail_file);
  remove_file (self->once_file);
  g_rmdir (self->directory);
  g_free (self->directory);
  g_free (self);
}

/* ---- asynchronous functions ---- */

void
store_result (GObject      *source,
              GAsyncResult *result,
              gpointer      slot)
{
  g_assert_null (*(GAsyncResult **) slot);
  *(GAsyncResult **) slot = g_object_ref (result);
}

gboolean
supervised_try_start (Supervised  *self,
                      GError     **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  kcp_supervisor_start_async (self->supervisor, NULL, store_result, &result);
  g_assert_null (result);
  WAIT_UNTIL (result);
  return kcp_supervisor_start_finish (self->supervisor, result, error);
}

void
supervised_start (Supervised *self)
{
  g_autoptr (GError) error = NULL;

  supervised_try_start (self, &error);
  g_assert_no_error (error);
  g_assert_cmpint (kcp_supervisor_get_state (self->supervisor), ==, KCP_SUPERVISOR_RUNNING);
}

void
supervised_stop (Supervised *self)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  kcp_supervisor_stop_async (self->supervisor, NULL, store_result, &result);
  g_assert_null (result);
  WAIT_UNTIL (result);
  kcp_supervisor_stop_finish (self->supervisor, result, &error);
  g_assert_no_error (error);
  g_assert_null (kcp_supervisor_get_actor (self->supervisor));
}

void
supervised_wait_for (Supervised         *self,
                     KcpSupervisorState  state)
{
  WAIT_UNTIL (kcp_supervisor_get_state (self->supervisor) == state);
}

/* ---- asking ---- */

KcpMessage *
new_message (const char *path,
             const char *text)
{
  return kcp_message_new (path, text ? json_node_init_string (json_node_alloc (), text) : NULL);
}

void
supervised_ask (Supervised    *self,
                const char    *path,
                const char    *text,
                GAsyncResult **slot)
{
  g_autoptr (KcpMessage) message = new_message (path, text);

  kcp_supervisor_ask_async (self->supervisor, message, NULL, store_result, slot);
  g_assert_null (*slot);
}

char *
supervised_finish (Supervised    *self,
                   GAsyncResult **slot,
                   GError       **error)
{
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GAsyncResult) result = NULL;

  WAIT_UNTIL (*slot);
  result = g_steal_pointer (slot);
  answer = kcp_supervisor_ask_finish (self->supervisor, result, error);
  return answer ? json_node_dup_string (kcp_message_get_body (answer, NULL)) : NULL;
}

void
supervised_expect (Supervised    *self,
                   GAsyncResult **slot,
                   const char    *text)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = supervised_finish (self, slot, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (answer, ==, text);
}

void
supervised_expect_error (Supervised    *self,
                         GAsyncResult **slot,
                         GQuark         domain,
                         int            code,
                         const char    *part)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = supervised_finish (self, slot, &error);

  g_assert_null (answer);
  g_assert_error (error, domain, code);
  if (strstr (error->message, part) == NULL)
    g_error ("“%s” is not in “%s”", part, error->message);
}

/* ---- outside ---- */

void
supervised_kill_child (Supervised *self)
{
  g_assert_cmpint (kill (kcp_actor_get_pid (kcp_supervisor_get_actor (self->supervisor)), SIGKILL), ==, 0);
}

/* Nothing else may wake the main loop. */
static gboolean
on_tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

/* It is this process's own: once it is reaped there is nothing to signal. */
void
wait_for_death (int pid)
{
  guint guard = supervised_guard ("the end of a child");
  guint tick = g_timeout_add (5, on_tick, NULL);

  while (kill (pid, 0) == 0)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
  g_source_remove (guard);
}

void
supervised_expect_log (Supervised *self,
                       const char *text)
{
  g_autofree char *log = NULL;

  g_assert_true (g_file_get_contents (self->log, &log, NULL, NULL));
  g_assert_cmpstr (log, ==, text);
}

void
create_file (const char *file)
{
  g_assert_true (g_file_set_contents (file, "", 0, NULL));
}

void
supervised_crash (Supervised *self)
{
  g_autoptr (GAsyncResult) result = NULL;

  supervised_ask (self, "crash", NULL, &result);
  supervised_expect_error (self, &result, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "SIGKILL");
}
