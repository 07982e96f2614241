/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

/* Calls that block: nothing of this program runs meanwhile but what answers the call. And main loops inside
 * of callbacks, in which everything goes on. */

static char *
ask_blocking (KcpActor      *actor,
              const char    *path,
              const char    *json,
              int            timeout,
              GCancellable  *cancellable,
              GError       **error)
{
  g_autoptr (KcpMessage) message = calls_message (path, json);
  g_autoptr (KcpMessage) answer = NULL;

  kcp_message_set_timeout (message, timeout);
  answer = kcp_actor_ask (actor, message, cancellable, error);
  return answer ? calls_text (answer) : NULL;
}

static void
expect_blocking (KcpActor   *actor,
                 const char *path,
                 const char *json,
                 const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = ask_blocking (actor, path, json, KCP_TIMEOUT_DEFAULT, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, expected);
}

static void
test_plain (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GError) error = NULL;

  for (int i = 0; i < 100; i++)
    expect_blocking (actor, i % 2 ? "echo" : "thread", "[\"x\"]", "[\"x\"]");
  g_assert_null (ask_blocking (actor, "fail", "{\"message\":\"why not\"}", KCP_TIMEOUT_DEFAULT, NULL,
                               &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED, "why not");
  expect_blocking (actor, "echo", "1", "1");
  kcp_test_end (actor);
}

/* ---- what runs and what does not ---- */

static guint foreign_runs;

static gboolean
on_foreign (gpointer data)
{
  foreign_runs++;
  return G_SOURCE_CONTINUE;
}

/* Idle, timeout and descriptor sources of all priorities, and a call that is answered meanwhile. */
static void
test_nothing_else_runs (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpTestCall) other = kcp_test_call (actor, "echo", "1", NULL);
  guint sources[] = {
    g_idle_add_full (G_PRIORITY_HIGH, on_foreign, NULL, NULL),
    g_idle_add_full (G_PRIORITY_DEFAULT, on_foreign, NULL, NULL),
    g_idle_add (on_foreign, NULL),
    g_timeout_add_full (G_PRIORITY_HIGH, 0, on_foreign, NULL, NULL),
  };

  foreign_runs = 0;
  for (int i = 0; i < 20; i++)
    expect_blocking (actor, "thread", "2", "2");
  g_assert_cmpuint (foreign_runs, ==, 0);
  /* Answered before ours was, and told only by the main loop. */
  g_assert_false (other->done);

  g_main_context_iteration (NULL, FALSE);
  g_assert_cmpuint (foreign_runs, >, 0);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    g_source_remove (sources[i]);
  kcp_test_call_wait (other);
  g_assert_no_error (other->error);
  kcp_test_end (actor);
}

/* Two children: the other one's answers wait as well. */
static void
test_other_child_waits (void)
{
  KcpActor *first = calls_spawn (NULL);
  KcpActor *second = calls_spawn (NULL);
  g_autoptr (KcpTestCall) call = kcp_test_call (second, "echo", "1", NULL);

  expect_blocking (first, "thread", "2", "2");
  expect_blocking (second, "thread", "3", "3");
  g_assert_false (call->done);
  kcp_test_call_wait (call);
  g_assert_no_error (call->error);
  kcp_test_end (first);
  kcp_test_end (second);
}

/* ---- the ends it can have ---- */

static void
test_deadline (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (ask_blocking (actor, "wait", NULL, 50, NULL, &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT, "“wait”");
  calls_await_seen (actor, "wait : cancelled, open=0\n");
  kcp_test_end (actor);
}

static gpointer
cancel_in_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancelled (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GThread *thread = g_thread_new ("cancel", cancel_in_thread, cancellable);

  /* The thread may be early or late: before the call, or while it waits. */
  for (int i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (ask_blocking (actor, "wait", NULL, KCP_TIMEOUT_NONE, cancellable, &error));
      kcp_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
    }
  g_thread_join (thread);
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* The last reference is dropped by what runs inside the call. */
static void
answer_and_drop (KcpInvocation *invocation,
                 gpointer       data)
{
  KcpActor **actor = data;

  g_clear_object (actor);
  kcp_invocation_reply (invocation, NULL);
}

static void
test_dropped_inside (void)
{
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();
  KcpActor *actor = NULL;
  g_autoptr (GError) error = NULL;
  char *text;

  g_assert_true (kcp_callback_router_add_func (router, "drop", answer_and_drop, &actor, NULL, NULL));
  actor = calls_spawn (KCP_CALLBACK_HANDLER (router));
  text = ask_blocking (actor, "ask-host", "{\"path\":\"drop\"}", KCP_TIMEOUT_DEFAULT, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "null");
  g_assert_null (actor);
  g_free (text);
}

/* ---- main loops inside of main loops ---- */

typedef struct
{
  guint depth, deepest;
  guint done;
} Nested;

static void nested_ask (KcpActor *actor,
                        Nested   *nested);

static void
on_nested_answer (GObject      *source,
                  GAsyncResult *result,
                  gpointer      data)
{
  KcpActor *actor = KCP_ACTOR (source);
  Nested *nested = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_actor_ask_finish (actor, result, &error);

  g_assert_no_error (error);
  nested->done++;
  if (nested->deepest == 20)
    return;

  /* Others wait for their turn in the same reader; the loop in here must hand them out. */
  nested->depth++;
  nested->deepest = MAX (nested->deepest, nested->depth);
  expect_blocking (actor, "echo", "7", "7");
  nested_ask (actor, nested);
  kcp_test_assert_serves (actor);
  nested->depth--;
}

static void
nested_ask (KcpActor *actor,
            Nested   *nested)
{
  g_autoptr (KcpMessage) message = calls_message ("echo", "1");

  for (int i = 0; i < 3; i++)
    kcp_actor_ask_async (actor, message, NULL, on_nested_answer, nested);
}

static gboolean
nothing_in_flight (gpointer actor)
{
  return kcp_actor_get_in_flight (actor) == 0;
}

static void
test_nested_loops (void)
{
  KcpActor *actor = calls_spawn (NULL);
  Nested nested = { 0 };

  nested_ask (actor, &nested);
  kcp_test_wait (nothing_in_flight, actor, "all answers");
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_test_message ("%u answers, %u deep", nested.done, nested.deepest);
  g_assert_cmpuint (nested.depth, ==, 0);
  g_assert_cmpuint (nested.deepest, ==, 20);
  g_assert_cmpuint (nested.done % 3, ==, 0);
  kcp_test_end (actor);
}

/* A dialog's loop inside of a completion that ends the child for good. */
static void
on_answer_end (GObject      *source,
               GAsyncResult *result,
               gpointer      data)
{
  gboolean *done = data;
  g_autoptr (KcpMessage) answer = kcp_actor_ask_finish (KCP_ACTOR (source), result, NULL);

  g_assert_nonnull (answer);
  kcp_exit_report_unref (kcp_test_stop (KCP_ACTOR (source)));
  g_assert_cmpint (kcp_actor_get_state (KCP_ACTOR (source)), ==, KCP_ACTOR_EXITED);
  *done = TRUE;
}

static void
test_stop_inside (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpMessage) message = calls_message ("echo", "1");
  g_autoptr (KcpTestCall) held = kcp_test_call (actor, "hold", "2", NULL);
  g_autoptr (KcpTestCall) release = NULL;
  gboolean done = FALSE;

  kcp_actor_ask_async (actor, message, NULL, on_answer_end, &done);
  release = kcp_test_call (actor, "release", NULL, NULL);
  kcp_test_wait_flag (&done, "the stop");
  g_assert_true (held->done);
  g_assert_no_error (held->error);
  g_assert_true (release->done);
  g_assert_no_error (release->error);
  g_object_unref (actor);
}

/* ---- a context that is not the default one ---- */

static void
keep_result (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

/* The fixture runs the default context; in here everything blocks, or runs its own. */
static gpointer
ask_in_thread (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  g_autoptr (KcpLauncher) launcher = NULL;
  g_autoptr (KcpActor) actor = NULL;
  g_autoptr (GAsyncResult) started = NULL, stopped = NULL;
  g_autoptr (KcpExitReport) report = NULL;
  g_autoptr (GError) error = NULL;

  g_main_context_push_thread_default (context);
  launcher = calls_launcher (NULL);
  kcp_launcher_spawn_async (launcher, NULL, keep_result, &started);
  while (started == NULL)
    g_main_context_iteration (context, TRUE);
  actor = kcp_launcher_spawn_finish (launcher, started, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 10; i++)
    expect_blocking (actor, "thread", "[]", "[]");

  kcp_actor_stop_async (actor, NULL, keep_result, &stopped);
  while (stopped == NULL)
    g_main_context_iteration (context, TRUE);
  report = kcp_actor_stop_finish (actor, stopped, &error);
  g_assert_no_error (error);
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_STOPPED);
  g_main_context_pop_thread_default (context);
  return NULL;
}

static void
test_own_context (void)
{
  g_thread_join (g_thread_new ("own context", ask_in_thread, NULL));
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/blocking/plain", test_plain);
  kcp_test_add ("/blocking/nothing-else-runs", test_nothing_else_runs);
  kcp_test_add ("/blocking/other-child-waits", test_other_child_waits);
  kcp_test_add ("/blocking/deadline", test_deadline);
  kcp_test_add ("/blocking/cancelled", test_cancelled);
  kcp_test_add ("/blocking/dropped-inside", test_dropped_inside);
  kcp_test_add ("/loops/nested", test_nested_loops);
  kcp_test_add ("/loops/stop-inside", test_stop_inside);
  kcp_test_add ("/loops/own-context", test_own_context);
  return kcp_test_run ();
}
