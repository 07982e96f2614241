/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

#include <string.h>

/* Calls of the child to its host: inside a call and inside one another, while the host waits in its main
 * loop and while it blocks, and what becomes of those that go wrong. Traces are in test-traces.c. */

/* ---- the host's side ---- */

typedef struct
{
  KcpActor *actor;
  KcpCallbackRouter *router;
  GPtrArray *kept;          /* of KcpInvocation, what “keep” got */
  GPtrArray *progress;      /* of numbers, what “progress” was told */
} Host;

static void
host_echo (KcpInvocation *invocation,
           gpointer       data)
{
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
}

static void
host_fail (KcpInvocation *invocation,
           gpointer       data)
{
  JsonArray *array = json_node_get_array (kcp_invocation_get_body (invocation, NULL));

  kcp_invocation_fail_printf (invocation, g_quark_from_string (json_array_get_string_element (array, 0)),
                              (int) json_array_get_int_element (array, 1), "the host refuses");
}

static void
host_drop (KcpInvocation *invocation,
           gpointer       data)
{
}

static void
host_keep (KcpInvocation *invocation,
           gpointer       data)
{
  Host *host = data;

  g_ptr_array_add (host->kept, kcp_invocation_ref (invocation));
}

static gpointer
answer_in_thread (gpointer data)
{
  g_autoptr (KcpInvocation) invocation = data;

  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
  return NULL;
}

static void
host_thread (KcpInvocation *invocation,
             gpointer       data)
{
  g_thread_unref (g_thread_new ("host answer", answer_in_thread, kcp_invocation_ref (invocation)));
}

static void
host_progress (KcpInvocation *invocation,
               gpointer       data)
{
  Host *host = data;
  JsonNode *number = kcp_invocation_get_body (invocation, NULL);

  g_assert_false (kcp_invocation_wants_reply (invocation));
  g_ptr_array_add (host->progress, GINT_TO_POINTER (json_node_get_int (number)));
}

static void
host_count (KcpInvocation *invocation,
            gpointer       data)
{
  gint64 items = json_node_get_int (kcp_invocation_get_body (invocation, NULL));

  for (gint64 i = 1; i <= items; i++)
    g_assert_true (kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), i)));
  kcp_invocation_reply (invocation, NULL);
}

static void
on_nest_answer (GObject      *source,
                GAsyncResult *result,
                gpointer      data)
{
  g_autoptr (KcpInvocation) invocation = data;
  GError *error = NULL;
  g_autoptr (KcpMessage) answer = kcp_actor_ask_finish (KCP_ACTOR (source), result, &error);

  if (answer)
    kcp_invocation_reply_message (invocation, answer);
  else
    kcp_invocation_take_error (invocation, error);
}

/* Asks the child the same, blocking if the body says so. */
static void
host_nest (KcpInvocation *invocation,
           gpointer       data)
{
  Host *host = data;
  JsonNode *body = kcp_invocation_get_body (invocation, NULL);
  g_autoptr (KcpMessage) question = kcp_message_new ("nest", json_node_ref (body));
  GError *error = NULL;

  if (json_object_get_int_member (json_node_get_object (body), "blocking"))
    {
      g_autoptr (KcpMessage) answer = kcp_actor_ask (host->actor, question, NULL, &error);

      if (answer)
        kcp_invocation_reply_message (invocation, answer);
      else
        kcp_invocation_take_error (invocation, error);
    }
  else
    kcp_actor_ask_async (host->actor, question, NULL, on_nest_answer, kcp_invocation_ref (invocation));
}

static Host *
host_new (void)
{
  static const struct
  {
    const char *path;
    KcpCallbackFunc func;
  } routes[] = {
    { "echo", host_echo },   { "fail", host_fail },         { "drop", host_drop },   { "keep", host_keep },
    { "thread", host_thread }, { "progress", host_progress }, { "count", host_count }, { "nest", host_nest },
  };
  Host *host = g_new0 (Host, 1);

  host->router = kcp_callback_router_new ();
  host->kept = g_ptr_array_new_with_free_func ((GDestroyNotify) kcp_invocation_unref);
  host->progress = g_ptr_array_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (routes); i++)
    g_assert_true (kcp_callback_router_add_func (host->router, routes[i].path, routes[i].func, host, NULL,
                                                 NULL));
  return host;
}

static Host *
host_start (void)
{
  Host *host = host_new ();

  host->actor = calls_spawn (KCP_CALLBACK_HANDLER (host->router));
  return host;
}

static void
host_end (Host *host)
{
  if (host->actor)
    kcp_test_end (host->actor);
  g_ptr_array_unref (host->kept);
  g_ptr_array_unref (host->progress);
  g_object_unref (host->router);
  g_free (host);
}

/* Asks in the main loop, or blocking. */
static char *
ask (Host        *host,
     gboolean     blocking,
     const char  *path,
     const char  *json,
     GError     **error)
{
  g_autoptr (KcpMessage) message = NULL;
  g_autoptr (KcpMessage) answer = NULL;

  if (!blocking)
    return kcp_test_ask (host->actor, path, json, error);

  message = calls_message (path, json);
  answer = kcp_actor_ask (host->actor, message, NULL, error);
  return answer ? calls_text (answer) : NULL;
}

static void
expect (Host       *host,
        gboolean    blocking,
        const char *path,
        const char *json,
        const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = ask (host, blocking, path, json, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, expected);
}

/* ---- inside a call ---- */

static void
test_inside (void)
{
  Host *host = host_start ();

  for (int blocking = 0; blocking < 2; blocking++)
    for (int child_blocks = 0; child_blocks < 2; child_blocks++)
      {
        g_autofree char *echo = g_strdup_printf ("{\"path\":\"echo\",\"body\":[1],\"blocking\":%d}",
                                                 child_blocks);
        g_autofree char *thread = g_strdup_printf ("{\"path\":\"thread\",\"body\":[2],\"blocking\":%d}",
                                                   child_blocks);

        expect (host, blocking, "ask-host", echo, "[1]");
        expect (host, blocking, "ask-host", thread, "[2]");
      }
  host_end (host);
}

/* Host and child by turns, eight times each, as loops and as blocked threads. */
static void
test_nested (void)
{
  Host *host = host_start ();

  for (int blocking = 0; blocking < 2; blocking++)
    {
      expect (host, blocking, "nest", "{\"depth\":8,\"blocking\":0}", "8");
      expect (host, blocking, "nest", "{\"depth\":8,\"blocking\":1}", "8");
    }
  host_end (host);
}

static void
test_too_deep (void)
{
  Host *host = host_start ();

  for (int inner = 0; inner < 2; inner++)
    {
      g_autofree char *json = g_strdup_printf ("{\"depth\":40,\"blocking\":%d}", inner);

      calls_expect_error (host->actor, "nest", json, KCP_ERROR, KCP_ERROR_TOO_LARGE, "32 deep");
    }
  host_end (host);
}

/* The second question is asked when the first was answered, by a handler that returned long before: it is
 * still inside of the call, and a host that blocks in it must serve it. */
static void
test_chain (void)
{
  Host *host = host_start ();

  for (int blocking = 0; blocking < 2; blocking++)
    {
      expect (host, blocking, "chain", "{\"path\":\"echo\",\"body\":3,\"times\":5}", "3");
      expect (host, blocking, "chain", "{\"path\":\"thread\",\"body\":4,\"times\":5}", "4");
    }
  host_end (host);
}

static void
test_host_streams (void)
{
  Host *host = host_start ();

  for (int blocking = 0; blocking < 2; blocking++)
    {
      expect (host, blocking, "stream-host", "{\"path\":\"count\",\"body\":100}", "5050");
      expect (host, blocking, "stream-host", "{\"path\":\"count\",\"body\":100,\"blocking\":1}", "5050");
      expect (host, blocking, "stream-host", "{\"path\":\"count\",\"body\":100,\"each\":\"thread\"}", "5050");
    }
  calls_expect_error (host->actor, "stream-host", "{\"path\":\"nowhere\"}", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH,
                      "nowhere");
  host_end (host);
}

/* What a handler tells comes before its answer, on whichever socket that is. */
static void
test_tells_before_end (void)
{
  Host *host = host_start ();

  for (int round = 0; round < 20; round++)
    {
      g_ptr_array_set_size (host->progress, 0);
      expect (host, round % 2, "tell-host", "{\"count\":200}", "200");
      g_assert_cmpuint (host->progress->len, ==, 200);
      for (int i = 0; i < 200; i++)
        g_assert_cmpint (GPOINTER_TO_INT (host->progress->pdata[i]), ==, i);
    }

  /* Where nobody serves it, it is lost, and nothing else is. */
  expect (host, FALSE, "tell-host", "{\"count\":3,\"path\":\"nowhere\"}", "3");
  kcp_test_assert_serves (host->actor);
  host_end (host);
}

/* ---- what goes wrong ---- */

static void
test_no_handler (void)
{
  KcpActor *actor = calls_spawn (NULL);

  calls_expect_error (actor, "ask-host", "{\"path\":\"echo\"}", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH,
                      "serves no callbacks");
  kcp_test_end (actor);
}

static void
test_failing (void)
{
  Host *host = host_start ();
  KcpActor *actor = host->actor;

  calls_expect_error (actor, "ask-host", "{\"path\":\"nowhere\"}", KCP_ERROR, KCP_ERROR_UNKNOWN_PATH,
                      "“nowhere”");
  calls_expect_error (actor, "ask-host", "{\"path\":\"drop\"}", KCP_ERROR, KCP_ERROR_UNANSWERED, "“drop”");
  calls_expect_error (actor, "ask-host", "{\"path\":\"fail\",\"body\":[\"g-file-error-quark\",4]}",
                      G_FILE_ERROR, 4, "the host refuses");
  calls_expect_error (actor, "ask-host", "{\"path\":\"fail\",\"body\":[\"KcpError\",20]}",
                      KCP_ERROR, KCP_ERROR_PERMISSION, "the host refuses");
  calls_expect_error (actor, "ask-host", "{\"path\":\"\"}", KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "path");
  host_end (host);
}

/* An error that neither side knows, there and back: what it was is still to be had. */
static void
test_failing_unknown (void)
{
  Host *host = host_start ();
  g_autoptr (KcpTestCall) call = kcp_test_call (host->actor, "ask-host",
                                                "{\"path\":\"fail\",\"body\":[\"somebody-error\",77]}", NULL);

  kcp_test_call_wait (call);
  g_assert_error (call->error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpstr (kcp_error_get_remote_domain (call->error), ==, "somebody-error");
  g_assert_cmpint (kcp_error_get_remote_code (call->error), ==, 77);
  g_assert_cmpstr (kcp_error_get_remote_message (call->error), ==, "the host refuses");
  host_end (host);
}

static gboolean
kept_is_cancelled (gpointer host)
{
  return g_cancellable_is_cancelled (kcp_invocation_get_cancellable (((Host *) host)->kept->pdata[0]));
}

/* CANCEL and the answer that it belongs to travel on two sockets: either may be first. */
static void
assert_kept_is_cancelled (Host *host)
{
  g_assert_cmpuint (host->kept->len, ==, 1);
  kcp_test_wait (kept_is_cancelled, host, "the cancellation");
  g_assert_false (kcp_invocation_is_open (host->kept->pdata[0]));
  /* An answer that comes too late goes nowhere, quietly. */
  kcp_invocation_reply (host->kept->pdata[0], NULL);
}

static void
test_never_answered (void)
{
  for (int child_blocks = 0; child_blocks < 2; child_blocks++)
    {
      Host *host = host_start ();
      g_autofree char *json = g_strdup_printf ("{\"path\":\"keep\",\"timeout\":40,\"blocking\":%d}",
                                               child_blocks);

      calls_expect_error (host->actor, "ask-host", json, KCP_ERROR, KCP_ERROR_TIMED_OUT, "“keep”");
      assert_kept_is_cancelled (host);
      host_end (host);
    }
}

/* The callback has more time of its own, and still ends with the call that it belongs to. */
static void
test_deadline_of_parent (void)
{
  Host *host = host_start ();
  g_autoptr (KcpMessage) message = calls_message ("ask-host", "{\"path\":\"keep\",\"timeout\":100000000}");
  g_autoptr (KcpTestCall) call = NULL;
  gint64 deadline;

  kcp_message_set_timeout (message, 200);
  call = calls_call (host->actor, message, NULL);
  kcp_test_call_wait (call);
  kcp_test_assert_error (call->error, KCP_ERROR, KCP_ERROR_TIMED_OUT, "deadline");
  kcp_test_assert_serves (host->actor);
  if (host->kept->len > 0)
    {
      deadline = kcp_invocation_get_deadline (host->kept->pdata[0]);
      g_assert_cmpint (deadline, >, 0);
      g_assert_cmpint (deadline, <, g_get_monotonic_time () + KCP_TEST_PATIENCE_MS * G_GINT64_CONSTANT (1000));
      assert_kept_is_cancelled (host);
    }
  host_end (host);
}

/* The plugin takes its question back. A plugin's cancellation is not the user's: it has a remote domain. */
static void
test_cancelled_by_child (void)
{
  Host *host = host_start ();
  g_autoptr (KcpTestCall) call = kcp_test_call (host->actor, "ask-host", "{\"path\":\"keep\",\"cancel\":1}",
                                                NULL);

  kcp_test_call_wait (call);
  g_assert_error (call->error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpstr (kcp_error_get_remote_domain (call->error), ==, g_quark_to_string (G_IO_ERROR));
  g_assert_cmpint (kcp_error_get_remote_code (call->error), ==, G_IO_ERROR_CANCELLED);
  kcp_test_assert_serves (host->actor);
  assert_kept_is_cancelled (host);
  host_end (host);
}

/* The child is gone while the host works for it. */
static void
test_child_killed (void)
{
  Host *host = host_start ();
  g_autoptr (KcpTestCall) call = kcp_test_call (host->actor, "ask-host", "{\"path\":\"keep\"}", NULL);

  while (host->kept->len == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_false (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (host->kept->pdata[0])));
  kcp_actor_kill (host->actor);
  kcp_exit_report_unref (kcp_test_await_exit (host->actor));
  g_assert_true (call->done);
  g_assert_nonnull (call->error);
  assert_kept_is_cancelled (host);
  g_clear_object (&host->actor);
  host_end (host);
}

/* ---- during the start ---- */

static void
test_during_start (void)
{
  Host *host = host_new ();
  g_autoptr (KcpLauncher) launcher = calls_launcher (KCP_CALLBACK_HANDLER (host->router));

  kcp_launcher_set_name (launcher, "lena");
  kcp_launcher_add_config (launcher, "ask", "thread");
  host->actor = calls_spawn_with (launcher);
  expect (host, FALSE, "greeting", NULL, "\"lena\"");
  host_end (host);
}

static void
test_during_start_fails (void)
{
  Host *host = host_new ();
  g_autoptr (KcpLauncher) launcher = calls_launcher (KCP_CALLBACK_HANDLER (host->router));
  g_autoptr (GError) error = NULL;

  /* See spawn_error() of test-errors.c. */
  kcp_launcher_setenv (launcher, "LSAN_OPTIONS", "detect_leaks=0");
  kcp_launcher_add_config (launcher, "ask", "nowhere");
  g_assert_null (kcp_test_spawn (launcher, NULL, &error));
  kcp_test_assert_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_START, "“nowhere”");
  host_end (host);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/callbacks/inside", test_inside);
  kcp_test_add ("/callbacks/nested", test_nested);
  kcp_test_add ("/callbacks/too-deep", test_too_deep);
  kcp_test_add ("/callbacks/chain", test_chain);
  kcp_test_add ("/callbacks/host-streams", test_host_streams);
  kcp_test_add ("/callbacks/tells-before-end", test_tells_before_end);
  kcp_test_add ("/callbacks/no-handler", test_no_handler);
  kcp_test_add ("/callbacks/failing", test_failing);
  kcp_test_add ("/callbacks/failing-unknown", test_failing_unknown);
  kcp_test_add ("/callbacks/never-answered", test_never_answered);
  kcp_test_add ("/callbacks/deadline-of-parent", test_deadline_of_parent);
  kcp_test_add ("/callbacks/cancelled-by-child", test_cancelled_by_child);
  kcp_test_add ("/callbacks/child-killed", test_child_killed);
  kcp_test_add ("/callbacks/during-start", test_during_start);
  kcp_test_add ("/callbacks/during-start-fails", test_during_start_fails);
  return kcp_test_run ();
}
