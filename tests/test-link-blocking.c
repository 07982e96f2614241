/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blocking-child.h"

#include "kcp-link-state-private.h"

#include <string.h>

/* A host that blocks in a call, and a child that runs in a thread of its own: what must go on
 * meanwhile goes on, and everything else waits. */

static GString *happened;

static void
note_host (TestSide      *side,
           KcpInvocation *invocation)
{
  g_string_append (happened, kcp_invocation_get_path (invocation));
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
}

static void
echo (TestSide      *side,
      KcpInvocation *invocation)
{
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
}

/* ---- what goes on ---- */

static void
test_ask (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autofree char *large = g_strnfill (3 * 1024 * 1024, '7');
  g_autofree char *large_answer = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 1000; i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i);
      g_autofree char *answer = ask_blocking (&pair->host, "echo", number, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (answer, ==, number);
    }
  large_answer = ask_blocking (&pair->host, "echo", large, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (large_answer, ==, large);
}

static void
test_callback_inside (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autofree char *answer = NULL;
  g_autoptr (GError) error = NULL;

  pair->host.handler = echo;
  answer = ask_blocking (&pair->host, "pass-on", "\"x\"", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (answer, ==, "\"x\"");
  g_assert_cmpuint (pair->host.invoked, ==, 1);
}

/* Also where the child blocks and the host runs its main loop. */
static void
test_callback_blocks (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_auto (Answer) answer = { 0 };

  pair->host.handler = echo;
  ask (&pair->host, "pass-on", "\"x\"", NULL, &answer);
  WAIT_FOR (answer.count == 1);
  assert_message (answer.message, "\"x\"");
}

static void
test_nested (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autofree char *eight = NULL;
  g_autofree char *deepest = NULL;
  g_autofree char *too_deep = NULL;
  g_autoptr (GError) error = NULL;

  pair->host.handler = nest;
  eight = ask_blocking (&pair->host, "nest", "8", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (eight, ==, "8");

  /* 32 calls, the outermost included. */
  deepest = ask_blocking (&pair->host, "nest", "31", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (deepest, ==, "31");
  too_deep = ask_blocking (&pair->host, "nest", "32", &error);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
  g_assert_nonnull (strstr (error->message, "32"));
  g_assert_true (kcp_link_is_whole (pair->host.link));
}

static gpointer
reply_in_thread (gpointer data)
{
  g_autoptr (KcpInvocation) invocation = data;

  reply_text (invocation, "\"thread\"");
  return NULL;
}

static void
hand_to_thread (TestSide      *side,
                KcpInvocation *invocation)
{
  side->data = g_thread_new ("replies", reply_in_thread, kcp_invocation_ref (invocation));
}

/* The thread that blocks is the one that has to send what another thread answers. */
static void
test_answer_from_thread (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autofree char *answer = NULL;

  pair->host.handler = hand_to_thread;
  answer = ask_blocking (&pair->host, "pass-on", "1", NULL);
  g_assert_cmpstr (answer, ==, "\"thread\"");
  g_thread_join (pair->host.data);
}

/* ---- what waits ---- */

static void
note_answer (GObject      *source,
             GAsyncResult *result,
             gpointer      letter)
{
  g_autoptr (KcpMessage) message = kcp_link_ask_finish (result, NULL);

  g_assert_nonnull (message);
  g_string_append (happened, letter);
}

static void
ask_noted (ThreadPair *pair,
           const char *path,
           const char *letter)
{
  g_autoptr (KcpMessage) message = text_message (path, "1");

  kcp_link_ask_async (pair->host.link, NULL, message, NULL, note_answer, (gpointer) letter);
}

static KcpLink *freed_link;

/* The last that waits: no turn is left over that would hold the link. */
static void
note_free (gpointer letter)
{
  g_string_append (happened, letter);
  g_assert_cmpuint (freed_link->deferred.length, ==, 0);
  g_assert_null (freed_link->deferred_source);
}

static void
test_unrelated_waits (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autofree char *answer = NULL;

  happened = g_string_new (NULL);
  pair->host.handler = note_host;
  ask_noted (pair, "keep", "a");
  ask_noted (pair, "keep", "b");
  answer = ask_blocking (&pair->host, "release", NULL, NULL);
  g_assert_cmpstr (answer, ==, "1");
  g_assert_cmpstr (happened->str, ==, "i");

  /* Now it is their turn, in the order of their coming; what begins now is behind them. */
  freed_link = pair->host.link;
  kcp_link_when_free (pair->host.link, note_free, (gpointer) "f", NULL);
  ask_noted (pair, "echo", "c");
  WAIT_FOR (strchr (happened->str, 'c'));
  g_assert_cmpuint (happened->len, ==, 6);
  g_assert_true (strchr (happened->str, 'a') < strchr (happened->str, 'b'));
  g_assert_true (strchr (happened->str, 'b') < strchr (happened->str, 'f'));
  g_assert_true (strchr (happened->str, 's') < strchr (happened->str, 'f'));
  g_assert_true (strchr (happened->str, 'f') < strchr (happened->str, 'c'));
  g_string_free (g_steal_pointer (&happened), TRUE);
}

/* Takes 4 s. What is found out while the thread blocks is told afterwards. */
static void
test_unresponsive (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autoptr (KcpMessage) message = text_message ("a", NULL);
  g_autoptr (GError) error = NULL;
  g_auto (Answer) open = { 0 };

  ask (&pair->side, "b", NULL, NULL, &open);
  kcp_message_set_timeout (message, 4500);
  g_assert_null (kcp_link_ask (pair->side.link, message, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  g_assert_cmpuint (pair->side.turns, ==, 0);
  WAIT_FOR (pair->side.turns == 1);
  g_assert_true (pair->side.unresponsive);
}

static void
loop_in_host (TestSide      *side,
              KcpInvocation *invocation)
{
  Answer *answer = side->data;

  ask (side, "echo", "1", NULL, answer);
  WAIT_FOR (answer->count == 1);
  reply_text (invocation, "\"looped\"");
}

/* User code that runs a main loop has let go of the blocking itself. */
static void
test_loop_inside (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autofree char *text = NULL;
  g_auto (Answer) answer = { 0 };

  pair->host.handler = loop_in_host;
  pair->host.data = &answer;
  text = ask_blocking (&pair->host, "pass-on", "1", NULL);
  g_assert_cmpstr (text, ==, "\"looped\"");
}

static void
on_answer_ask (GObject      *source,
               GAsyncResult *result,
               gpointer      data)
{
  ThreadPair *pair = data;
  g_autoptr (KcpMessage) message = kcp_link_ask_finish (result, NULL);

  pair->host.data = ask_blocking (&pair->host, "echo", "2", NULL);
}

static void
test_ask_in_callback (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (KcpMessage) message = text_message ("echo", "1");

  kcp_link_ask_async (pair->host.link, NULL, message, NULL, on_answer_ask, pair);
  WAIT_FOR (pair->host.data);
  g_assert_cmpstr (pair->host.data, ==, "2");
  g_free (pair->host.data);
}

/* ---- streams ---- */

static void
test_stream (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (KcpMessage) message = text_message ("items", NULL);
  g_autoptr (KcpStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  KcpMessage *item;
  guint count = 0;

  pair->host.handler = echo;
  stream = kcp_link_ask_stream (pair->host.link, message, NULL);
  while ((item = kcp_stream_next (stream, NULL, &error)))
    {
      g_autofree char *number = g_strdup_printf ("%u", count++);

      assert_message (item, number);
      kcp_message_unref (item);
    }
  g_assert_no_error (error);
  g_assert_cmpuint (count, ==, 200);
  g_assert_cmpuint (pair->host.invoked, ==, 4);
  assert_message (kcp_stream_get_result (stream), "\"end\"");
}

static void
test_stream_wait_cancelled (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (KcpMessage) message = text_message ("hang-and-cancel", NULL);
  g_autoptr (KcpStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = NULL;

  shared_cancellable = g_cancellable_new ();
  stream = kcp_link_ask_stream (pair->host.link, message, NULL);
  g_assert_null (kcp_stream_next (stream, shared_cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_false (kcp_stream_is_done (stream));   /* only the wait was cancelled */
  g_clear_object (&shared_cancellable);

  pair->host.handler = note_host;
  happened = g_string_new (NULL);
  answer = ask_blocking (&pair->host, "release", NULL, NULL);
  g_clear_error (&error);
  g_assert_null (kcp_stream_next (stream, NULL, &error));
  g_assert_no_error (error);
  assert_message (kcp_stream_get_result (stream), "1");
  settle ();
  g_string_free (g_steal_pointer (&happened), TRUE);
}

static void
test_stream_ends_badly (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (KcpMessage) message = text_message ("die", NULL);
  g_autoptr (KcpMessage) slow = text_message ("hang", NULL);
  g_autoptr (KcpStream) stream = NULL;
  g_autoptr (KcpStream) slow_stream = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) timed_out = NULL;

  kcp_message_set_timeout (slow, 30);
  slow_stream = kcp_link_ask_stream (pair->host.link, slow, NULL);
  g_assert_null (kcp_stream_next (slow_stream, NULL, &timed_out));
  g_assert_error (timed_out, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  stream = kcp_link_ask_stream (pair->host.link, message, NULL);
  g_assert_null (kcp_stream_next (stream, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/link-blocking/ask", test_ask);
  g_test_add_func ("/link-blocking/callback-inside", test_callback_inside);
  g_test_add_func ("/link-blocking/callback-blocks", test_callback_blocks);
  g_test_add_func ("/link-blocking/nested", test_nested);
  g_test_add_func ("/link-blocking/answer-from-thread", test_answer_from_thread);
  g_test_add_func ("/link-blocking/unrelated-waits", test_unrelated_waits);
  g_test_add_func ("/link-blocking/unresponsive", test_unresponsive);
  g_test_add_func ("/link-blocking/loop-inside", test_loop_inside);
  g_test_add_func ("/link-blocking/ask-in-callback", test_ask_in_callback);
  g_test_add_func ("/link-blocking/stream", test_stream);
  g_test_add_func ("/link-blocking/stream-wait-cancelled", test_stream_wait_cancelled);
  g_test_add_func ("/link-blocking/stream-ends-badly", test_stream_ends_badly);

  return g_test_run ();
}
