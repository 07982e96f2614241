/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"
#include "link-pair.h"

/* Calls that nobody waits for any more, and what still comes for them. */

static void
echo (TestSide      *side,
      KcpInvocation *invocation)
{
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
}

static void
test_cancel_before (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Answer) answer = { 0 };

  g_cancellable_cancel (cancellable);
  ask (&pair->host, "a", NULL, cancellable, &answer);
  g_assert_cmpuint (answer.count, ==, 0);   /* never from inside */
  WAIT_FOR (answer.count == 1);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  settle ();
  g_assert_cmpuint (pair->child.invoked, ==, 0);
  g_assert_cmpuint (kcp_channel_get_sent (pair->host.link->request), ==, 0);
}

static gpointer
cancel_it (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel_after (gconstpointer from_thread)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpInvocation) invocation = NULL;
  g_auto (Answer) answer = { 0 };

  ask (&pair->host, "a", NULL, cancellable, &answer);
  WAIT_FOR (pair->child.kept->len == 1);
  invocation = side_take (&pair->child);
  if (from_thread)
    g_thread_join (g_thread_new ("cancels", cancel_it, cancellable));
  else
    g_cancellable_cancel (cancellable);
  g_assert_cmpuint (answer.count, ==, 0);
  WAIT_FOR (answer.count == 1 && !kcp_invocation_is_open (invocation));
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (invocation)));
  g_assert_cmpuint (pair->child.drained, ==, 1);

  /* The handler's answer goes nowhere, and that is nobody's fault. */
  reply_text (invocation, "1");
  settle ();
  g_assert_cmpuint (answer.count, ==, 1);
  g_assert_cmpuint (kcp_channel_get_late (pair->host.link->request), ==, 0);
}

static void
test_cancel_after_reply (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Answer) answer = { 0 };

  pair->child.handler = echo;
  ask (&pair->host, "a", "1", cancellable, &answer);
  WAIT_FOR (answer.count == 1);
  g_cancellable_cancel (cancellable);
  settle ();
  g_assert_cmpuint (answer.count, ==, 1);
  assert_message (answer.message, "1");
  g_assert_cmpuint (kcp_channel_get_late (pair->child.link->request), ==, 0);   /* no CANCEL came */
}

/* A call that has begun to leave is cancelled behind itself; one that waits for room was never sent,
 * and has no id yet. */
static void
test_cancel_in_full_socket (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autofree char *large = g_strnfill (8 * 1024 * 1024, '7');
  g_autoptr (GCancellable) first = g_cancellable_new ();
  g_autoptr (GCancellable) second = g_cancellable_new ();
  g_auto (Answer) answers = { 0 };
  static const struct { KcpFrameKind kind; guint64 id; } expected[] = {
    { KCP_FRAME_CALL, 1 }, { KCP_FRAME_CANCEL, 1 }, { KCP_FRAME_CALL, 2 },
  };

  ask (&pair->side, "a", large, first, &answers);
  ask (&pair->side, "b", large, second, &answers);
  ask (&pair->side, "c", NULL, NULL, &answers);
  g_assert_cmpuint (kcp_channel_get_pending (pair->side.link->request), >, 4 * 1024 * 1024);
  g_cancellable_cancel (first);
  g_cancellable_cancel (second);
  WAIT_FOR (answers.count == 2);

  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      g_auto (KcpFrame) frame = { .body = NULL };

      raw_expect (pair, KCP_SOCKET_REQUEST, expected[i].kind, &frame);
      g_assert_cmpuint (frame.header.id, ==, expected[i].id);
    }
  raw_expect_none (pair, KCP_SOCKET_REQUEST);
}

/* On a socket whose frames are counted none vanishes: there, the CANCEL follows its CALL. */
static void
test_cancel_in_full_counted_socket (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);
  g_autofree char *large = g_strnfill (512 * 1024, '7');
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Answer) answers = { 0 };
  static const struct { KcpFrameKind kind; guint64 id; } expected[] = {
    { KCP_FRAME_CALL, 1 }, { KCP_FRAME_CALL, 2 }, { KCP_FRAME_CANCEL, 2 },
  };

  /* More than the socket takes, and less than makes calls wait in the mailbox. */
  ask (&pair->side, "a", large, NULL, &answers);
  g_assert_cmpuint (kcp_channel_get_pending (pair->side.link->callback), >, 0);
  ask (&pair->side, "b", NULL, cancellable, &answers);
  g_cancellable_cancel (cancellable);
  WAIT_FOR (answers.count == 1);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      g_auto (KcpFrame) frame = { .body = NULL };

      raw_expect (pair, KCP_SOCKET_CALLBACK, expected[i].kind, &frame);
      g_assert_cmpuint (frame.header.id, ==, expected[i].id);
    }
  g_assert_cmpuint (kcp_channel_get_sent (pair->side.link->callback), ==, 2);   /* CANCEL is not counted */
}

/* ---- answers that come too late ---- */

static void
test_late (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Answer) cancelled = { 0 };
  g_auto (Answer) answered = { 0 };

  ask (&pair->side, "a", NULL, cancellable, &cancelled);
  ask (&pair->side, "b", NULL, NULL, &answered);
  g_cancellable_cancel (cancellable);
  WAIT_FOR (cancelled.count == 1);

  /* An END for what was cancelled, an END after an END, and one for a tell would be the same. */
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_ITEM, 1, NULL, "1");
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, NULL, "1");
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 2, NULL, "2");
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 2, NULL, "3");
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_ERROR, 2, NULL, "{}");
  WAIT_FOR (kcp_channel_get_late (pair->side.link->request) == 4);
  g_assert_cmpuint (answered.count, ==, 1);
  assert_message (answered.message, "2");
  g_assert_cmpuint (pair->side.lost, ==, 0);
}

static void
test_late_cancel (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);

  pair->side.handler = echo;
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 4, &CALL_FIELDS ("a"), NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CANCEL, 4, NULL, NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CANCEL, 2, NULL, NULL);   /* taken back before it left */
  WAIT_FOR (kcp_channel_get_late (pair->side.link->request) == 2);
  g_assert_cmpuint (pair->side.lost, ==, 0);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/link-cancel/before", test_cancel_before);
  g_test_add_data_func ("/link-cancel/after", NULL, test_cancel_after);
  g_test_add_data_func ("/link-cancel/from-thread", "thread", test_cancel_after);
  g_test_add_func ("/link-cancel/after-reply", test_cancel_after_reply);
  g_test_add_func ("/link-cancel/in-full-socket", test_cancel_in_full_socket);
  g_test_add_func ("/link-cancel/in-full-counted-socket", test_cancel_in_full_counted_socket);
  g_test_add_func ("/link-cancel/late", test_late);
  g_test_add_func ("/link-cancel/late-cancel", test_late_cancel);

  return g_test_run ();
}
