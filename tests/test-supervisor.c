/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supervised.h"

#include <glib/gstdio.h>
#include <string.h>

/* The life of a supervisor: start and stop in each state, and how it goes. */

#define LONG_MS (60 * 60 * 1000)

static void
test_start_stop (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  KcpExitReport *report;
  int pid;

  supervised_start (self);
  g_assert_cmpstr (self->states->str, ==, "SsR");
  pid = kcp_actor_get_pid (kcp_supervisor_get_actor (self->supervisor));

  /* Again: nothing to do. */
  supervised_start (self);
  g_assert_cmpint (kcp_actor_get_pid (kcp_supervisor_get_actor (self->supervisor)), ==, pid);

  supervised_stop (self);
  g_assert_cmpstr (self->states->str, ==, "SsR-S");
  report = kcp_supervisor_get_last_report (self->supervisor);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_STOPPED);
  wait_for_death (pid);
  supervised_stop (self);

  supervised_start (self);
  g_assert_cmpstr (self->states->str, ==, "SsR-SsR");
  g_assert_cmpuint (self->delays->len + self->restarted + self->failed, ==, 0);
}

static void
test_first_start_fails (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);
  g_autoptr (GAsyncResult) asked = NULL;
  g_autoptr (GAsyncResult) started = NULL;
  g_autoptr (GError) error = NULL;
  KcpExitReport *report;

  create_file (self->fail_file);
  kcp_supervisor_start_async (self->supervisor, NULL, store_result, &started);
  supervised_ask (self, "echo", "a", &asked);
  WAIT_UNTIL (started);
  g_assert_false (kcp_supervisor_start_finish (self->supervisor, started, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_START);
  g_assert_nonnull (strstr (error->message, "not in this weather"));

  /* It was waited for, and what it died of is known; the policy has nothing to say. */
  report = kcp_supervisor_get_last_report (self->supervisor);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_FAILED);
  g_assert_true (g_error_matches (kcp_supervisor_get_last_error (self->supervisor), KCP_ERROR,
                                  KCP_ERROR_PLUGIN_START));
  g_assert_cmpstr (self->states->str, ==, "SsS");
  supervised_expect_error (self, &asked, KCP_ERROR, KCP_ERROR_NOT_RUNNING, "not in this weather");
  g_assert_cmpuint (self->delays->len + self->failed, ==, 0);

  g_remove (self->fail_file);
  supervised_start (self);
}

static void
test_no_plugin (void)
{
  if (g_getenv ("KCP_TEST_VALGRIND"))
    {
      g_test_skip ("valgrind starts programs that are not there");
      return;
    }

  g_autoptr (KcpLauncher) launcher = kcp_launcher_new ("/nonexistent/plugin.so");
  g_autoptr (KcpSupervisor) supervisor = kcp_supervisor_new (launcher);
  g_autoptr (GAsyncResult) started = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (kcp_supervisor_get_launcher (supervisor) == launcher);
  kcp_launcher_set_stub (launcher, "/nonexistent/stub");
  kcp_supervisor_start_async (supervisor, NULL, store_result, &started);
  WAIT_UNTIL (started);
  g_assert_false (kcp_supervisor_start_finish (supervisor, started, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_SPAWN_FAILED);
  g_assert_null (kcp_supervisor_get_last_report (supervisor));
  g_assert_cmpint (kcp_supervisor_get_state (supervisor), ==, KCP_SUPERVISOR_STOPPED);
}

/* Criticals are fatal in this program; those of a plugin are the plugin's. */
static void
test_critical (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_NEVER);
  g_autoptr (GAsyncResult) asked = NULL;

  kcp_launcher_unsetenv (self->launcher, "G_DEBUG");
  supervised_start (self);
  supervised_ask (self, "complain", "none of your business", &asked);
  WAIT_UNTIL (asked);
  g_assert_cmpint (kcp_supervisor_get_state (self->supervisor), ==, KCP_SUPERVISOR_RUNNING);
}

/* ---- start, stop and restart when something else is under way ---- */

static void
test_stop_while_starting (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);
  g_autoptr (GAsyncResult) started = NULL;
  g_autoptr (GAsyncResult) asked = NULL;
  g_autoptr (GError) error = NULL;

  kcp_supervisor_start_async (self->supervisor, NULL, store_result, &started);
  supervised_ask (self, "echo", "a", &asked);
  supervised_stop (self);
  g_assert_cmpstr (self->states->str, ==, "Ss-S");
  WAIT_UNTIL (started);
  g_assert_false (kcp_supervisor_start_finish (self->supervisor, started, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  supervised_expect_error (self, &asked, KCP_ERROR, KCP_ERROR_STOPPING, "“echo”, not sent");
}

static void
test_stop_while_waiting (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);
  g_autoptr (GAsyncResult) asked = NULL;

  kcp_supervisor_set_backoff (self->supervisor, LONG_MS, LONG_MS, LONG_MS);
  supervised_start (self);
  supervised_crash (self);
  supervised_wait_for (self, KCP_SUPERVISOR_WAITING);
  supervised_ask (self, "echo", "a", &asked);
  g_assert_cmpuint (kcp_supervisor_get_waiting (self->supervisor), ==, 1);
  supervised_stop (self);
  g_assert_cmpstr (self->states->str, ==, "SsRWS");
  g_assert_cmpint (kcp_supervisor_get_next_restart (self->supervisor), ==, 0);
  supervised_expect_error (self, &asked, KCP_ERROR, KCP_ERROR_NOT_RUNNING, "SIGKILL");
}

static void
test_start_while_stopping (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);
  g_autoptr (GAsyncResult) stopped = NULL;
  g_autoptr (GAsyncResult) refused = NULL;
  g_autoptr (GAsyncResult) asked = NULL;

  supervised_start (self);
  kcp_supervisor_stop_async (self->supervisor, NULL, store_result, &stopped);
  supervised_ask (self, "echo", "a", &refused);
  supervised_start (self);
  g_assert_nonnull (stopped);
  g_assert_true (kcp_supervisor_stop_finish (self->supervisor, stopped, NULL));
  g_assert_cmpstr (self->states->str, ==, "SsR-sR");
  supervised_expect_error (self, &refused, KCP_ERROR, KCP_ERROR_STOPPING, "being stopped");
  supervised_ask (self, "echo", "b", &asked);
  supervised_expect (self, &asked, "b");
}

static void
test_restart (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_NEVER);
  g_autoptr (GAsyncResult) before = NULL;
  g_autoptr (GAsyncResult) during = NULL;
  g_autoptr (GAsyncResult) restarted = NULL;
  g_autoptr (GError) error = NULL;

  supervised_start (self);
  kcp_launcher_add_config (self->launcher, "note", "second");
  supervised_ask (self, "echo", "before", &before);
  kcp_supervisor_restart_async (self->supervisor, NULL, store_result, &restarted);
  supervised_ask (self, "echo", "during", &during);
  WAIT_UNTIL (restarted);
  g_assert_true (kcp_supervisor_restart_finish (self->supervisor, restarted, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (self->states->str, ==, "SsR-sR");
  supervised_expect (self, &before, "before");
  supervised_expect (self, &during, "during");
  supervised_expect_log (self, "configure first\nstart\necho before\nstop\n"
                               "configure first\nconfigure second\nstart\necho during\n");
  /* It was asked for, so it is none of the policy's. */
  g_assert_cmpuint (self->restarted, ==, 0);
}

static void
test_stop_while_restarting (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);
  g_autoptr (GAsyncResult) asked = NULL;
  g_autoptr (GAsyncResult) restarted = NULL;
  g_autoptr (GError) error = NULL;

  supervised_start (self);
  kcp_supervisor_restart_async (self->supervisor, NULL, store_result, &restarted);
  supervised_ask (self, "echo", "a", &asked);
  supervised_stop (self);
  g_assert_cmpstr (self->states->str, ==, "SsR-S");
  WAIT_UNTIL (restarted);
  g_assert_false (kcp_supervisor_restart_finish (self->supervisor, restarted, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  supervised_expect_error (self, &asked, KCP_ERROR, KCP_ERROR_STOPPING, "not sent");
}

static void
test_cancel_wait (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_NEVER);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) given_up = NULL;
  g_autoptr (GAsyncResult) started = NULL;
  g_autoptr (GError) error = NULL;

  kcp_supervisor_start_async (self->supervisor, cancellable, store_result, &given_up);
  kcp_supervisor_start_async (self->supervisor, NULL, store_result, &started);
  g_cancellable_cancel (cancellable);
  g_assert_null (given_up);
  WAIT_UNTIL (given_up);
  g_assert_cmpint (kcp_supervisor_get_state (self->supervisor), ==, KCP_SUPERVISOR_STARTING);
  g_assert_false (kcp_supervisor_start_finish (self->supervisor, given_up, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  WAIT_UNTIL (started);
  g_assert_true (kcp_supervisor_start_finish (self->supervisor, started, NULL));
}

/* ---- dropping it ---- */

/* supervised_free() sees that nothing is left. */
static void
test_drop (gconstpointer data)
{
  KcpSupervisorState state = (KcpSupervisorState) GPOINTER_TO_INT (data);
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);
  g_autoptr (GAsyncResult) result = NULL;
  int pid;

  if (state == KCP_SUPERVISOR_STOPPED)
    return;

  supervised_start (self);
  pid = kcp_actor_get_pid (kcp_supervisor_get_actor (self->supervisor));
  if (state == KCP_SUPERVISOR_FAILED)
    kcp_supervisor_set_restart_limit (self->supervisor, 0, 1);
  if (state == KCP_SUPERVISOR_WAITING)
    kcp_supervisor_set_backoff (self->supervisor, LONG_MS, LONG_MS, LONG_MS);
  if (state == KCP_SUPERVISOR_STOPPING)
    kcp_supervisor_stop_async (self->supervisor, NULL, store_result, &result);
  else if (state != KCP_SUPERVISOR_RUNNING)
    supervised_crash (self);
  supervised_wait_for (self, state);

  /* Whoever waits holds a reference; only by force does it go before he is told. */
  if (state == KCP_SUPERVISOR_STOPPING)
    {
      g_object_run_dispose (G_OBJECT (self->supervisor));
      WAIT_UNTIL (result);
      g_assert_false (kcp_supervisor_stop_finish (self->supervisor, result, NULL));
      wait_for_death (pid);
    }
}

/* Whoever holds the actor does not keep the child. */
static void
test_drop_with_actor (void)
{
  g_autoptr (KcpActor) actor = NULL;

  {
    g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);

    supervised_start (self);
    actor = g_object_ref (kcp_supervisor_get_actor (self->supervisor));
  }
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_EXITED);
}

/* A handler may drop the last reference. */
static void
drop (KcpSupervisor *supervisor,
      guint          delay,
      KcpExitReport *report,
      gpointer       slot)
{
  g_clear_object ((KcpSupervisor **) slot);
}

static void
test_drop_in_signal (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);
  gpointer supervisor = self->supervisor;

  g_object_add_weak_pointer (supervisor, &supervisor);
  supervised_start (self);
  g_signal_connect (self->supervisor, "restarting", G_CALLBACK (drop), &self->supervisor);
  supervised_kill_child (self);
  WAIT_UNTIL (supervisor == NULL);
}

int
main (int    argc,
      char **argv)
{
  static const char *const names[] = { "stopped", "starting", "running", "waiting", "stopping", "failed" };

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/supervisor/start-stop", test_start_stop);
  g_test_add_func ("/supervisor/first-start-fails", test_first_start_fails);
  g_test_add_func ("/supervisor/no-plugin", test_no_plugin);
  g_test_add_func ("/supervisor/critical", test_critical);
  g_test_add_func ("/supervisor/stop-while-starting", test_stop_while_starting);
  g_test_add_func ("/supervisor/stop-while-waiting", test_stop_while_waiting);
  g_test_add_func ("/supervisor/start-while-stopping", test_start_while_stopping);
  g_test_add_func ("/supervisor/restart", test_restart);
  g_test_add_func ("/supervisor/stop-while-restarting", test_stop_while_restarting);
  g_test_add_func ("/supervisor/cancel-wait", test_cancel_wait);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_strdup_printf ("/supervisor/drop/%s", names[i]);

      g_test_add_data_func (path, GINT_TO_POINTER ((int) i), test_drop);
    }
  g_test_add_func ("/supervisor/drop/with-actor", test_drop_with_actor);
  g_test_add_func ("/supervisor/drop/in-signal", test_drop_in_signal);
  return g_test_run ();
}
