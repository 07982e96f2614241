/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-pair.h"

#include <string.h>
#include <sys/socket.h>

/* The order between the two sockets, and user code that runs main loops of its own. */

/* What has happened, one letter each; a capital is the end of what a small one began. */
static GString *happened;

static void
happen (char what)
{
  g_string_append_c (happened, what);
}

static void
begin (void)
{
  happened = g_string_new (NULL);
}

static void
end (const char *expected)
{
  g_assert_cmpstr (happened->str, ==, expected);
  g_string_free (g_steal_pointer (&happened), TRUE);
}

static gboolean
has_happened (char what)
{
  return strchr (happened->str, what) != NULL;
}

/* A call whose callback writes down its letter, and may do more in between. */
typedef struct Noted Noted;

struct Noted
{
  char letter;
  void (*inside) (Noted *noted);
  char wait_for;
  TestSide *side;
  int code;   /* of the error that it got, of whatever domain; -1: none */
};

static void
on_noted (GObject      *source,
          GAsyncResult *result,
          gpointer      data)
{
  Noted *noted = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) message = kcp_link_ask_finish (result, &error);

  happen (noted->letter);
  noted->code = error ? error->code : -1;
  if (noted->inside)
    {
      noted->inside (noted);
      happen (g_ascii_toupper (noted->letter));
    }
}

static void
ask_noted (TestSide     *side,
           Noted        *noted,
           int           timeout,
           GCancellable *cancellable)
{
  char path[2] = { noted->letter, '\0' };
  g_autoptr (KcpMessage) message = text_message (path, NULL);

  if (timeout > 0)
    kcp_message_set_timeout (message, timeout);
  noted->side = side;
  kcp_link_ask_async (side->link, NULL, message, cancellable, on_noted, noted);
}

static void
note_path (TestSide      *side,
           KcpInvocation *invocation)
{
  happen (*kcp_invocation_get_path (invocation));
  kcp_invocation_reply (invocation, NULL);
}

/* ---- between the sockets ---- */

static const KcpFields no_fields;

static const KcpFields *
after (guint64 callbacks)
{
  static KcpFields fields;

  fields = no_fields;
  fields.present = KCP_FIELD_BIT (KCP_FIELD_CALLBACKS_SENT);
  fields.callbacks_sent = callbacks;
  return &fields;
}

/* The END is read long before the callback that belongs before it. */
static void
test_end_waits (gconstpointer as_error)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Noted a = { 'a' }, b = { 'b' };

  begin ();
  pair->side.handler = note_path;
  ask_noted (&pair->side, &a, 0, NULL);
  ask_noted (&pair->side, &b, 0, NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, as_error ? KCP_FRAME_ERROR : KCP_FRAME_END, 1, after (2),
            as_error ? "{}" : NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 2, NULL, NULL);
  WAIT_FOR (has_happened ('b'));   /* which had to wait for nothing */
  raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, 1, &CALL_FIELDS ("1"), NULL);
  WAIT_FOR (has_happened ('1'));
  settle ();
  /* Frames that may overtake do not count. */
  raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_PING, 0, NULL, NULL);
  raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CANCEL, 1, NULL, NULL);
  settle ();
  raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_LOG, 0, NULL, "{}");
  WAIT_FOR (has_happened ('a'));
  end ("b1a");
  g_assert_cmpint (a.code, ==, as_error ? KCP_ERROR_HANDLER_FAILED : -1);
}

/* Both are there when the request socket is read. */
static void
test_both_there (void)
{
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
      Noted a = { 'a' };

      begin ();
      pair->side.handler = note_path;
      ask_noted (&pair->side, &a, 0, NULL);
      if (i == 0)
        raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, after (2), NULL);
      raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, 1, &CALL_FIELDS ("1"), NULL);
      raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, 2, &CALL_FIELDS ("2"), NULL);
      if (i == 1)
        raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, after (2), NULL);
      WAIT_FOR (has_happened ('a'));
      end ("12a");
    }
}

static void
tell_and_reply (TestSide      *side,
                KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) first = text_message ("1", NULL);
  g_autoptr (KcpMessage) second = text_message ("2", NULL);

  kcp_link_tell (side->link, first, NULL);
  kcp_link_tell (side->link, second, NULL);
  kcp_invocation_reply (invocation, NULL);
}

static void
test_two_links (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  Noted a = { 'a' };

  pair->child.handler = tell_and_reply;
  pair->host.handler = note_path;
  for (guint i = 0; i < 300; i++)
    {
      begin ();
      ask_noted (&pair->host, &a, 0, NULL);
      WAIT_FOR (has_happened ('a'));
      end ("12a");
    }
}

/* What was promised will never come. */
static void
test_callback_socket_ends (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Noted a = { 'a' };

  begin ();
  pair->side.close_when_lost = FALSE;
  ask_noted (&pair->side, &a, 0, NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, after (1), NULL);
  settle ();
  end ("");
  begin ();
  shutdown (pair->fds[KCP_SOCKET_CALLBACK], SHUT_WR);
  WAIT_FOR (has_happened ('a'));
  end ("a");
  g_assert_cmpint (a.code, ==, -1);
}

static void
test_cancelled_while_held (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Noted a = { 'a' };

  begin ();
  ask_noted (&pair->side, &a, 0, cancellable);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, after (1), NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, after (1), NULL);
  settle ();
  g_cancellable_cancel (cancellable);
  WAIT_FOR (has_happened ('a'));
  raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_LOG, 0, NULL, "{}");
  WAIT_FOR (pair->side.frames->len == 1);
  settle ();
  end ("a");
  g_assert_cmpint (a.code, ==, G_IO_ERROR_CANCELLED);
}

/* ---- main loops in user code ---- */

static void
loop_until (Noted *noted)
{
  WAIT_FOR (has_happened (noted->wait_for));
}

/* Two answers in one read; the first one's callback waits for the second. */
static void
test_loop_in_callback (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Noted a = { 'a', loop_until, 'b' }, b = { 'b' };

  begin ();
  ask_noted (&pair->side, &a, 0, NULL);
  ask_noted (&pair->side, &b, 0, NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, NULL, NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 2, NULL, NULL);
  WAIT_FOR (has_happened ('A'));
  end ("abA");
}

/* A loop inside a loop inside a loop … and all answers still in order. */
static void
test_loops_in_loops (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Noted noted[26];

  begin ();
  for (guint i = 0; i < 26; i++)
    {
      noted[i] = (Noted) { (char) ('a' + i), i < 25 ? loop_until : NULL, (char) ('b' + i) };
      ask_noted (&pair->side, &noted[i], 0, NULL);
    }
  for (guint i = 0; i < 26; i++)
    raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, i + 1, NULL, NULL);
  WAIT_FOR (has_happened ('A'));
  end ("abcdefghijklmnopqrstuvwxyzYXWVUTSRQPONMLKJIHGFEDCBA");
}

static guint spins;

static void
loop_while_busy (Noted *noted)
{
  while (g_main_context_iteration (NULL, FALSE))
    spins++;
}

/* Nothing stays ready for ever while one of our frames is with user code. */
static void
test_no_spin (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Noted a = { 'a', loop_while_busy }, b = { 'b', loop_while_busy };
  g_autoptr (GByteArray) half = raw_frame (KCP_FRAME_END, 3, NULL, NULL);

  begin ();
  spins = 0;
  ask_noted (&pair->side, &a, 0, NULL);
  ask_noted (&pair->side, &b, 0, NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, NULL, NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 2, NULL, NULL);
  raw_send_bytes (pair, KCP_SOCKET_REQUEST, half->data, 7);
  WAIT_FOR (has_happened ('A'));
  end ("abBA");
  g_assert_cmpuint (spins, <, 50);
}

static void
wait_in_handler (TestSide      *side,
                 KcpInvocation *invocation)
{
  char path = *kcp_invocation_get_path (invocation);

  happen (path);
  if (path == 'x')
    WAIT_FOR (has_happened ('y'));
  happen (g_ascii_toupper (path));
  kcp_invocation_reply (invocation, NULL);
}

static void
test_loop_in_handler (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_CHILD, 0);
  g_auto (KcpFrame) first = { .body = NULL };
  g_auto (KcpFrame) second = { .body = NULL };

  begin ();
  pair->side.handler = wait_in_handler;
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 1, &CALL_FIELDS ("x"), NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_CALL, 2, &CALL_FIELDS ("y"), NULL);
  WAIT_FOR (has_happened ('X'));
  end ("xyYX");
  raw_expect (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, &first);
  raw_expect (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, &second);
  g_assert_cmpuint (first.header.id, ==, 2);
  g_assert_cmpuint (second.header.id, ==, 1);
}

/* Callbacks that had to wait for a later turn: the first one's loop goes on with the second. */
static void
test_loop_in_later_callback (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  Noted a = { 'a', loop_until, 'c' }, b = { 'b' }, c = { 'c' };

  begin ();
  kcp_link_refuse (pair->host.link, g_error_new_literal (KCP_ERROR, KCP_ERROR_STOPPING, "over"));
  ask_noted (&pair->host, &a, 0, NULL);
  ask_noted (&pair->host, &b, 0, NULL);
  ask_noted (&pair->host, &c, 0, NULL);
  WAIT_FOR (has_happened ('A'));
  end ("abcA");
}

static gpointer
cancel_both (gpointer data)
{
  GCancellable **cancellables = data;

  g_cancellable_cancel (cancellables[0]);
  g_cancellable_cancel (cancellables[1]);
  return NULL;
}

static void
test_loop_in_cancelled_callback (void)
{
  g_autoptr (LinkPair) pair = link_pair_new (0);
  g_autoptr (GCancellable) first = g_cancellable_new ();
  g_autoptr (GCancellable) second = g_cancellable_new ();
  GCancellable *both[] = { first, second };
  Noted a = { 'a', loop_until, 'b' }, b = { 'b' };

  begin ();
  ask_noted (&pair->host, &a, 0, first);
  ask_noted (&pair->host, &b, 0, second);
  g_thread_join (g_thread_new ("cancels", cancel_both, both));
  WAIT_FOR (has_happened ('A'));
  end ("abA");
}

/* Both deadlines have passed when the clock runs. */
static void
test_loop_in_timed_out_callback (void)
{
  g_autoptr (RawPair) pair = raw_pair_new (KCP_LINK_HOST, 0);
  Noted a = { 'a', loop_until, 'b' }, b = { 'b' };

  begin ();
  ask_noted (&pair->side, &a, 1, NULL);
  ask_noted (&pair->side, &b, 2, NULL);
  g_usleep (5000);   /* they are in the past now */
  WAIT_FOR (has_happened ('A'));
  end ("abA");
  g_assert_cmpint (a.code, ==, KCP_ERROR_TIMED_OUT);
  g_assert_cmpint (b.code, ==, KCP_ERROR_TIMED_OUT);
}

static RawPair *raw;

static void
answer_second_call (TestSide      *side,
                    KcpInvocation *invocation)
{
  happen ('1');
  raw_send (raw, KCP_SOCKET_REQUEST, KCP_FRAME_END, 2, NULL, NULL);
  kcp_invocation_reply (invocation, NULL);
}

/* The clock looks at the sockets first and finds an answer whose callback waits for a deadline:
 * the clock must not be standing still meanwhile. */
static void
test_loop_under_the_clock (void)
{
  g_autoptr (RawPair) pair = raw = raw_pair_new (KCP_LINK_HOST, 0);
  Noted a = { 'a' }, b = { 'b', loop_until, 'a' };

  begin ();
  pair->side.handler = answer_second_call;
  ask_noted (&pair->side, &a, 1, NULL);
  ask_noted (&pair->side, &b, 0, NULL);
  g_usleep (5000);
  /* Ready in the same turn: the callback socket, in which the answer to “b” is sent, and then the
   * clock, because of “a”. */
  raw_send (pair, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, 1, &CALL_FIELDS ("x"), NULL);
  WAIT_FOR (has_happened ('B'));
  end ("1baB");
}

static void
loop_for_second_end (TestSide      *side,
                     KcpInvocation *invocation)
{
  char path = *kcp_invocation_get_path (invocation);

  happen (path);
  if (path == '1')
    {
      raw_send (raw, KCP_SOCKET_REQUEST, KCP_FRAME_END, 2, after (3), NULL);
      raw_send (raw, KCP_SOCKET_REQUEST, KCP_FRAME_END, 3, NULL, NULL);
      WAIT_FOR (has_happened ('c'));
      raw_send (raw, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, 2, &CALL_FIELDS ("2"), NULL);
      raw_send (raw, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, 3, &CALL_FIELDS ("3"), NULL);
    }
  kcp_invocation_reply (invocation, NULL);
}

static gboolean
send_first_callback (gpointer data)
{
  raw_send (raw, KCP_SOCKET_CALLBACK, KCP_FRAME_CALL, 1, &CALL_FIELDS ("1"), NULL);
  return G_SOURCE_REMOVE;
}

/* An END that is held in a loop, while the frames for which it waits are taken further up. */
static void
test_held_in_loop (void)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  g_autoptr (RawPair) pair = NULL;
  Noted a = { 'a' }, b = { 'b' }, c = { 'c' };

  begin ();
  /* Has its turn before the sockets: the callback is there when the END is read, and the callback
   * socket is not among what is ready in this turn. */
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, send_first_callback, NULL, NULL);
  g_source_attach (source, NULL);
  pair = raw = raw_pair_new (KCP_LINK_HOST, 0);
  pair->side.handler = loop_for_second_end;
  ask_noted (&pair->side, &a, 0, NULL);
  ask_noted (&pair->side, &b, 0, NULL);
  ask_noted (&pair->side, &c, 0, NULL);
  raw_send (pair, KCP_SOCKET_REQUEST, KCP_FRAME_END, 1, after (3), NULL);
  WAIT_FOR (has_happened ('a'));
  settle ();   /* and not when the clock looks after it, much later */
  end ("1c23ab");
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func ("/link-order/end-waits", NULL, test_end_waits);
  g_test_add_data_func ("/link-order/error-waits", "error", test_end_waits);
  g_test_add_func ("/link-order/both-there", test_both_there);
  g_test_add_func ("/link-order/two-links", test_two_links);
  g_test_add_func ("/link-order/callback-socket-ends", test_callback_socket_ends);
  g_test_add_func ("/link-order/cancelled-while-held", test_cancelled_while_held);
  g_test_add_func ("/link-loop/in-callback", test_loop_in_callback);
  g_test_add_func ("/link-loop/loops-in-loops", test_loops_in_loops);
  g_test_add_func ("/link-loop/no-spin", test_no_spin);
  g_test_add_func ("/link-loop/in-handler", test_loop_in_handler);
  g_test_add_func ("/link-loop/in-later-callback", test_loop_in_later_callback);
  g_test_add_func ("/link-loop/in-cancelled-callback", test_loop_in_cancelled_callback);
  g_test_add_func ("/link-loop/in-timed-out-callback", test_loop_in_timed_out_callback);
  g_test_add_func ("/link-loop/under-the-clock", test_loop_under_the_clock);
  g_test_add_func ("/link-loop/held-in-loop", test_held_in_loop);

  return g_test_run ();
}
