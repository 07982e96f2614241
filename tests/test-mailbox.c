/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-pair.h"
#include "kcp-link-state-private.h"

/* Calls beyond those in flight wait in the mailbox, in their order, and a full one says so. */

static LinkPair *
new_pair (guint in_flight,
          guint calls,
          gsize bytes)
{
  LinkPair *pair = link_pair_new (0);
  const KcpLinkLimits limits = { in_flight, calls, bytes };

  kcp_link_set_limits (pair->host.link, &limits);
  return pair;
}

static void
answer_first (LinkPair   *pair,
              const char *path)
{
  g_autoptr (KcpInvocation) invocation = side_take (&pair->child);

  g_assert_cmpstr (kcp_invocation_get_path (invocation), ==, path);
  kcp_invocation_reply (invocation, NULL);
}

static void
test_order (void)
{
  g_autoptr (LinkPair) pair = new_pair (2, 100, 1000000);
  Answer answers[5] = { { 0 } };
  const char *paths[] = { "a", "b", "c", "d", "e" };
  g_autoptr (KcpMessage) told = text_message ("told", NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    ask (&pair->host, paths[i], NULL, NULL, &answers[i]);
  g_assert_true (kcp_link_tell (pair->host.link, told, &error));
  g_assert_no_error (error);
  settle ();
  g_assert_cmpuint (pair->child.kept->len, ==, 2);
  g_assert_cmpuint (kcp_link_count_calls (pair->host.link), ==, 6);

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      WAIT_FOR (pair->child.kept->len > 0);
      answer_first (pair, paths[i]);
      WAIT_FOR (answers[i].count == 1);
      g_assert_no_error (answers[i].error);
      answer_clear (&answers[i]);
    }
  /* What is told does not overtake what was asked before. */
  WAIT_FOR (pair->child.kept->len == 1);
  answer_first (pair, "told");
}

static void
test_full (void)
{
  g_autoptr (LinkPair) pair = new_pair (1, 2, 1000000);
  g_auto (Answer) first = { 0 }, second = { 0 }, third = { 0 }, fourth = { 0 }, patient = { 0 };
  g_autoptr (KcpMessage) message = text_message ("patient", NULL);
  g_autoptr (KcpMessage) told = text_message ("told", NULL);
  g_autoptr (GError) error = NULL;

  ask (&pair->host, "1", NULL, NULL, &first);
  ask (&pair->host, "2", NULL, NULL, &second);
  ask (&pair->host, "3", NULL, NULL, &third);
  ask (&pair->host, "4", NULL, NULL, &fourth);
  g_assert_cmpuint (fourth.count, ==, 0);   /* never from inside */
  WAIT_FOR (fourth.count == 1);
  g_assert_error (fourth.error, KCP_ERROR, KCP_ERROR_BUSY);
  g_assert_nonnull (strstr (fourth.error->message, "2 calls"));
  g_assert_false (kcp_link_tell (pair->host.link, told, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_BUSY);

  kcp_message_set_wait_for_room (message, TRUE);
  kcp_link_ask_async (pair->host.link, NULL, message, NULL, take_answer, &patient);
  settle ();
  g_assert_cmpuint (patient.count, ==, 0);

  answer_first (pair, "1");
  WAIT_FOR (pair->child.kept->len == 1);
  answer_first (pair, "2");
  WAIT_FOR (pair->child.kept->len == 1);
  answer_first (pair, "3");
  WAIT_FOR (pair->child.kept->len == 1);
  answer_first (pair, "patient");
  WAIT_FOR (patient.count == 1);
  g_assert_no_error (patient.error);
}

static void
test_bytes (void)
{
  g_autoptr (LinkPair) pair = new_pair (1, 100, 1000);
  g_auto (Answer) first = { 0 }, large = { 0 }, small = { 0 };
  g_autofree char *json = g_strnfill (5000, '7');

  ask (&pair->host, "1", NULL, NULL, &first);
  ask (&pair->host, "large", json, NULL, &large);   /* one always fits */
  ask (&pair->host, "small", NULL, NULL, &small);
  WAIT_FOR (small.count == 1);
  g_assert_error (small.error, KCP_ERROR, KCP_ERROR_BUSY);
  answer_first (pair, "1");
  WAIT_FOR (pair->child.kept->len == 1);
  answer_first (pair, "large");
  WAIT_FOR (large.count == 1);
}

static void
test_leaving_early (void)
{
  g_autoptr (LinkPair) pair = new_pair (1, 100, 1000000);
  g_auto (Answer) first = { 0 }, cancelled = { 0 }, late = { 0 }, last = { 0 };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpMessage) message = text_message ("late", NULL);

  ask (&pair->host, "1", NULL, NULL, &first);
  ask (&pair->host, "cancelled", NULL, cancellable, &cancelled);
  kcp_message_set_timeout (message, 1);
  kcp_link_ask_async (pair->host.link, NULL, message, NULL, take_answer, &late);
  ask (&pair->host, "last", NULL, NULL, &last);
  g_cancellable_cancel (cancellable);
  WAIT_FOR (cancelled.count == 1 && late.count == 1);
  g_assert_error (cancelled.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_error (late.error, KCP_ERROR, KCP_ERROR_TIMED_OUT);

  answer_first (pair, "1");
  WAIT_FOR (pair->child.kept->len == 1);
  answer_first (pair, "last");
  WAIT_FOR (last.count == 1);
  g_assert_cmpuint (pair->child.invoked, ==, 2);
  g_assert_cmpuint (pair->host.link->mailbox_bytes, ==, 0);
}

/* A call of the host inside a callback of the child does not wait behind what waits for it. */
static void
ask_inside (TestSide      *side,
            KcpInvocation *invocation)
{
  ask (side, "inside", NULL, NULL, side->data);
  kcp_invocation_reply (invocation, NULL);
}

static void
call_back (TestSide      *side,
           KcpInvocation *invocation)
{
  g_ptr_array_add (side->kept, kcp_invocation_ref (invocation));
  if (g_str_equal (kcp_invocation_get_path (invocation), "outer"))
    ask (side, "back", NULL, NULL, side->data);
}

static void
test_inside (void)
{
  g_autoptr (LinkPair) pair = new_pair (1, 100, 1000000);
  g_auto (Answer) outer = { 0 }, waiting = { 0 }, inside = { 0 }, back = { 0 };

  pair->host.handler = ask_inside;
  pair->host.data = &inside;
  pair->child.handler = call_back;
  pair->child.data = &back;
  ask (&pair->host, "outer", NULL, NULL, &outer);
  ask (&pair->host, "waiting", NULL, NULL, &waiting);
  WAIT_FOR (pair->child.kept->len == 2);
  answer_first (pair, "outer");
  answer_first (pair, "inside");
  WAIT_FOR (inside.count == 1 && outer.count == 1);
  WAIT_FOR (pair->child.kept->len == 1);
  answer_first (pair, "waiting");
  WAIT_FOR (waiting.count == 1 && back.count == 1);
}

#define MANY 3000

/* Those in flight and those that wait: each fails once, in their order. */
static void
test_close (void)
{
  g_autoptr (LinkPair) pair = new_pair (100, MANY, 100000000);
  g_autofree Answer *answers = g_new0 (Answer, MANY);

  for (guint i = 0; i < MANY; i++)
    ask (&pair->host, "x", NULL, NULL, &answers[i]);
  settle ();
  g_assert_cmpuint (pair->child.invoked, ==, 100);
  side_close (&pair->host);
  settle ();
  for (guint i = 0; i < MANY; i++)
    {
      g_assert_cmpuint (answers[i].count, ==, 1);
      g_assert_error (answers[i].error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
      g_assert_cmpint (strstr (answers[i].error->message, "not sent yet") != NULL, ==, i >= 100);
      answer_clear (&answers[i]);
    }
}

/* Before a GOODBYE all of it goes out. */
static void
test_send_all (void)
{
  g_autoptr (LinkPair) pair = new_pair (1, 100, 1000000);
  Answer answers[10] = { { 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    ask (&pair->host, "x", NULL, NULL, &answers[i]);
  kcp_link_mailbox_send_all (pair->host.link);
  WAIT_FOR (pair->child.kept->len == G_N_ELEMENTS (answers));
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    answer_first (pair, "x");
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      WAIT_FOR (answers[i].count == 1);
      answer_clear (&answers[i]);
    }
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/mailbox/order", test_order);
  g_test_add_func ("/mailbox/full", test_full);
  g_test_add_func ("/mailbox/bytes", test_bytes);
  g_test_add_func ("/mailbox/leaving-early", test_leaving_early);
  g_test_add_func ("/mailbox/inside", test_inside);
  g_test_add_func ("/mailbox/close", test_close);
  g_test_add_func ("/mailbox/send-all", test_send_all);
  return g_test_run ();
}
