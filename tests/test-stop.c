/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The ladder: GOODBYE, SIGTERM, SIGKILL, and what is left of the child's group. Times are only
 * shortened for steps that have to pass; the others would be noticed by the frame's patience. */

static KcpActor *
spawn_with (const char *first_key,
            const char *first_value,
            const char *second_key,
            const char *second_value,
            int         drain,
            int         term)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  if (first_key)
    kcp_launcher_add_config (launcher, first_key, first_value);
  if (second_key)
    kcp_launcher_add_config (launcher, second_key, second_value);
  kcp_launcher_set_stop_timeouts (launcher, drain, term, KCP_TEST_PATIENCE_MS);
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  return actor;
}

static void
assert_ended (KcpExitReport *report,
              KcpExitReason  reason,
              const char    *step)
{
  g_test_message ("%s", kcp_exit_report_get_summary (report));
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, reason);
  g_assert_cmpint (kcp_exit_report_get_phase (report), ==, KCP_PHASE_STOPPING);
  kcp_test_assert_part (kcp_exit_report_get_summary (report), step);
}

/* A child that is given everything to do and leaves nothing behind in its own memory either. */
static void
test_leaks (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_test_launcher ("misbehave");
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  kcp_test_check_leaks (launcher);
  kcp_launcher_unsetenv (launcher, "G_DEBUG");
  kcp_launcher_add_config (launcher, "configure", "nothing");
  actor = kcp_test_spawn (launcher, NULL, &error);
  g_assert_no_error (error);
  {
    g_autoptr (KcpTestCall) held = kcp_test_call (actor, "hold", NULL, NULL);
    g_autofree char *log = kcp_test_ask (actor, "log", "\"x\"", NULL);
    g_autofree char *back = kcp_test_ask (actor, "call-host", "\"nothing\"", NULL);
    g_autofree char *drop = kcp_test_ask (actor, "drop", NULL, NULL);
    g_autofree char *threads = kcp_test_ask (actor, "log-threads", NULL, NULL);
    g_autofree char *none = kcp_test_ask (actor, "no-such-path", "[1,{}]", NULL);
    g_autofree char *release = kcp_test_ask (actor, "release", NULL, NULL);

    kcp_test_call_wait (held);
  }
  kcp_test_end (actor);
}

/* ---- the steps ---- */

static void
test_goodbye (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);

  assert_ended (report, KCP_EXIT_STOPPED, "GOODBYE");
  g_assert_cmpint (kcp_exit_report_get_exit_code (report), ==, 0);
  /* The plugin was told. */
  kcp_test_assert_part (kcp_exit_report_get_stderr_tail (report), "stop was called");
  g_object_unref (actor);
}

static void
test_drain (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (KcpTestCall) first = kcp_test_call (actor, "hold", NULL, NULL);
  g_autoptr (KcpTestCall) second = kcp_test_call (actor, "hold", NULL, NULL);
  g_autoptr (KcpTestCall) release = kcp_test_call (actor, "release", NULL, NULL);
  g_autoptr (KcpTestCall) late = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) message = kcp_message_new ("echo", NULL);
  g_autoptr (KcpExitReport) report = NULL;

  kcp_actor_stop_async (actor, NULL, NULL, NULL);
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_STOPPING);
  late = kcp_test_call (actor, "echo", "1", NULL);
  g_assert_false (kcp_actor_tell (actor, message, &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING, "stopp");

  report = kcp_test_await_exit (actor);
  assert_ended (report, KCP_EXIT_STOPPED, "GOODBYE");
  g_assert_no_error (first->error);
  g_assert_no_error (second->error);
  g_assert_no_error (release->error);
  kcp_test_assert_error (late->error, KCP_ERROR, KCP_ERROR_STOPPING, "echo");
  g_assert_cmpuint (kcp_exit_report_get_calls_in_flight (report), ==, 0);
  g_object_unref (actor);
}

/* What is not answered within the grace fails, and the child goes all the same. */
static void
test_drain_ends (void)
{
  KcpActor *actor = spawn_with (NULL, NULL, NULL, NULL, 300, KCP_TEST_PATIENCE_MS);
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "hold", NULL, NULL);
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);

  g_assert_true (call->done);
  g_assert_nonnull (call->error);
  g_assert_true (call->error->code == KCP_ERROR_STOPPING || call->error->code == KCP_ERROR_UNANSWERED);
  g_test_message ("%s; %s", call->error->message, kcp_exit_report_get_summary (report));
  g_object_unref (actor);
}

static void
test_term (void)
{
  KcpActor *actor = spawn_with ("stop", "hang", NULL, NULL, 300, KCP_TEST_PATIENCE_MS);
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);

  assert_ended (report, KCP_EXIT_KILLED, "SIGTERM");
  g_assert_cmpint (kcp_exit_report_get_signal (report), ==, SIGTERM);
  g_object_unref (actor);
}

static void
test_kill (void)
{
  static const char *const ways[] = { "hang", "hang-blocked" };

  for (gsize i = 0; i < G_N_ELEMENTS (ways); i++)
    {
      KcpActor *actor = spawn_with ("term", "ignore", "stop", ways[i], 300, 300);
      g_autoptr (KcpExitReport) report = kcp_test_stop (actor);

      assert_ended (report, KCP_EXIT_KILLED, "SIGKILL");
      g_assert_cmpint (kcp_exit_report_get_signal (report), ==, SIGKILL);
      g_object_unref (actor);
    }
}

/* A handler that never comes back: nobody in there reads the GOODBYE. */
static void
test_busy_handler (void)
{
  KcpActor *actor = spawn_with ("term", "ignore", NULL, NULL, 300, 300);
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "end", "\"hang-blocked\"", NULL);
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);

  assert_ended (report, KCP_EXIT_KILLED, "SIGKILL");
  kcp_test_assert_error (call->error, KCP_ERROR, KCP_ERROR_STOPPING, "“end”");
  g_object_unref (actor);
}

/* It comes to its end while it is asked to: that is a crash all the same. */
static void
test_crash_in_stop (void)
{
  KcpActor *actor = kcp_test_misbehave ("stop", "segv");
  g_autoptr (KcpExitReport) report = kcp_test_stop (actor);

  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_CRASHED);
  g_assert_cmpint (kcp_exit_report_get_signal (report), ==, SIGSEGV);
  g_object_unref (actor);
}

static void
test_deadline (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) message = kcp_message_new ("hold", NULL);
  g_autoptr (KcpMessage) answer = NULL;

  kcp_message_set_timeout (message, 200);
  answer = kcp_actor_ask (actor, message, NULL, &error);
  g_assert_null (answer);
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT, "“hold”");
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* ---- more than once, early, late ---- */

static void
on_stopped (GObject      *source,
            GAsyncResult *result,
            gpointer      data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpExitReport) report = kcp_actor_stop_finish (KCP_ACTOR (source), result, &error);

  g_assert_no_error (error);
  g_assert_nonnull (report);
  (*(guint *) data)++;
}

static void
stop_again (KcpActor      *actor,
            KcpExitReport *report,
            guint         *stops)
{
  kcp_actor_stop_async (actor, NULL, on_stopped, stops);
  kcp_actor_kill (actor);
}

static gboolean
has_four (gpointer stops)
{
  return *(guint *) stops == 4;
}

static void
test_twice (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  guint stops = 0;

  g_signal_connect (actor, "exited", G_CALLBACK (stop_again), &stops);
  kcp_actor_stop_async (actor, NULL, on_stopped, &stops);
  kcp_actor_stop_async (actor, NULL, on_stopped, &stops);
  kcp_test_end (g_object_ref (actor));
  kcp_actor_stop_async (actor, NULL, on_stopped, &stops);
  kcp_test_wait (has_four, &stops, "four stops");
  g_object_unref (actor);
}

static void
drop_it (KcpActor      *actor,
         KcpExitReport *report,
         KcpActor     **place)
{
  g_clear_object (place);
}

static gboolean
is_gone (gpointer place)
{
  return *(gpointer *) place == NULL;
}

static void
test_dropped_in_exited (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);

  g_signal_connect (actor, "exited", G_CALLBACK (drop_it), &actor);
  kcp_actor_stop_async (actor, NULL, NULL, NULL);
  kcp_test_wait (is_gone, &actor, "the drop");
}

/* The frame sees to it that nothing is left of them. */
static void
test_dropped (void)
{
  KcpActor *idle = kcp_test_misbehave (NULL, NULL);
  KcpActor *deaf = spawn_with ("term", "ignore", "stop", "hang", 100, 100);
  KcpActor *stopping = kcp_test_misbehave (NULL, NULL);
  KcpActor *crashing = kcp_test_misbehave (NULL, NULL);
  g_autoptr (KcpMessage) message = kcp_message_new_text ("end", "\"segv\"", NULL);

  g_object_unref (idle);
  g_object_unref (deaf);
  kcp_actor_stop_async (stopping, NULL, NULL, NULL);
  g_object_unref (stopping);
  g_assert_true (kcp_actor_tell (crashing, message, NULL));
  g_object_unref (crashing);
}

/* A call keeps its actor, so the drop takes effect after it. */
static void
test_dropped_in_call (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "echo", "1", NULL);

  g_object_unref (actor);
  kcp_test_call_wait (call);
  g_assert_no_error (call->error);
}

static void
on_wait_ended (GObject      *source,
               GAsyncResult *result,
               gpointer      data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpExitReport) report = kcp_actor_stop_finish (KCP_ACTOR (source), result, &error);

  g_assert_null (report);
  kcp_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, NULL);
  *(gboolean *) data = TRUE;
}

/* Who does not want to wait any more does not have to; the stop goes on. */
static void
test_cancelled_wait (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "hold", NULL, NULL);
  g_autoptr (KcpExitReport) report = NULL;
  gboolean ended = FALSE;

  kcp_actor_stop_async (actor, cancellable, on_wait_ended, &ended);
  g_cancellable_cancel (cancellable);
  kcp_test_wait_flag (&ended, "the wait's end");
  g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_STOPPING);
  g_assert_null (kcp_actor_get_exit_report (actor));

  kcp_actor_kill (actor);
  report = kcp_test_await_exit (actor);
  g_assert_true (call->done);
  g_object_unref (actor);
}

/* At the same time, each waiting for its own step. How long it took is for the reader. */
static void
test_many (void)
{
  KcpActor *actors[30];
  gint64 begin;

  for (gsize i = 0; i < G_N_ELEMENTS (actors); i++)
    actors[i] = spawn_with ("stop", "hang", NULL, NULL, 400, KCP_TEST_PATIENCE_MS);

  begin = g_get_monotonic_time ();
  for (gsize i = 0; i < G_N_ELEMENTS (actors); i++)
    kcp_actor_stop_async (actors[i], NULL, NULL, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (actors); i++)
    {
      g_autoptr (KcpExitReport) report = kcp_test_await_exit (actors[i]);

      g_assert_cmpint (kcp_exit_report_get_signal (report), ==, SIGTERM);
      g_object_unref (actors[i]);
    }
  g_test_message ("%d stops of 400 ms took %d ms", (int) G_N_ELEMENTS (actors),
                  (int) ((g_get_monotonic_time () - begin) / 1000));
}

/* ---- descendants ---- */

static int
fork_in (KcpActor   *actor,
         const char *how)
{
  g_autoptr (JsonNode) node = kcp_test_ask_node (actor, "fork", how);

  return (int) json_node_get_int (node);
}

typedef enum
{
  END_GOODBYE,
  END_KILL,
  END_CRASH,
  END_STRANGER,
} Way;

/* A grandchild in the group holds both pipes open and ignores SIGTERM. It neither keeps the exit
 * from being told nor outlives the child. */
static void
test_group (gconstpointer data)
{
  Way way = (Way) GPOINTER_TO_INT (data);
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  int pid = fork_in (actor, "\"stay\"");
  g_autoptr (KcpExitReport) report = NULL;
  int status;

  if (way == END_GOODBYE)
    kcp_actor_stop_async (actor, NULL, NULL, NULL);
  else if (way == END_KILL)
    kcp_actor_kill (actor);
  else if (way == END_STRANGER)
    g_assert_cmpint (kill (kcp_actor_get_pid (actor), SIGKILL), ==, 0);
  else
    {
      g_autoptr (KcpTestCall) call = kcp_test_call (actor, "end", "\"segv\"", NULL);

      kcp_test_call_wait (call);
    }

  report = kcp_test_await_exit (actor);
  g_object_unref (actor);
  status = kcp_test_reap (pid);
  g_assert_true (WIFSIGNALED (status));
  g_assert_cmpint (WTERMSIG (status), ==, SIGKILL);
}

/* One that has left the group is nobody's business any more, but it must not keep the exit from
 * being told although it holds the pipes. */
static void
test_escaped (void)
{
  KcpActor *actor = kcp_test_misbehave (NULL, NULL);
  int pid = fork_in (actor, "\"escape\"");

  kcp_test_end (actor);
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  kcp_test_reap (pid);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/stop/leaks", test_leaks);
  kcp_test_add ("/stop/goodbye", test_goodbye);
  kcp_test_add ("/stop/drain", test_drain);
  kcp_test_add ("/stop/drain/ends", test_drain_ends);
  kcp_test_add ("/stop/term", test_term);
  kcp_test_add ("/stop/kill", test_kill);
  kcp_test_add ("/stop/busy-handler", test_busy_handler);
  kcp_test_add ("/stop/crash-in-stop", test_crash_in_stop);
  kcp_test_add ("/stop/deadline", test_deadline);
  kcp_test_add ("/stop/twice", test_twice);
  kcp_test_add ("/stop/dropped-in-exited", test_dropped_in_exited);
  kcp_test_add ("/stop/dropped", test_dropped);
  kcp_test_add ("/stop/dropped-in-call", test_dropped_in_call);
  kcp_test_add ("/stop/cancelled-wait", test_cancelled_wait);
  kcp_test_add ("/stop/many", test_many);
  kcp_test_add_data ("/stop/group/goodbye", GINT_TO_POINTER (END_GOODBYE), test_group);
  kcp_test_add_data ("/stop/group/kill", GINT_TO_POINTER (END_KILL), test_group);
  kcp_test_add_data ("/stop/group/crash", GINT_TO_POINTER (END_CRASH), test_group);
  kcp_test_add_data ("/stop/group/stranger", GINT_TO_POINTER (END_STRANGER), test_group);
  kcp_test_add ("/stop/escaped", test_escaped);
  return kcp_test_run ();
}
