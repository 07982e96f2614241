/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

#include <signal.h>
#include <string.h>

/* Calls that nobody waits for any more: cancelled before, while and after, or past their deadline. */

static void
expect_cancelled (KcpTestCall *call)
{
  kcp_test_call_wait (call);
  kcp_test_assert_error (call->error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
}

static void
assert_seen (KcpActor   *actor,
             const char *lines)
{
  g_autofree char *seen = calls_seen (actor);

  g_assert_cmpstr (seen, ==, lines);
}

/* ---- cancelled ---- */

/* Neither others that share the cancellable nor others at all are disturbed, and nothing is sent. */
static void
test_before (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpTestCall) other = kcp_test_call (actor, "echo", "1", NULL);
  g_autoptr (KcpTestCall) call = NULL;

  g_cancellable_cancel (cancellable);
  call = kcp_test_call (actor, "wait", NULL, cancellable);
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 1);
  expect_cancelled (call);
  kcp_test_call_wait (other);
  g_assert_no_error (other->error);
  assert_seen (actor, "");
  kcp_test_end (actor);
}

/* The child stands still, so the call cannot leave: it is taken back and never seen. */
static void
test_unsent (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 (8 * 1024 * 1024), 8 * 1024 * 1024);
  g_autoptr (KcpMessage) large = kcp_message_new_bytes ("echo", bytes, "a/b");
  g_autoptr (KcpTestCall) before = NULL;
  g_autoptr (KcpTestCall) call = NULL;
  g_autoptr (KcpTestCall) after = NULL;

  g_assert_cmpint (kill (kcp_actor_get_pid (actor), SIGSTOP), ==, 0);
  before = calls_call (actor, large, NULL);
  call = kcp_test_call (actor, "wait", NULL, cancellable);
  after = kcp_test_call (actor, "seen", NULL, NULL);
  g_cancellable_cancel (cancellable);
  g_assert_false (call->done);
  expect_cancelled (call);
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 2);

  g_assert_cmpint (kill (kcp_actor_get_pid (actor), SIGCONT), ==, 0);
  kcp_test_call_wait (before);
  g_assert_no_error (before->error);
  g_assert_true (g_bytes_equal (kcp_message_get_body_bytes (before->answer, NULL), bytes));
  kcp_test_call_wait (after);
  g_assert_no_error (after->error);
  assert_seen (actor, "");
  kcp_test_end (actor);
}

static void
test_sent (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "wait", "{\"name\":\"a\"}", cancellable);
  g_autoptr (KcpTestCall) other = kcp_test_call (actor, "wait", "{\"name\":\"b\"}", NULL);

  calls_await_seen (actor, "wait b: came, deadline=yes\n");
  g_cancellable_cancel (cancellable);
  g_assert_false (call->done);
  expect_cancelled (call);
  g_assert_false (other->done);
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 1);

  /* CANCEL is on its way before the next call is. */
  assert_seen (actor, "wait a: cancelled, open=0\n");
  kcp_actor_kill (actor);
  kcp_test_call_wait (other);
  g_assert_nonnull (other->error);
  kcp_exit_report_unref (kcp_test_await_exit (actor));
  g_object_unref (actor);
}

static gpointer
cancel_in_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

/* From another thread, and towards a handler that blocks in a thread of its own. */
static void
test_threads (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  KcpTestCall *calls[20];
  GThread *thread;

  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    calls[i] = kcp_test_call (actor, i % 2 ? "sleep" : "hold", NULL, cancellable);
  kcp_test_assert_serves (actor);

  thread = g_thread_new ("cancel", cancel_in_thread, cancellable);
  for (gsize i = 0; i < G_N_ELEMENTS (calls); i++)
    {
      expect_cancelled (calls[i]);
      kcp_test_call_free (calls[i]);
    }
  g_thread_join (thread);
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 0);
  calls_await_seen (actor, "sleep: woken, open=0\n");
  kcp_test_end (actor);
}

static void
test_after (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpTestCall) call = kcp_test_call (actor, "echo", "1", cancellable);

  kcp_test_call_wait (call);
  g_cancellable_cancel (cancellable);
  kcp_test_assert_serves (actor);
  g_assert_cmpuint (call->completions, ==, 1);
  g_assert_no_error (call->error);
  kcp_test_end (actor);
}

/* Takes in what has come without handing anything out. */
static void
ask_blocking (KcpActor *actor)
{
  g_autoptr (KcpMessage) message = calls_message ("echo", "2");
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_actor_ask (actor, message, NULL, &error);

  g_assert_no_error (error);
}

/* Answer and cancellation at about the same time: one of the two comes, once. */
static void
test_crossing (void)
{
  KcpActor *actor = calls_spawn (NULL);
  guint answered = 0, cancelled = 0;

  for (guint i = 0; i < 300; i++)
    {
      g_autoptr (GCancellable) cancellable = g_cancellable_new ();
      g_autoptr (KcpTestCall) call = kcp_test_call (actor, i % 2 ? "thread" : "echo", "1", cancellable);

      for (guint turns = 0; turns < i % 5; turns++)
        g_main_context_iteration (NULL, FALSE);
      if (i % 5 == 4)
        ask_blocking (actor);
      g_cancellable_cancel (cancellable);
      kcp_test_call_wait (call);
      if (call->answer)
        answered++;
      else
        {
          g_assert_error (call->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
          cancelled++;
        }
      g_assert_cmpuint (call->completions, ==, 1);
    }

  g_test_message ("%u answered, %u cancelled", answered, cancelled);
  /* Under valgrind one thread runs at a time, and few meet. */
  if (g_getenv ("KCP_TEST_VALGRIND") == NULL)
    {
      g_assert_cmpuint (answered, >=, 30);
      g_assert_cmpuint (cancelled, >=, 60);
    }
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 0);
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* ---- deadlines ---- */

static KcpTestCall *
call_with_timeout (KcpActor   *actor,
                   const char *path,
                   int         milliseconds)
{
  g_autoptr (KcpMessage) message = calls_message (path, NULL);

  kcp_message_set_timeout (message, milliseconds);
  return calls_call (actor, message, NULL);
}

static void
expect_timed_out (KcpTestCall *call)
{
  kcp_test_call_wait (call);
  kcp_test_assert_error (call->error, KCP_ERROR, KCP_ERROR_TIMED_OUT, "deadline");
}

static void
test_deadline (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpTestCall) waits = call_with_timeout (actor, "wait", 50);
  g_autoptr (KcpTestCall) sleeps = call_with_timeout (actor, "sleep", 60);
  g_autoptr (KcpTestCall) patient = kcp_test_call (actor, "hold", "5", NULL);
  g_autofree char *count = NULL;

  expect_timed_out (sleeps);
  expect_timed_out (waits);
  g_assert_false (patient->done);
  calls_await_seen (actor, "sleep: woken, open=0\n");

  count = kcp_test_ask (actor, "release", NULL, NULL);
  g_assert_cmpstr (count, ==, "1");
  kcp_test_call_wait (patient);
  g_assert_no_error (patient->error);
  kcp_test_end (actor);
}

/* Nobody in the host keeps the time of what was told, and its loop does not run: the child does it. */
static void
test_deadline_in_child (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpMessage) message = calls_message ("wait", NULL);
  g_autoptr (KcpMessage) question = calls_message ("seen", NULL);
  gboolean met = FALSE;

  kcp_message_set_timeout (message, 30);
  g_assert_true (kcp_actor_tell (actor, message, NULL));
  while (!met)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (KcpMessage) answer = kcp_actor_ask (actor, question, NULL, &error);
      g_autofree char *text = NULL;

      g_assert_no_error (error);
      text = calls_text (answer);
      met = strstr (text, "wait : cancelled, open=0") != NULL;
    }
  kcp_test_end (actor);
}

static gint64
deadline_of (KcpActor *actor,
             int       milliseconds)
{
  g_autofree char *text = calls_take (call_with_timeout (actor, "deadline", milliseconds), NULL);

  g_assert_nonnull (text);
  return g_ascii_strtoll (text, NULL, 10);
}

/* What the handler sees of it: its own, the launcher's, or none. */
static void
test_deadline_travels (void)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (NULL);
  KcpActor *actor;
  gint64 left;

  kcp_launcher_set_call_timeout (launcher, 5000000);
  actor = calls_spawn_with (launcher);

  left = deadline_of (actor, KCP_TIMEOUT_DEFAULT);
  g_assert_cmpint (left, >, 4000000);
  g_assert_cmpint (left, <=, 5000000);
  left = deadline_of (actor, 100000000);
  g_assert_cmpint (left, >, 90000000);
  g_assert_cmpint (left, <=, 100000000);
  left = deadline_of (actor, KCP_TIMEOUT_NONE);
  g_assert_cmpint (left, ==, -1);
  kcp_test_end (actor);
}

static void
test_default_deadline (void)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (NULL);
  g_autoptr (KcpTestCall) call = NULL;
  g_autoptr (KcpTestCall) patient = NULL;
  g_autofree char *count = NULL;
  KcpActor *actor;

  kcp_launcher_set_call_timeout (launcher, 40);
  actor = calls_spawn_with (launcher);
  patient = call_with_timeout (actor, "hold", KCP_TIMEOUT_NONE);
  call = kcp_test_call (actor, "wait", NULL, NULL);
  expect_timed_out (call);
  g_assert_false (patient->done);

  count = calls_take (call_with_timeout (actor, "release", KCP_TIMEOUT_NONE), NULL);
  g_assert_cmpstr (count, ==, "1");
  kcp_test_call_wait (patient);
  g_assert_no_error (patient->error);
  kcp_test_end (actor);
}

/* The main loop was busy with something else for longer than the deadline; what had come in time has come. */
static void
test_deadline_while_busy (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpTestCall) call = call_with_timeout (actor, "echo", 1500);
  gint64 until = g_get_monotonic_time () + 1700 * 1000;
  GPollFD nothing = { -1, 0, 0 };

  while (g_get_monotonic_time () < until)
    g_poll (&nothing, 1, (int) ((until - g_get_monotonic_time ()) / 1000) + 1);

  kcp_test_call_wait (call);
  g_assert_no_error (call->error);
  kcp_test_end (actor);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/cancel/before", test_before);
  kcp_test_add ("/cancel/unsent", test_unsent);
  kcp_test_add ("/cancel/sent", test_sent);
  kcp_test_add ("/cancel/threads", test_threads);
  kcp_test_add ("/cancel/after", test_after);
  kcp_test_add ("/cancel/crossing", test_crossing);
  kcp_test_add ("/deadline/passes", test_deadline);
  kcp_test_add ("/deadline/in-child", test_deadline_in_child);
  kcp_test_add ("/deadline/travels", test_deadline_travels);
  kcp_test_add ("/deadline/default", test_default_deadline);
  kcp_test_add ("/deadline/while-busy", test_deadline_while_busy);
  return kcp_test_run ();
}
