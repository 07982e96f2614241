/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"
#include "kcp-trace-context.h"
#include "link-pair.h"

#include <string.h>

/* Deadlines, calls inside calls, pings. No test waits for a time to be over before another: a
 * deadline is either long gone or far away. */

#define FAR_AWAY (3600 * 1000)

static void
ask_within (TestSide   *side,
            const char *path,
            int         timeout,
            Answer     *answer)
{
  g_autoptr (KcpMessage) message = text_message (path, NULL);

  kcp_message_set_timeout (message, timeout);
  kcp_link_ask_async (side->link, NULL, message, NULL, take_answer, answer);
}

/* The next frame of @kind, with its fields. */
static void
expect_fields (RawPair       *pair,
               KcpSocketRole  socket,
               KcpFrameKind   kind,
               KcpFrame      *frame,
               KcpFields     *fields)
{
  raw_expect (pair, socket, kind, frame);
  g_assert_true (kcp_fields_read (frame->fields, frame->header.fields_length, fields, NULL));
}

/* ---- deadlines ---- */

static void
test_caller (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_auto (KcpFrame) call = { .body = NULL };
  g_auto (KcpFrame) cancel = { .body = NULL };
  g_auto (Answer) answer = { 0 };

  ask_within (&pair->side, "slow/path", 20, &answer);
  WAIT_FOR (answer.count == 1);
  g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (answer.error->message, "slow/path"));
  raw_expect (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, &call);
  raw_expect (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CANCEL, &cancel);
  g_assert_cmpuint (cancel.header.id, ==, call.header.id);
}

static void
test_callee (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);
  KcpFields fields = CALL_FIELDS ("a");
  g_auto (KcpFrame) error_frame = { .body = NULL };
  g_autoptr (KcpInvocation) invocation = NULL;
  g_autoptr (GError) error = NULL;
  gint64 sent_at = g_get_monotonic_time ();

  fields.present |= KCP_FIELD_BIT (KCP_FIELD_DEADLINE);
  fields.deadline_ms = 20;
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 1, &fields, NULL);
  WAIT_FOR (pair->side.kept->len == 1);
  invocation = side_take (&pair->side);
  g_assert_cmpint (kcp_invocation_get_deadline (invocation), >=, sent_at + 20 * 1000);
  raw_expect (pair, KCP_SOCKET_REQUEST, KCP_FRAME_ERROR, &error_frame);
  error = kcp_codec_decode_error (error_frame.body, NULL);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (invocation)));
  g_assert_cmpuint (pair->side.drained, ==, 1);
  reply_text (invocation, "1");   /* too late, and no mistake */
  raw_expect_none (pair, KCP_SOCKET_REQUEST);
}

/* What the callee sees is what the caller has left; rounded up, for the callee is not to give up first. */
static void
test_travels (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpInvocation) with = NULL;
  g_autoptr (KcpInvocation) without = NULL;
  g_auto (Answer) answers = { 0 };
  gint64 before = g_get_monotonic_time (), after;

  ask_within (&pair->host, "a", FAR_AWAY, &answers);
  ask_within (&pair->host, "b", KCP_TIMEOUT_NONE, &answers);
  WAIT_FOR (pair->child.kept->len == 2);
  after = g_get_monotonic_time ();
  with = side_take (&pair->child);
  without = side_take (&pair->child);
  g_assert_cmpint (kcp_invocation_get_deadline (with), >=, before + (gint64) FAR_AWAY * 1000);
  g_assert_cmpint (kcp_invocation_get_deadline (with), <=, after + (gint64) (FAR_AWAY + 1) * 1000);
  g_assert_cmpint (kcp_invocation_get_deadline (without), ==, 0);
}

static guint32
deadline_of_next_call (RawPair *pair)
{
  g_auto (KcpFrame) frame = { .body = NULL };
  KcpFields fields;

  expect_fields (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, &frame, &fields);
  return KCP_FIELDS_HAS (&fields, KCP_FIELD_DEADLINE) ? fields.deadline_ms : 0;
}

/* The message's own, else the link's; a stream has none but its own. */
static void
test_defaults (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autoptr (KcpMessage) message = text_message ("s", NULL);
  g_autoptr (KcpStream) stream = NULL;
  g_auto (Answer) answers = { 0 };
  guint32 left;

  kcp_link_set_call_timeout (pair->side.link, FAR_AWAY);
  ask (&pair->side, "a", NULL, NULL, &answers);
  ask_within (&pair->side, "a", 2 * FAR_AWAY, &answers);
  ask_within (&pair->side, "a", KCP_TIMEOUT_NONE, &answers);
  g_assert_true (kcp_link_tell (pair->side.link, message, NULL));
  stream = kcp_link_ask_stream (pair->side.link, message, NULL);

  left = deadline_of_next_call (pair);
  g_assert_true (left > FAR_AWAY / 2 && left <= FAR_AWAY);
  left = deadline_of_next_call (pair);
  g_assert_true (left > FAR_AWAY && left <= 2 * FAR_AWAY);
  g_assert_cmpuint (deadline_of_next_call (pair), ==, 0);
  left = deadline_of_next_call (pair);
  g_assert_true (left > FAR_AWAY / 2 && left <= FAR_AWAY);
  g_assert_cmpuint (deadline_of_next_call (pair), ==, 0);
}

/* A call that had to wait in a full socket leaves with what is left by then. */
static void
test_stamped_anew (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autofree char *large = g_strnfill (8 * 1024 * 1024, '7');
  g_auto (Answer) answers = { 0 };
  gint64 sent_at, waited;
  guint32 left;

  ask (&pair->side, "large", large, NULL, &answers);
  sent_at = g_get_monotonic_time ();
  ask_within (&pair->side, "a", FAR_AWAY, &answers);
  g_usleep (30 * 1000);
  waited = (g_get_monotonic_time () - sent_at) / 1000;
  g_assert_cmpuint (deadline_of_next_call (pair), ==, 0);
  left = deadline_of_next_call (pair);
  g_assert_cmpuint (left, <=, FAR_AWAY - waited + 1);
}

/* ---- calls inside calls ---- */

static void
ask_in_handler (TestSide      *side,
                KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) message = text_message ("inner", NULL);
  const char *path = kcp_invocation_get_path (invocation);

  g_ptr_array_add (side->kept, kcp_invocation_ref (invocation));
  if (!g_str_equal (path, "outer"))
    return;

  kcp_message_set_timeout (message, 2 * FAR_AWAY);
  kcp_link_ask_async (side->link, NULL, message, NULL, take_answer, side->data);
}

static void
test_inner_call (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);
  g_auto (KcpFrame) frame = { .body = NULL };
  g_autoptr (KcpInvocation) outer = NULL;
  KcpFields fields = CALL_FIELDS ("outer"), inner;
  g_auto (Answer) answer = { 0 };
  KcpTraceContext *trace;

  pair->side.handler = ask_in_handler;
  pair->side.data = &answer;
  fields.present |= KCP_FIELD_BIT (KCP_FIELD_DEADLINE);
  fields.deadline_ms = FAR_AWAY;
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 42, &fields, NULL);
  expect_fields (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, &frame, &inner);
  outer = side_take (&pair->side);
  g_assert_cmpuint (inner.parent, ==, 42);

  /* It may wish for longer, but there would be nobody left to wait for it. */
  g_assert_true (KCP_FIELDS_HAS (&inner, KCP_FIELD_DEADLINE));
  g_assert_cmpuint (inner.deadline_ms, <=, FAR_AWAY);

  /* The same trace, another span. */
  trace = kcp_invocation_get_trace_context (outer);
  g_assert_true (memcmp (inner.traceparent + 3, kcp_trace_context_get_trace_id (trace), 32) == 0);
  g_assert_false (memcmp (inner.traceparent + 36, kcp_trace_context_get_span_id (trace), 16) == 0);
}

static TestSide *asking_side;

static void
ask_in_callback (GObject      *source,
                 GAsyncResult *result,
                 gpointer      data)
{
  take_answer (source, result, data);
  ask (asking_side, "second", NULL, NULL, data);
}

static void
ask_twice (TestSide      *side,
           KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) message = text_message ("first", NULL);

  g_ptr_array_add (side->kept, kcp_invocation_ref (invocation));
  if (g_str_equal (kcp_invocation_get_path (invocation), "outer"))
    {
      asking_side = side;
      kcp_link_ask_async (side->link, NULL, message, NULL, ask_in_callback, side->data);
    }
}

/* A handler that goes on in callbacks is still that handler; who waits for it needs to know. */
static void
test_call_in_callback_of_inner_call (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);
  g_auto (KcpFrame) first = { .body = NULL };
  g_auto (KcpFrame) second = { .body = NULL };
  KcpFields fields;
  g_auto (Answer) answer = { 0 };

  pair->side.handler = ask_twice;
  pair->side.data = &answer;
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 42, &CALL_FIELDS ("outer"), NULL);
  expect_fields (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, &first, &fields);
  g_assert_cmpuint (fields.parent, ==, 42);
  raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_END, first.header.id, NULL, NULL);
  expect_fields (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, &second, &fields);
  g_assert_cmpuint (fields.parent, ==, 42);

  /* Until it has answered. */
  reply_text (pair->side.kept->pdata[0], "1");
  ask (&pair->side, "third", NULL, NULL, &answer);
  kcp_frame_clear (&second);
  expect_fields (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, &second, &fields);
  g_assert_false (KCP_FIELDS_HAS (&fields, KCP_FIELD_PARENT));
}

static void
wait_for_two (TestSide      *side,
              KcpInvocation *invocation)
{
  Answer *answer = side->data;

  WAIT_FOR (answer->count == 1);
  reply_text (invocation, "1");
}

/* A callback that runs in a handler's main loop has nothing to do with that handler. */
static void
test_unrelated_callback_in_handler (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);
  g_auto (KcpFrame) first = { .body = NULL };
  g_auto (KcpFrame) second = { .body = NULL };
  g_autoptr (KcpMessage) message = text_message ("first", NULL);
  KcpFields fields;
  g_auto (Answer) answer = { 0 };

  asking_side = &pair->side;
  pair->side.handler = wait_for_two;
  pair->side.data = &answer;
  kcp_link_ask_async (pair->side.link, NULL, message, NULL, ask_in_callback, &answer);
  raw_expect (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, &first);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 42, &CALL_FIELDS ("outer"), NULL);
  raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_END, first.header.id, NULL, NULL);
  expect_fields (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, &second, &fields);
  g_assert_false (KCP_FIELDS_HAS (&fields, KCP_FIELD_PARENT));
  g_assert_cmpuint (pair->side.invoked, ==, 1);
}

/* ---- pings ---- */

static void
test_idle (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_auto (Answer) answer = { 0 };

  ask (&pair->host, "a", NULL, NULL, &answer);
  WAIT_FOR (pair->child.kept->len == 1);
  kcp_invocation_unref (side_take (&pair->child));
  WAIT_FOR (answer.count == 1);
  g_assert_cmpuint (kcp_link_count_calls (pair->host.link), ==, 0);

  /* The clock goes off once more, finds nothing to do, and stands still. */
  WAIT_FOR (kcp_link_clock_next (pair->host.link) == 0);
  g_assert_cmpint (pair->host.link->ping_at, ==, 0);
  g_assert_cmpint (kcp_link_clock_next (pair->child.link), ==, 0);
}

/* Both directions: a PING is answered by PONG, by the channel itself. */
static void
test_pong (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);

  for (guint i = 0; i < 2; i++)
    {
      g_auto (KcpFrame) pong = { .body = NULL };

      raw_send (pair, (KcpSocketRole) i, KCP_FRAME_PING, 0, NULL, NULL);
      raw_expect (pair, (KcpSocketRole) i, KCP_FRAME_PONG, &pong);
      g_assert_cmpuint (pong.header.length, ==, 0);
    }
  g_assert_cmpuint (pair->side.frames->len, ==, 0);
}

/* Takes 4 s: one of silence until the ping, three until the verdict. */
static void
test_unresponsive (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_auto (KcpFrame) call = { .body = NULL };
  g_auto (KcpFrame) ping = { .body = NULL };
  g_auto (Answer) answer = { 0 };

  ask (&pair->side, "a", NULL, NULL, &answer);
  raw_expect (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, &call);
  raw_expect (pair, KCP_SOCKET_REQUEST, KCP_FRAME_PING, &ping);
  g_assert_cmpuint (ping.header.id, ==, 0);
  g_assert_cmpuint (pair->side.turns, ==, 0);
  WAIT_FOR (pair->side.turns == 1);
  g_assert_true (pair->side.unresponsive);
  raw_expect_none (pair, KCP_SOCKET_REQUEST);   /* one ping at a time */
  raw_expect_none (pair, KCP_SOCKET_CALLBACK);
  g_assert_cmpuint (answer.count, ==, 0);       /* slow is not dead */

  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_PONG, 0, NULL, NULL);
  WAIT_FOR (pair->side.turns == 2);
  g_assert_false (pair->side.unresponsive);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, call.header.id, NULL, NULL);
  WAIT_FOR (answer.count == 1);
  g_assert_no_error (answer.error);
}

/* A child that works answers pings by its main loop, and nobody is alarmed. */
static void
test_responsive (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_auto (Answer) answer = { 0 };
  guint64 sent;

  ask (&pair->host, "a", NULL, NULL, &answer);
  sent = kcp_channel_get_sent (pair->host.link->request);
  WAIT_FOR (pair->host.link->ping_at > 0);
  WAIT_FOR (pair->host.link->ping_at == 0);
  g_assert_cmpuint (pair->host.turns, ==, 0);
  g_assert_cmpuint (kcp_channel_get_sent (pair->host.link->request), ==, sent);   /* pings are not counted */
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/link-deadline/caller", test_caller);
  g_test_add_func ("/link-deadline/callee", test_callee);
  g_test_add_func ("/link-deadline/travels", test_travels);
  g_test_add_func ("/link-deadline/defaults", test_defaults);
  g_test_add_func ("/link-deadline/stamped-anew", test_stamped_anew);
  g_test_add_func ("/link-inner/call", test_inner_call);
  g_test_add_func ("/link-inner/call-in-callback", test_call_in_callback_of_inner_call);
  g_test_add_func ("/link-inner/unrelated-callback", test_unrelated_callback_in_handler);
  g_test_add_func ("/link-ping/idle", test_idle);
  g_test_add_func ("/link-ping/pong", test_pong);
  g_test_add_func ("/link-ping/unresponsive", test_unresponsive);
  g_test_add_func ("/link-ping/responsive", test_responsive);

  return g_test_run ();
}
