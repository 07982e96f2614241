/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-pair.h"

#include <string.h>

/* Streamed answers over two links. The children here send what the test tells them to, or three
 * items and an end. */

static void
send_three (TestSide      *side,
            KcpInvocation *invocation)
{
  for (guint i = 1; i <= 3; i++)
    g_assert_true (kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), i)));
  reply_text (invocation, "\"sum\"");
}

static KcpStream *
ask_stream (TestSide     *side,
            const char   *path,
            GCancellable *cancellable)
{
  g_autoptr (KcpMessage) message = text_message (path, NULL);

  return kcp_link_ask_stream (side->link, message, cancellable);
}

/* What the waits on a stream gave, as a string: the items, then | for the end or ! for an error. */
typedef struct
{
  KcpStream *stream;
  GString *got;
  GError *error;
  gboolean once;    /* else the next wait is begun in the callback of the last */
  gboolean done;
} Reader;

static void
on_next (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  Reader *reader = data;
  g_autoptr (KcpMessage) item = kcp_stream_next_finish (KCP_STREAM (source), result, &reader->error);

  if (item)
    {
      g_autofree char *text = message_text (item);

      g_string_append (reader->got, text);
    }
  else
    {
      g_string_append_c (reader->got, reader->error ? '!' : '|');
      reader->done = TRUE;
    }

  if (!reader->done && !reader->once)
    kcp_stream_next_async (reader->stream, NULL, on_next, reader);
}

static void
read_next (Reader       *reader,
           KcpStream    *stream,
           GCancellable *cancellable)
{
  if (reader->got == NULL)
    reader->got = g_string_new (NULL);
  reader->stream = stream;
  g_clear_error (&reader->error);
  kcp_stream_next_async (stream, cancellable, on_next, reader);
}

static void
reader_clear (Reader *reader)
{
  if (reader->got)
    g_string_free (reader->got, TRUE);
  g_clear_error (&reader->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reader, reader_clear)

static KcpInvocation *
take_invocation (TestSide *side)
{
  WAIT_FOR (side->kept->len == 1);
  return side_take (side);
}

static void
test_to_end (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_auto (Reader) reader = { NULL };

  pair->child.handler = send_three;
  g_assert_false (kcp_stream_is_done (stream));
  g_assert_null (kcp_stream_get_result (stream));
  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.done);
  g_assert_cmpstr (reader.got->str, ==, "123|");
  g_assert_true (kcp_stream_is_done (stream));
  assert_message (kcp_stream_get_result (stream), "\"sum\"");

  /* The end is there as often as it is asked for. */
  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.got->len == 5);
  g_assert_cmpstr (reader.got->str, ==, "123||");
}

/* Everything has come before the first wait. */
static void
test_late_reader (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_auto (Reader) reader = { NULL };

  pair->child.handler = send_three;
  WAIT_FOR (kcp_stream_is_done (stream));
  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.done);
  g_assert_cmpstr (reader.got->str, ==, "123|");
}

/* One wait at a time, each begun before its item comes. */
static void
test_step_by_step (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_auto (Reader) reader = { NULL };

  reader.once = TRUE;
  for (guint i = 1; i <= 3; i++)
    {
      read_next (&reader, stream, NULL);
      settle ();
      g_assert_cmpuint (reader.got->len, ==, i - 1);
      g_assert_true (kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), i)));
      WAIT_FOR (reader.got->len == i);
    }
  read_next (&reader, stream, NULL);
  kcp_invocation_reply (invocation, NULL);
  WAIT_FOR (reader.done);
  g_assert_cmpstr (reader.got->str, ==, "123|");
  assert_message (kcp_stream_get_result (stream), "");
}

static void
test_no_items (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_auto (Reader) reader = { NULL };

  reply_text (invocation, "7");
  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.done);
  g_assert_cmpstr (reader.got->str, ==, "|");
  assert_message (kcp_stream_get_result (stream), "7");
}

/* The items before the error are not lost. */
static void
test_fails_in_the_middle (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_auto (Reader) reader = { NULL };

  kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 1));
  kcp_invocation_fail_printf (invocation, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "full");
  WAIT_FOR (kcp_stream_is_done (stream));
  for (guint i = 0; i < 2; i++)
    {
      reader.done = FALSE;
      read_next (&reader, stream, NULL);
      WAIT_FOR (reader.done);
      g_assert_error (reader.error, G_IO_ERROR, G_IO_ERROR_NO_SPACE);
    }
  g_assert_cmpstr (reader.got->str, ==, "1!!");
  g_assert_null (kcp_stream_get_result (stream));
}

static void
test_dropped_early (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  KcpStream *stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);

  kcp_invocation_send_item (invocation, NULL);
  settle ();
  g_assert_finalize_object (stream);
  g_assert_cmpuint (kcp_link_count_calls (pair->host.link), ==, 0);
  WAIT_FOR (!kcp_invocation_is_open (invocation));
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (invocation)));
  g_assert_false (kcp_invocation_send_item (invocation, NULL));
}

static void
on_next_drop (GObject      *source,
              GAsyncResult *result,
              gpointer      data)
{
  KcpStream **stream = data;
  g_autoptr (KcpMessage) item = kcp_stream_next_finish (KCP_STREAM (source), result, NULL);

  g_assert_nonnull (item);
  g_clear_object (stream);
}

static void
test_dropped_in_callback (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  KcpStream *stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);

  kcp_stream_next_async (stream, NULL, on_next_drop, &stream);
  for (guint i = 0; i < 3; i++)
    kcp_invocation_send_item (invocation, NULL);
  WAIT_FOR (stream == NULL && !kcp_invocation_is_open (invocation));
}

static void
test_closed (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_auto (Reader) reader = { NULL };

  read_next (&reader, stream, NULL);
  kcp_stream_close (stream);
  kcp_stream_close (stream);
  WAIT_FOR (reader.done && !kcp_invocation_is_open (invocation));
  g_assert_cmpstr (reader.got->str, ==, "!");
  g_assert_error (reader.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_true (kcp_stream_is_done (stream));
}

/* The wait is cancelled, and not the stream. */
static void
test_wait_cancelled (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Reader) reader = { NULL };

  for (guint i = 0; i < 2; i++)   /* while it waits; before it does */
    {
      reader.done = FALSE;
      read_next (&reader, stream, cancellable);
      g_cancellable_cancel (cancellable);
      WAIT_FOR (reader.done);
      g_assert_error (reader.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }

  g_assert_true (kcp_invocation_is_open (invocation));
  kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 1));
  kcp_invocation_reply (invocation, NULL);
  reader.done = FALSE;
  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.done);
  g_assert_cmpstr (reader.got->str, ==, "!!1|");
}

static void
test_two_waits (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_auto (Reader) first = { NULL };
  g_auto (Reader) second = { NULL };

  read_next (&first, stream, NULL);
  read_next (&second, stream, NULL);
  WAIT_FOR (second.done);
  g_assert_error (second.error, G_IO_ERROR, G_IO_ERROR_PENDING);
  send_three (&pair->child, invocation);
  WAIT_FOR (first.done);
  g_assert_cmpstr (first.got->str, ==, "123|");
}

/* The cancellable of the call, unlike that of a wait, ends it all. */
static void
test_call_cancelled (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", cancellable);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_auto (Reader) reader = { NULL };

  kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 1));
  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.got->len == 1);
  g_cancellable_cancel (cancellable);
  WAIT_FOR (reader.done && !kcp_invocation_is_open (invocation));
  g_assert_cmpstr (reader.got->str, ==, "1!");
  g_assert_error (reader.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_not_sent (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = NULL;
  g_auto (Reader) reader = { NULL };

  kcp_link_refuse (pair->host.link, g_error_new_literal (KCP_ERROR, KCP_ERROR_STOPPING, "over"));
  stream = ask_stream (&pair->host, "a", NULL);
  read_next (&reader, stream, NULL);
  g_assert_cmpuint (reader.got->len, ==, 0);
  WAIT_FOR (reader.done);
  g_assert_error (reader.error, KCP_ERROR, KCP_ERROR_STOPPING);
}

/* Who asks plainly for what is a stream is told what to do instead, and the handler stops. */
static void
test_plain_ask (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpInvocation) invocation = NULL;
  g_auto (Answer) answer = { 0 };

  ask (&pair->host, "a", NULL, NULL, &answer);
  invocation = take_invocation (&pair->child);
  kcp_invocation_send_item (invocation, NULL);
  WAIT_FOR (answer.count == 1 && !kcp_invocation_is_open (invocation));
  g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_nonnull (strstr (answer.error->message, "ask for it as a stream"));
  g_assert_true (kcp_link_is_whole (pair->host.link));
}

static void
test_item_too_large (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (5000);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_autofree char *text = g_strnfill (6000, '7');
  g_autoptr (KcpMessage) large = text_message (NULL, text);
  g_auto (Reader) reader = { NULL };

  kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 1));
  g_assert_false (kcp_invocation_send_item_message (invocation, large));
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (invocation)));
  kcp_invocation_reply (invocation, NULL);
  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.done);
  g_assert_cmpstr (reader.got->str, ==, "1!");
  g_assert_error (reader.error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
}

/* ---- from another thread ---- */

#define ITEMS 3000

static gpointer
send_from_thread (gpointer data)
{
  g_autoptr (KcpInvocation) invocation = data;

  for (guint i = 0; i < ITEMS; i++)
    kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), i));
  kcp_invocation_reply (invocation, NULL);
  return NULL;
}

static void
test_from_thread (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  GThread *thread = g_thread_new ("sends", send_from_thread, take_invocation (&pair->child));
  g_autoptr (GString) expected = g_string_new (NULL);
  g_auto (Reader) reader = { NULL };

  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.done);
  g_thread_join (thread);
  for (guint i = 0; i < ITEMS; i++)
    g_string_append_printf (expected, "%u", i);
  g_string_append_c (expected, '|');
  g_assert_cmpstr (reader.got->str, ==, expected->str);
}

/* ---- when the link goes ---- */

static void
test_link_closed (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (KcpStream) stream = ask_stream (&pair->host, "a", NULL);
  g_autoptr (KcpInvocation) invocation = take_invocation (&pair->child);
  g_auto (Reader) reader = { NULL };

  kcp_invocation_send_item (invocation, json_node_init_int (json_node_alloc (), 1));
  settle ();
  side_close (&pair->host);
  g_clear_pointer (&pair->host.link, kcp_link_unref);   /* the stream needs what is left of it */
  read_next (&reader, stream, NULL);
  WAIT_FOR (reader.done);
  g_assert_cmpstr (reader.got->str, ==, "1!");
  g_assert_error (reader.error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
  WAIT_FOR (!kcp_invocation_is_open (invocation));
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/stream/to-end", test_to_end);
  g_test_add_func ("/stream/late-reader", test_late_reader);
  g_test_add_func ("/stream/step-by-step", test_step_by_step);
  g_test_add_func ("/stream/no-items", test_no_items);
  g_test_add_func ("/stream/fails-in-the-middle", test_fails_in_the_middle);
  g_test_add_func ("/stream/dropped-early", test_dropped_early);
  g_test_add_func ("/stream/dropped-in-callback", test_dropped_in_callback);
  g_test_add_func ("/stream/closed", test_closed);
  g_test_add_func ("/stream/wait-cancelled", test_wait_cancelled);
  g_test_add_func ("/stream/two-waits", test_two_waits);
  g_test_add_func ("/stream/call-cancelled", test_call_cancelled);
  g_test_add_func ("/stream/not-sent", test_not_sent);
  g_test_add_func ("/stream/plain-ask", test_plain_ask);
  g_test_add_func ("/stream/item-too-large", test_item_too_large);
  g_test_add_func ("/stream/from-thread", test_from_thread);
  g_test_add_func ("/stream/link-closed", test_link_closed);

  return g_test_run ();
}
