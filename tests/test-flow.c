/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-pair.h"
#include "kcp-link-state-private.h"
#include "kcp-stream-private.h"

/* Streams and their credit: a producer gets as far ahead of its reader as the window lets it. */

#define ITEMS 1000

static JsonNode *
number (gint64 value)
{
  return json_node_init_int (json_node_alloc (), value);
}

static KcpStream *
open_stream (LinkPair       *pair,
             KcpInvocation **invocation)
{
  g_autoptr (KcpMessage) message = text_message ("stream", NULL);
  KcpStream *stream = kcp_link_ask_stream (pair->host.link, message, NULL);

  WAIT_FOR (pair->child.kept->len == 1);
  *invocation = side_take (&pair->child);
  return stream;
}

static gboolean
take_one (KcpStream *stream,
          gint64     expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) item = kcp_stream_next (stream, NULL, &error);

  g_assert_no_error (error);
  if (item == NULL)
    return FALSE;
  g_assert_cmpint (json_node_get_int (kcp_message_get_body (item, NULL)), ==, expected);
  return TRUE;
}

static KcpCall *
only_call (LinkPair *pair)
{
  return kcp_channel_lookup_call (pair->host.link->request, 1);
}

static void
test_items (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  KcpInvocation *invocation;
  g_autoptr (KcpStream) stream = open_stream (pair, &invocation);

  for (int i = 0; i < ITEMS; i++)
    g_assert_true (kcp_invocation_send_item (invocation, number (i)));
  kcp_invocation_reply (invocation, NULL);
  g_assert_false (kcp_invocation_has_room (invocation));
  settle ();

  /* Nobody reads: the window, and not one item more. */
  g_assert_cmpuint (only_call (pair)->items.length, ==, KCP_STREAM_ITEMS);

  /* Half of it taken: as many again. */
  for (int i = 0; i < KCP_STREAM_ITEMS / 2; i++)
    g_assert_true (take_one (stream, i));
  settle ();
  g_assert_cmpuint (only_call (pair)->items.length, ==, KCP_STREAM_ITEMS);

  /* The rest, in order; the end comes behind it. */
  for (int i = KCP_STREAM_ITEMS / 2; i < ITEMS; i++)
    {
      settle ();
      g_assert_true (take_one (stream, i));
    }
  settle ();
  g_assert_false (take_one (stream, 0));
  g_assert_nonnull (kcp_stream_get_result (stream));
  kcp_invocation_unref (invocation);
}

/* Bytes count as well; but one item always fits. */
static void
test_bytes (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  KcpInvocation *invocation;
  g_autoptr (KcpStream) stream = open_stream (pair, &invocation);
  g_autofree char *half = g_strnfill (KCP_STREAM_BYTES / 2 + 1, 'h');
  g_autofree char *huge = g_strnfill (KCP_STREAM_BYTES * 2, 'x');
  const char *sent[] = { half, half, huge, half };

  for (guint i = 0; i < G_N_ELEMENTS (sent); i++)
    g_assert_true (kcp_invocation_send_item (invocation, json_node_init_string (json_node_alloc (), sent[i])));

  for (guint i = 0; i < G_N_ELEMENTS (sent); i++)
    {
      g_autoptr (KcpMessage) item = NULL;

      WAIT_FOR (only_call (pair)->items.length > 0);
      settle ();
      g_assert_cmpuint (only_call (pair)->items.length, ==, 1);
      item = kcp_stream_next (stream, NULL, NULL);
      g_assert_cmpstr (json_node_get_string (kcp_message_get_body (item, NULL)), ==, sent[i]);
    }
  kcp_invocation_unref (invocation);
}

static void
on_room (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  (*(guint *) data)++;
}

static void
test_async (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  KcpInvocation *invocation;
  g_autoptr (KcpStream) stream = open_stream (pair, &invocation);
  guint told = 0;
  int sent = 0;

  kcp_invocation_send_item_async (invocation, number (sent++), on_room, &told);
  g_assert_cmpuint (told, ==, 0);   /* never from inside */
  WAIT_FOR (told == 1);

  while (kcp_invocation_has_room (invocation))
    g_assert_true (kcp_invocation_send_item (invocation, number (sent++)));
  kcp_invocation_send_item_async (invocation, number (sent++), on_room, &told);
  settle ();
  g_assert_cmpuint (told, ==, 1);

  for (int i = 0; i < KCP_STREAM_ITEMS; i++)
    g_assert_true (take_one (stream, i));
  WAIT_FOR (told == 2);

  /* A reader that goes away ends the wait. */
  while (kcp_invocation_has_room (invocation))
    g_assert_true (kcp_invocation_send_item (invocation, number (sent++)));
  kcp_invocation_send_item_async (invocation, number (sent++), on_room, &told);
  kcp_stream_close (stream);
  WAIT_FOR (told == 3);
  g_assert_false (kcp_invocation_send_item (invocation, number (sent)));
  kcp_invocation_unref (invocation);
}

typedef struct
{
  KcpInvocation *invocation;
  int sent;         /* atomic */
} Producer;

static gpointer
produce (gpointer data)
{
  Producer *producer = data;

  while (kcp_invocation_send_item_wait (producer->invocation, number (producer->sent)))
    g_atomic_int_inc (&producer->sent);
  return NULL;
}

/* A thread that sends as fast as it can stands still when nobody reads. */
static void
test_thread (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  KcpInvocation *invocation;
  g_autoptr (KcpStream) stream = open_stream (pair, &invocation);
  Producer producer = { invocation, 0 };
  GThread *thread = g_thread_new ("producer", produce, &producer);
  int limit = KCP_STREAM_ITEMS + 32;

  for (int i = 0; i < 10 * KCP_STREAM_ITEMS; i++)
    {
      WAIT_FOR (only_call (pair)->items.length > 0);
      g_assert_cmpint (g_atomic_int_get (&producer.sent), <=, i + limit + KCP_STREAM_ITEMS);
      g_assert_true (take_one (stream, i));
    }
  kcp_stream_close (stream);
  WAIT_FOR (!kcp_invocation_is_open (invocation));
  g_thread_join (thread);
  kcp_invocation_unref (invocation);
}

/* A producer that never looks: in the end its call fails, and memory does not. */
static void
test_producer_runs_away (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  KcpInvocation *invocation;
  g_autoptr (KcpStream) stream = open_stream (pair, &invocation);
  g_autofree char *large = g_strnfill (1024 * 1024, 'x');
  g_autoptr (GError) error = NULL;
  guint sent = 0;

  while (kcp_invocation_send_item (invocation, json_node_init_string (json_node_alloc (), large)))
    g_assert_cmpuint (++sent, <, 100);
  g_assert_cmpuint (sent, >, 60);

  /* What was sent before arrives, then the error. */
  for (guint i = 0; i < sent; i++)
    {
      g_autoptr (KcpMessage) item = NULL;

      WAIT_FOR (only_call (pair)->items.length > 0);
      item = kcp_stream_next (stream, NULL, NULL);
      g_assert_nonnull (item);
    }
  WAIT_FOR (kcp_stream_is_done (stream));
  g_assert_null (kcp_stream_next (stream, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_BUSY);
  kcp_invocation_unref (invocation);
}

/* ---- what a peer may do ---- */

static void
test_beyond_window (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autoptr (KcpMessage) message = text_message ("stream", NULL);
  g_autoptr (KcpStream) stream = NULL;
  g_auto (KcpFrame) frame = { .body = NULL };

  pair->side.link->terms.credit = TRUE;
  pair->side.link->terms.our_items = 3;
  pair->side.link->terms.our_bytes = 1000;
  stream = kcp_link_ask_stream (pair->side.link, message, NULL);
  raw_expect (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, &frame);
  for (guint i = 0; i < 3; i++)
    raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_ITEM, 1, NULL, "1");
  settle ();
  g_assert_cmpuint (pair->side.lost, ==, 0);

  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_ITEM, 1, NULL, "1");
  WAIT_FOR (pair->side.lost > 0);
  g_assert_error (pair->side.lost_error, KCP_ERROR, KCP_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (pair->side.lost_error->message, "window"));
}

static void
test_false_credit (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  KcpInvocation *invocation;
  g_autoptr (KcpStream) stream = open_stream (pair, &invocation);

  g_assert_true (kcp_invocation_send_item (invocation, number (1)));
  settle ();
  kcp_channel_send_credit (pair->host.link->request, only_call (pair), 2, 1);
  WAIT_FOR (pair->child.lost > 0);
  g_assert_error (pair->child.lost_error, KCP_ERROR, KCP_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (pair->child.lost_error->message, "more than was sent"));
  kcp_invocation_unref (invocation);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/flow/items", test_items);
  g_test_add_func ("/flow/bytes", test_bytes);
  g_test_add_func ("/flow/async", test_async);
  g_test_add_func ("/flow/thread", test_thread);
  g_test_add_func ("/flow/producer-runs-away", test_producer_runs_away);
  g_test_add_func ("/flow/beyond-window", test_beyond_window);
  g_test_add_func ("/flow/false-credit", test_false_credit);
  return g_test_run ();
}
