/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supervised.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

/* What becomes of a child's end: policies, back-off, limits. */

#define LONG_MS (60 * 60 * 1000)

/* ---- policies ---- */

typedef struct
{
  KcpRestartPolicy policy;
  const char *path, *text;          /* what ends the child; NULL: its actor is stopped */
  const char *states;
} Policy;

static const Policy policies[] = {
  { KCP_RESTART_NEVER, "crash", NULL, "SsRF" },
  { KCP_RESTART_NEVER, "exit", "3", "SsRF" },
  { KCP_RESTART_NEVER, "exit", "0", "SsRS" },
  { KCP_RESTART_NEVER, NULL, NULL, "SsRS" },
  { KCP_RESTART_ON_FAILURE, "crash", NULL, "SsRWsR" },
  { KCP_RESTART_ON_FAILURE, "exit", "3", "SsRWsR" },
  { KCP_RESTART_ON_FAILURE, "exit", "0", "SsRS" },
  { KCP_RESTART_ON_FAILURE, NULL, NULL, "SsRS" },
  { KCP_RESTART_ALWAYS, "crash", NULL, "SsRWsR" },
  { KCP_RESTART_ALWAYS, "exit", "3", "SsRWsR" },
  { KCP_RESTART_ALWAYS, "exit", "0", "SsRWsR" },
  { KCP_RESTART_ALWAYS, NULL, NULL, "SsRS" },
};

static void
test_policy (gconstpointer data)
{
  const Policy *policy = data;
  g_autoptr (Supervised) self = supervised_new (policy->policy);
  g_autoptr (GAsyncResult) result = NULL;
  gboolean restarted = g_str_has_suffix (policy->states, "WsR");
  gboolean failed = g_str_has_suffix (policy->states, "F");

  supervised_start (self);
  if (policy->path)
    supervised_ask (self, policy->path, policy->text, &result);
  else
    kcp_actor_stop_async (kcp_supervisor_get_actor (self->supervisor), NULL, store_result, &result);

  WAIT_UNTIL (result && strlen (self->states->str) >= strlen (policy->states));
  g_assert_cmpstr (self->states->str, ==, policy->states);
  g_assert_cmpuint (self->restarted, ==, restarted);
  g_assert_cmpuint (self->delays->len, ==, restarted);
  g_assert_cmpuint (self->failed, ==, failed);
  g_assert_cmpuint (kcp_supervisor_get_restarts (self->supervisor), ==, restarted);
  g_assert_nonnull (kcp_supervisor_get_last_report (self->supervisor));
}

static void
test_killed_actor (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);

  supervised_start (self);
  kcp_actor_kill (kcp_supervisor_get_actor (self->supervisor));
  WAIT_UNTIL (self->restarted == 1);
  g_assert_cmpint (kcp_exit_report_get_reason (self->report), ==, KCP_EXIT_KILLED);
}

static void
hang (gboolean before)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (GAsyncResult) hung = NULL;
  g_autoptr (GAsyncResult) echoed = NULL;

  supervised_start (self);
  if (before)
    kcp_supervisor_set_kill_unresponsive (self->supervisor, TRUE);
  supervised_ask (self, "hang", NULL, &hung);
  if (!before)
    {
      WAIT_UNTIL (!kcp_actor_get_responsive (kcp_supervisor_get_actor (self->supervisor)));
      g_assert_null (hung);
      kcp_supervisor_set_kill_unresponsive (self->supervisor, TRUE);
    }

  supervised_expect_error (self, &hung, KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "did not answer any more");
  /* It may not be gone yet; whoever asks now is answered by the next. */
  supervised_ask (self, "echo", "a", &echoed);
  supervised_expect (self, &echoed, "a");
  g_assert_cmpint (self->restarted, ==, 1);
  g_assert_cmpint (kcp_exit_report_get_reason (self->report), ==, KCP_EXIT_KILLED);
  g_assert_true (g_error_matches (kcp_supervisor_get_last_error (self->supervisor), KCP_ERROR,
                                  KCP_ERROR_CHILD_CRASHED));
}

static void
test_unresponsive (void)
{
  hang (TRUE);
}

static void
test_unresponsive_already (void)
{
  hang (FALSE);
}

/* ---- back-off and limits ---- */

static void
crash_times (Supervised *self,
             guint       count)
{
  for (guint i = 0; i < count; i++)
    {
      guint restarted = self->restarted;

      supervised_crash (self);
      WAIT_UNTIL (self->restarted == restarted + 1);
    }
}

static void
expect_delay (Supervised *self,
              guint       i,
              guint       most)
{
  guint delay = g_array_index (self->delays, guint, i);

  g_assert_cmpuint (delay, <=, most);
  g_assert_cmpuint (delay, >=, most / 2);
}

static void
test_backoff (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);

  kcp_supervisor_set_backoff (self->supervisor, 8, 48, LONG_MS);
  supervised_start (self);
  crash_times (self, 5);
  expect_delay (self, 0, 8);
  expect_delay (self, 1, 16);
  expect_delay (self, 2, 32);
  expect_delay (self, 3, 48);
  expect_delay (self, 4, 48);
  g_assert_cmpuint (kcp_supervisor_get_restarts (self->supervisor), ==, 5);

  /* From here on each child has been healthy for long enough. */
  kcp_supervisor_set_backoff (self->supervisor, 8, 48, 0);
  crash_times (self, 2);
  expect_delay (self, 5, 8);
  expect_delay (self, 6, 8);
}

static void
test_next_restart (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  gint64 before, next;
  guint delay;

  kcp_supervisor_set_backoff (self->supervisor, LONG_MS, LONG_MS, LONG_MS);
  supervised_start (self);
  before = g_get_monotonic_time ();
  supervised_crash (self);
  supervised_wait_for (self, KCP_SUPERVISOR_WAITING);
  delay = g_array_index (self->delays, guint, 0);
  g_object_get (self->supervisor, "next-restart", &next, NULL);
  g_assert_cmpint (next, >=, before + delay * G_GINT64_CONSTANT (1000));
  g_assert_cmpint (next, <=, g_get_monotonic_time () + delay * G_GINT64_CONSTANT (1000));

  /* Who asks for it need not wait, and what comes after it is counted anew. */
  kcp_supervisor_set_backoff (self->supervisor, 8, 8, LONG_MS);
  supervised_start (self);
  g_assert_cmpint (kcp_supervisor_get_next_restart (self->supervisor), ==, 0);
  g_assert_cmpuint (self->restarted, ==, 0);
  g_assert_cmpstr (self->states->str, ==, "SsRWsR");
}

static void
test_limit (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);
  g_autoptr (GAsyncResult) asked = NULL;

  kcp_supervisor_set_restart_limit (self->supervisor, 3, LONG_MS);
  supervised_start (self);
  crash_times (self, 3);
  supervised_crash (self);
  WAIT_UNTIL (self->failed == 1);
  g_assert_cmpstr (self->states->str, ==, "SsRWsRWsRWsRF");
  g_assert_cmpint (kcp_exit_report_get_reason (self->report), ==, KCP_EXIT_CRASHED);

  supervised_ask (self, "echo", "a", &asked);
  supervised_expect_error (self, &asked, KCP_ERROR, KCP_ERROR_NOT_RUNNING,
                           kcp_exit_report_get_summary (self->report));

  /* A start that is asked for resets what was counted. */
  supervised_start (self);
  g_assert_cmpuint (kcp_supervisor_get_restarts (self->supervisor), ==, 0);
  crash_times (self, 3);
  g_assert_cmpuint (self->failed, ==, 1);
  supervised_crash (self);
  WAIT_UNTIL (self->failed == 2);
  supervised_stop (self);
  g_assert_true (g_str_has_suffix (self->states->str, "RFS"));
}

static void
test_limit_window (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ALWAYS);

  /* Never two in a millisecond, since each waits for longer than that. */
  kcp_supervisor_set_backoff (self->supervisor, 4, 4, LONG_MS);
  kcp_supervisor_set_restart_limit (self->supervisor, 1, 1);
  supervised_start (self);
  crash_times (self, 5);
  g_assert_cmpuint (self->failed, ==, 0);

  kcp_supervisor_set_restart_limit (self->supervisor, 0, LONG_MS);
  supervised_crash (self);
  WAIT_UNTIL (self->failed == 1);
}

/* A restart that fails is a failure like others. */
static void
test_crash_in_start (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);

  kcp_supervisor_set_restart_limit (self->supervisor, 2, LONG_MS);
  supervised_start (self);
  create_file (self->crash_file);
  supervised_crash (self);
  WAIT_UNTIL (self->failed == 1);
  g_assert_cmpstr (self->states->str, ==, "SsRWsWsF");
  g_assert_cmpint (kcp_exit_report_get_reason (self->report), ==, KCP_EXIT_FAILED);
  g_assert_cmpint (kcp_exit_report_get_phase (self->report), ==, KCP_PHASE_STARTING);
  g_assert_cmpint (kcp_exit_report_get_signal (self->report), ==, SIGKILL);
  g_assert_cmpuint (self->restarted, ==, 0);

  g_remove (self->crash_file);
  supervised_start (self);
}

static void
test_recovers (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);

  supervised_start (self);
  create_file (self->fail_file);
  supervised_crash (self);
  WAIT_UNTIL (self->delays->len >= 3);
  g_assert_true (g_error_matches (kcp_supervisor_get_last_error (self->supervisor), KCP_ERROR,
                                  KCP_ERROR_PLUGIN_START));
  g_remove (self->fail_file);
  WAIT_UNTIL (self->restarted == 1);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (policies); i++)
    {
      static const char *const words[] = { "never", "on-failure", "always" };
      g_autofree char *path = g_strdup_printf ("/supervisor-policy/%s/%s%s", words[policies[i].policy],
                                               policies[i].path ? policies[i].path : "stopped",
                                               policies[i].text ? policies[i].text : "");

      g_test_add_data_func (path, &policies[i], test_policy);
    }
  g_test_add_func ("/supervisor-policy/killed-actor", test_killed_actor);
  g_test_add_func ("/supervisor-policy/unresponsive", test_unresponsive);
  g_test_add_func ("/supervisor-policy/unresponsive-already", test_unresponsive_already);
  g_test_add_func ("/supervisor-policy/backoff", test_backoff);
  g_test_add_func ("/supervisor-policy/next-restart", test_next_restart);
  g_test_add_func ("/supervisor-policy/limit", test_limit);
  g_test_add_func ("/supervisor-policy/limit-window", test_limit_window);
  g_test_add_func ("/supervisor-policy/crash-in-start", test_crash_in_start);
  g_test_add_func ("/supervisor-policy/recovers", test_recovers);
  return g_test_run ();
}
