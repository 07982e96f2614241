/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-pair.h"

#include <string.h>
#include <sys/socket.h>

/* A link that is closed, or let go, from inside whatever it has just called. Each call still ends
 * once and each handler is still told. The sanitizers watch the memory. */

#define CALLS 20

/* What the user does in a callback: close the link, or close it and drop its last reference. */
typedef void (*CloseFunc) (TestSide *side);

static void
drop (TestSide *side)
{
  side_close (side);
  g_clear_pointer (&side->link, kcp_link_unref);
}

static const CloseFunc ways[] = { side_close, drop };

typedef struct
{
  TestSide *side;
  CloseFunc close;        /* what the first callback does */
  guint ended, failed;
  Answer after;           /* of a call that the first callback makes when all is over */
} Closing;

static void
on_answer (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  Closing *closing = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) message = kcp_link_ask_finish (result, &error);
  CloseFunc close = g_steal_pointer (&closing->close);

  closing->ended++;
  if (error && !g_error_matches (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED))
    g_assert_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  closing->failed += g_error_matches (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);

  if (close == NULL)
    return;

  close (closing->side);
  if (closing->side->link)
    {
      ask (closing->side, "after", NULL, NULL, &closing->after);
      g_assert_cmpuint (closing->after.count, ==, 0);   /* never from inside, not even now */
    }
}

static void
ask_many (TestSide *side,
          Closing  *closing,
          int       timeout)
{
  for (guint i = 0; i < CALLS; i++)
    {
      g_autoptr (KcpMessage) message = text_message ("a", NULL);

      kcp_message_set_timeout (message, timeout);
      kcp_link_ask_async (side->link, NULL, message, NULL, on_answer, closing);
    }
}

static void
check_closing (Closing *closing,
               guint    failed)
{
  WAIT_FOR (closing->ended == CALLS);
  settle ();
  g_assert_cmpuint (closing->ended, ==, CALLS);
  g_assert_cmpuint (closing->failed, ==, failed);
  if (closing->side->link)
    {
      WAIT_FOR (closing->after.count == 1);
      g_assert_error (closing->after.error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
      answer_clear (&closing->after);
    }
}

/* In the callback of the first of many answers that have come in one piece. */
static void
test_in_callback (gconstpointer way)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autoptr (GByteArray) stream = g_byte_array_new ();
  Closing closing = { &pair->side, *(const CloseFunc *) way };

  ask_many (&pair->side, &closing, 0);
  for (guint i = 1; i <= CALLS; i++)
    {
      g_autoptr (GByteArray) frame = raw_frame (KCP_FRAME_END, i, NULL, NULL);

      g_byte_array_append (stream, frame->data, frame->len);
    }
  raw_send_bytes (pair, KCP_SOCKET_REQUEST, stream->data, stream->len);
  check_closing (&closing, CALLS - 1);
}

/* In the callback of one whose deadline has passed, along with the others'. */
static void
test_in_timed_out_callback (gconstpointer way)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Closing closing = { &pair->side, *(const CloseFunc *) way };

  ask_many (&pair->side, &closing, 1);
  g_usleep (5000);
  check_closing (&closing, CALLS - 1);
}

/* In a callback that had to wait for its turn. */
static void
test_in_later_callback (gconstpointer way)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Closing closing = { &pair->side, *(const CloseFunc *) way };

  kcp_link_refuse (pair->side.link, g_error_new_literal (KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED, "no"));
  ask_many (&pair->side, &closing, 0);
  check_closing (&closing, CALLS);
}

/* In the callback of a call that fails because the link is being closed. */
static void
test_in_close (gconstpointer way)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Closing closing = { &pair->side, *(const CloseFunc *) way };

  ask_many (&pair->side, &closing, 0);
  side_close (&pair->side);
  check_closing (&closing, CALLS);
}

static void
close_in_handler (TestSide      *side,
                  KcpInvocation *invocation)
{
  const CloseFunc *close = side->data;

  g_ptr_array_add (side->kept, kcp_invocation_ref (invocation));
  if (side->kept->len < 3)
    return;

  (*close) (side);
  g_assert_false (kcp_invocation_is_open (invocation));
  g_assert_true (g_cancellable_is_cancelled (kcp_invocation_get_cancellable (invocation)));
  kcp_invocation_reply (invocation, NULL);
}

static gpointer
answer_late (gpointer data)
{
  TestSide *side = data;

  while (side->kept->len > 0)
    {
      g_autoptr (KcpInvocation) invocation = side_take (side);

      kcp_invocation_send_item (invocation, NULL);
      kcp_invocation_reply (invocation, NULL);
    }
  return NULL;
}

/* The third of five calls closes; those before it are cancelled, those behind it never come. What
 * is answered afterwards, from wherever, goes nowhere. */
static void
test_in_handler (gconstpointer way)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);

  pair->side.handler = close_in_handler;
  pair->side.data = (gpointer) way;
  for (guint i = 1; i <= 5; i++)
    raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, i, &CALL_FIELDS ("a"), NULL);
  WAIT_FOR (pair->side.kept->len == 3);
  settle ();
  g_assert_cmpuint (pair->side.invoked, ==, 3);
  for (guint i = 0; i < 3; i++)
    g_assert_false (kcp_invocation_is_open (pair->side.kept->pdata[i]));
  g_thread_join (g_thread_new ("late", answer_late, &pair->side));
}

static void
on_cancelled_close (GCancellable *cancellable,
                    gpointer      data)
{
  TestSide *side = data;
  const CloseFunc *close = side->data;

  (*close) (side);
}

/* In the handler's handler of "cancelled". */
static void
test_in_cancelled (gconstpointer way)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);

  pair->side.data = (gpointer) way;
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 1, &CALL_FIELDS ("a"), NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 2, &CALL_FIELDS ("a"), NULL);
  WAIT_FOR (pair->side.kept->len == 2);
  g_signal_connect (kcp_invocation_get_cancellable (pair->side.kept->pdata[0]), "cancelled",
                    G_CALLBACK (on_cancelled_close), &pair->side);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CANCEL, 1, NULL, NULL);
  WAIT_FOR (!kcp_invocation_is_open (pair->side.kept->pdata[1]));
}

static void
on_next_close (GObject      *source,
               GAsyncResult *result,
               gpointer      data)
{
  TestSide *side = data;
  const CloseFunc *close = side->data;
  g_autoptr (KcpMessage) item = kcp_stream_next_finish (KCP_STREAM (source), result, NULL);

  g_assert_nonnull (item);
  (*close) (side);
  side->data = NULL;
}

static void
test_in_stream (gconstpointer way)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autoptr (KcpMessage) message = text_message ("a", NULL);
  g_autoptr (KcpStream) stream = kcp_link_ask_stream (pair->side.link, message, NULL);
  g_autoptr (KcpMessage) item = NULL;
  g_autoptr (GError) error = NULL;

  pair->side.data = (gpointer) way;
  kcp_stream_next_async (stream, NULL, on_next_close, &pair->side);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_ITEM, 1, NULL, "1");
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_ITEM, 1, NULL, "2");
  WAIT_FOR (pair->side.data == NULL);
  while ((item = kcp_stream_next (stream, NULL, &error)))
    g_clear_pointer (&item, kcp_message_unref);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
}

static void
close_posted (gpointer data)
{
  TestSide *side = data;
  const CloseFunc *close = side->data;

  (*close) (side);
}

static void
count_dropped (gpointer data)
{
  ((TestSide *) data)->turns++;
}

static gpointer
post_three (gpointer data)
{
  TestSide *side = data;

  for (guint i = 0; i < 3; i++)
    kcp_link_post (side->link, i == 1 ? close_posted : count_dropped, side, count_dropped);
  return NULL;
}

/* In what another thread has posted. The first is run and dropped, the last only dropped. */
static void
test_in_post (gconstpointer way)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);

  pair->side.data = (gpointer) way;
  g_thread_join (g_thread_new ("posts", post_three, &pair->side));
  WAIT_FOR (pair->side.turns == 4);
}

/* Everybody is told, in the order of the calls, and why. */
static GString *told;

static void
on_told (GObject      *source,
         GAsyncResult *result,
         gpointer      letter)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (kcp_link_ask_finish (result, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
  g_assert_nonnull (strstr (error->message, "“a”"));
  g_assert_nonnull (strstr (error->message, "SIGSEGV"));
  g_string_append (told, letter);
}

static void
test_close (void)
{
  static const char *const letters[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9" };
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (GError) crashed = g_error_new_literal (KCP_ERROR, KCP_ERROR_CHILD_CRASHED, "SIGSEGV");
  g_autoptr (KcpMessage) message = text_message ("a", NULL);

  told = g_string_new (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (letters); i++)
    kcp_link_ask_async (pair->host.link, NULL, message, NULL, on_told, (gpointer) letters[i]);
  WAIT_FOR (pair->child.kept->len == G_N_ELEMENTS (letters));
  kcp_link_close (pair->host.link, crashed);
  WAIT_FOR (told->len == G_N_ELEMENTS (letters));
  g_assert_cmpstr (told->str, ==, "123456789");
  g_string_free (g_steal_pointer (&told), TRUE);

  /* And the other side: its handlers are told that nobody waits. */
  WAIT_FOR (pair->child.lost > 0);
  for (guint i = 0; i < pair->child.kept->len; i++)
    g_assert_false (kcp_invocation_is_open (pair->child.kept->pdata[i]));
  kcp_link_close (pair->host.link, crashed);
}

/* An owner that waits for the cause before it closes: one socket is gone, the calls stay open. */
static void
test_lost_and_not_closed (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_auto (Answer) open = { 0 };
  g_auto (Answer) after = { 0 };

  pair->side.close_when_lost = FALSE;
  ask (&pair->side, "a", NULL, NULL, &open);
  shutdown (pair->fds[KCP_SOCKET_REQUEST], SHUT_RDWR);
  WAIT_FOR (pair->side.lost == 1);
  ask (&pair->side, "a", NULL, NULL, &after);
  WAIT_FOR (after.count == 1);
  g_assert_error (after.error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_assert_cmpuint (open.count, ==, 0);
  shutdown (pair->fds[KCP_SOCKET_CALLBACK], SHUT_RDWR);
  WAIT_FOR (pair->side.lost == 2);
  side_close (&pair->side);
  WAIT_FOR (open.count == 1);
  g_assert_error (open.error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
}

int
main (int   argc,
      char *argv[])
{
  static const struct
  {
    const char *name;
    GTestDataFunc func;
  } places[] = {
    { "in-callback", test_in_callback },
    { "in-timed-out-callback", test_in_timed_out_callback },
    { "in-later-callback", test_in_later_callback },
    { "in-close", test_in_close },
    { "in-handler", test_in_handler },
    { "in-cancelled", test_in_cancelled },
    { "in-stream", test_in_stream },
    { "in-post", test_in_post },
  };

  g_test_init (&argc, &argv, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    for (guint j = 0; j < G_N_ELEMENTS (ways); j++)
      {
        g_autofree char *name = g_strdup_printf ("/link-close/%s/%s", places[i].name,
                                                  j == 0 ? "close" : "drop");

        g_test_add_data_func (name, &ways[j], places[i].func);
      }
  g_test_add_func ("/link-close/close", test_close);
  g_test_add_func ("/link-close/lost-and-not-closed", test_lost_and_not_closed);

  return g_test_run ();
}
