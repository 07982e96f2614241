/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-trace-context.h"
#include "link-pair.h"

#include <string.h>

/* Calls over two links: answers, errors, limits. */

/* ---- answers ---- */

#define MANY 10000

/* All are open at once, and the answers come in another order than the calls. */
static void
test_out_of_order (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autofree Answer *answers = g_new0 (Answer, MANY);

  for (guint i = 0; i < MANY; i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i);

      ask (&pair->host, "keep", number, NULL, &answers[i]);
    }
  g_assert_cmpuint (kcp_link_count_calls (pair->host.link), ==, MANY);
  WAIT_FOR (pair->child.kept->len == MANY);
  g_assert_cmpuint (kcp_link_count_invocations (pair->child.link), ==, MANY);

  while (pair->child.kept->len > 0)
    {
      guint index = (guint) g_test_rand_int_range (0, (int) pair->child.kept->len);
      g_autoptr (KcpInvocation) invocation = g_ptr_array_steal_index_fast (pair->child.kept, index);
      g_autofree char *number = invocation_text (invocation);

      reply_text (invocation, number);
    }

  WAIT_FOR (kcp_link_count_calls (pair->host.link) == 0);
  for (guint i = 0; i < MANY; i++)
    {
      g_autofree char *number = g_strdup_printf ("%u", i);

      g_assert_cmpuint (answers[i].count, ==, 1);
      assert_message (answers[i].message, number);
      answer_clear (&answers[i]);
    }
  g_assert_cmpuint (kcp_link_count_invocations (pair->child.link), ==, 0);
  g_assert_cmpuint (pair->child.drained, ==, 1);
}

static void
echo (TestSide      *side,
      KcpInvocation *invocation)
{
  kcp_invocation_reply_message (invocation, kcp_invocation_get_message (invocation));
}

static void
test_both_directions (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_auto (Answer) down = { 0 };
  g_auto (Answer) up = { 0 };

  pair->host.handler = pair->child.handler = echo;
  ask (&pair->host, "a", "\"down\"", NULL, &down);
  ask (&pair->child, "b", "\"up\"", NULL, &up);
  g_assert_cmpuint (down.count + up.count, ==, 0);
  WAIT_FOR (down.count == 1 && up.count == 1);
  assert_message (down.message, "\"down\"");
  assert_message (up.message, "\"up\"");
}

/* Bytes of any type, and everything that travels along. */
static void
test_what_travels (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (GBytes) bytes = g_bytes_new_static ("\0\xff\0", 3);
  g_autoptr (KcpMessage) message = kcp_message_new_bytes ("a", bytes, "application/x-test");
  g_autoptr (KcpTraceContext) trace = kcp_trace_context_new ();
  g_autoptr (KcpInvocation) invocation = NULL;
  g_auto (Answer) answer = { 0 };
  KcpMessage *got;

  kcp_message_set_baggage (message, "user=eva");
  kcp_message_set_trace_context (message, trace);
  kcp_link_ask_async (pair->host.link, NULL, message, NULL, take_answer, &answer);
  WAIT_FOR (pair->child.kept->len == 1);
  invocation = side_take (&pair->child);
  got = kcp_invocation_get_message (invocation);
  g_assert_cmpstr (kcp_message_get_content_type (got), ==, "application/x-test");
  g_assert_true (g_bytes_equal (kcp_message_get_body_bytes (got, NULL), bytes));
  g_assert_cmpstr (kcp_message_get_baggage (got), ==, "user=eva");
  g_assert_cmpstr (kcp_trace_context_get_traceparent (kcp_invocation_get_trace_context (invocation)), ==,
                   kcp_trace_context_get_traceparent (trace));
  kcp_invocation_reply_message (invocation, got);
  WAIT_FOR (answer.count == 1);
  g_assert_cmpstr (kcp_message_get_content_type (answer.message), ==, "application/x-test");
  g_assert_true (g_bytes_equal (kcp_message_get_body_bytes (answer.message, NULL), bytes));
}

/* Nothing comes back, whatever the handler does; and what it does is no mistake. */
static void
test_tell (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);
  g_autoptr (GByteArray) tell = raw_frame (KCP_FRAME_CALL, 1, &CALL_FIELDS ("a"), NULL);

  tell->data[5] = KCP_FRAME_FLAG_NO_REPLY;
  for (guint8 i = 1; i <= 3; i++)
    {
      g_autoptr (KcpInvocation) invocation = NULL;

      tell->data[8] = i;
      raw_send_bytes (pair, KCP_SOCKET_REQUEST, tell->data, tell->len);
      WAIT_FOR (pair->side.kept->len == 1);
      invocation = side_take (&pair->side);
      g_assert_false (kcp_invocation_wants_reply (invocation));
      if (i == 1)
        reply_text (invocation, "1");
      else if (i == 2)
        kcp_invocation_send_item (invocation, NULL);
      g_clear_pointer (&invocation, kcp_invocation_unref);
      g_assert_cmpuint (kcp_link_count_invocations (pair->side.link), ==, 0);
      g_assert_cmpuint (pair->side.drained, ==, i);
    }
  raw_expect_none (pair, KCP_SOCKET_REQUEST);
}

static void
test_tell_keeps_no_call (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpMessage) message = text_message ("a", "1");
  g_autoptr (KcpMessage) no_path = text_message (NULL, "1");
  g_autoptr (GError) error = NULL;

  g_assert_true (kcp_link_tell (pair->host.link, message, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (kcp_link_count_calls (pair->host.link), ==, 0);
  WAIT_FOR (pair->child.kept->len == 1);
  g_assert_false (kcp_link_tell (pair->host.link, no_path, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
}

/* ---- errors ---- */

static GError *
error_of (KcpInvocation *invocation)
{
  const char *path = kcp_invocation_get_path (invocation);

  if (g_str_equal (path, "known"))
    return g_error_new_literal (G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "not there");
  if (g_str_equal (path, "unknown"))
    return g_error_new_literal (g_quark_from_static_string ("test-link-domain"), 5, "its own");
  if (g_str_equal (path, "own"))
    return g_error_new_literal (KCP_ERROR, KCP_ERROR_BUSY, "full");
  if (g_str_equal (path, "crashed"))
    return g_error_new_literal (KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "boo");
  return g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "you have cancelled, believe me");
}

static void
fail (TestSide      *side,
      KcpInvocation *invocation)
{
  kcp_invocation_take_error (invocation, error_of (invocation));
}

static void
assert_handler_failed (Answer     *answer,
                       const char *domain,
                       int         code,
                       const char *message)
{
  g_assert_error (answer->error, KCP_ERROR, KCP_ERROR_HANDLER_FAILED);
  g_assert_cmpstr (kcp_error_get_remote_domain (answer->error), ==, domain);
  g_assert_cmpint (kcp_error_get_remote_code (answer->error), ==, code);
  g_assert_cmpstr (kcp_error_get_remote_message (answer->error), ==, message);
}

static void
test_errors (void)
{
  static const char *const paths[] = { "known", "unknown", "own", "crashed", "cancelled" };
  g_autoptr (LinkPair) pair = link_pair_new (0);
  Answer answers[G_N_ELEMENTS (paths)] = { 0 };

  pair->child.handler = fail;
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    ask (&pair->host, paths[i], NULL, NULL, &answers[i]);
  WAIT_FOR (kcp_link_count_calls (pair->host.link) == 0);

  g_assert_error (answers[0].error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
  g_assert_cmpstr (answers[0].error->message, ==, "not there");
  assert_handler_failed (&answers[1], "test-link-domain", 5, "its own");
  g_assert_error (answers[2].error, KCP_ERROR, KCP_ERROR_BUSY);
  assert_handler_failed (&answers[3], "kcp", KCP_ERROR_CHILD_CRASHED, "boo");
  assert_handler_failed (&answers[4], "g-io-error-quark", G_IO_ERROR_CANCELLED,
                         "you have cancelled, believe me");
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    answer_clear (&answers[i]);
}

static gpointer
drop_it (gpointer invocation)
{
  kcp_invocation_unref (invocation);
  return NULL;
}

static void
test_unanswered (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_auto (Answer) here = { 0 };
  g_auto (Answer) there = { 0 };

  ask (&pair->host, "some/path", NULL, NULL, &here);
  ask (&pair->host, "some/path", NULL, NULL, &there);
  WAIT_FOR (pair->child.kept->len == 2);
  kcp_invocation_unref (side_take (&pair->child));
  g_thread_join (g_thread_new ("drops", drop_it, side_take (&pair->child)));
  WAIT_FOR (here.count == 1 && there.count == 1);
  g_assert_error (here.error, KCP_ERROR, KCP_ERROR_UNANSWERED);
  g_assert_error (there.error, KCP_ERROR, KCP_ERROR_UNANSWERED);
  g_assert_nonnull (strstr (here.error->message, "some/path"));
  g_assert_cmpuint (kcp_link_count_invocations (pair->child.link), ==, 0);
}

static void
test_answered_twice (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpInvocation) invocation = NULL;
  g_auto (Answer) answer = { 0 };

  ask (&pair->host, "a", NULL, NULL, &answer);
  WAIT_FOR (pair->child.kept->len == 1);
  invocation = side_take (&pair->child);
  reply_text (invocation, "1");
  g_test_expect_message ("kcp", G_LOG_LEVEL_WARNING, "*answered twice*");
  reply_text (invocation, "2");
  g_test_assert_expected_messages ();
  WAIT_FOR (answer.count == 1);
  assert_message (answer.message, "1");
}

/* Bad text is the reader's to find out; the link stays. */
static void
test_invalid_json (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpInvocation) invocation = NULL;
  g_autoptr (GError) there = NULL;
  g_autoptr (GError) here = NULL;
  g_auto (Answer) answer = { 0 };

  ask (&pair->host, "a", "{\"a\":1,}", NULL, &answer);
  WAIT_FOR (pair->child.kept->len == 1);
  invocation = side_take (&pair->child);
  g_assert_null (kcp_invocation_get_body (invocation, &there));
  g_assert_error (there, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  reply_text (invocation, "[1,2");
  WAIT_FOR (answer.count == 1);
  g_assert_no_error (answer.error);
  g_assert_null (kcp_message_get_body (answer.message, &here));
  g_assert_error (here, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_true (kcp_link_is_whole (pair->host.link));
  g_assert_true (kcp_link_is_whole (pair->child.link));
}

/* ---- limits ---- */

static void
test_too_large (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (5000);
  g_autofree char *large = g_strnfill (5001, '7');
  g_autoptr (KcpMessage) message = text_message ("a", large);
  g_autoptr (GError) error = NULL;
  g_auto (Answer) answer = { 0 };

  ask (&pair->host, "a", large, NULL, &answer);
  g_assert_cmpuint (answer.count, ==, 0);
  g_assert_false (kcp_link_tell (pair->host.link, message, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
  WAIT_FOR (answer.count == 1);
  g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
  g_assert_nonnull (strstr (answer.error->message, "50"));
  g_assert_nonnull (strstr (answer.error->message, "limit is 5000"));

  /* Nothing of it was sent, and all is as before. */
  pair->child.handler = echo;
  ask (&pair->host, "a", "1", NULL, &answer);
  WAIT_FOR (answer.count == 2);
  assert_message (answer.message, "1");
  g_assert_cmpuint (pair->child.invoked, ==, 1);
}

static void
answer_too_large (TestSide      *side,
                  KcpInvocation *invocation)
{
  g_autofree char *large = g_strnfill (5001, '7');

  reply_text (invocation, large);
}

static void
test_answer_too_large (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (5000);
  g_auto (Answer) answer = { 0 };

  pair->child.handler = answer_too_large;
  ask (&pair->host, "a", NULL, NULL, &answer);
  WAIT_FOR (answer.count == 1);
  g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
  g_assert_nonnull (strstr (answer.error->message, "limit is 5000"));
  g_assert_true (kcp_link_is_whole (pair->host.link));
}

/* The largest that fits does fit. */
static void
test_largest (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (100000);
  g_auto (Answer) answer = { 0 };
  gboolean fitted = FALSE;

  pair->child.handler = echo;
  for (gsize size = 100000; !fitted; size--)
    {
      g_autofree char *text = g_strnfill (size, '7');

      answer.count = 0;
      ask (&pair->host, "a", text, NULL, &answer);
      WAIT_FOR (answer.count == 1);
      fitted = answer.error == NULL;
      if (fitted)
        assert_message (answer.message, text);
      else
        g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
      g_assert_cmpuint (size, >, 99000);
    }
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/link/out-of-order", test_out_of_order);
  g_test_add_func ("/link/both-directions", test_both_directions);
  g_test_add_func ("/link/what-travels", test_what_travels);
  g_test_add_func ("/link/tell", test_tell);
  g_test_add_func ("/link/tell-keeps-no-call", test_tell_keeps_no_call);
  g_test_add_func ("/link/errors", test_errors);
  g_test_add_func ("/link/unanswered", test_unanswered);
  g_test_add_func ("/link/answered-twice", test_answered_twice);
  g_test_add_func ("/link/invalid-json", test_invalid_json);
  g_test_add_func ("/link/too-large", test_too_large);
  g_test_add_func ("/link/answer-too-large", test_answer_too_large);
  g_test_add_func ("/link/largest", test_largest);

  return g_test_run ();
}
