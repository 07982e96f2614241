/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd-link.h"

#include <string.h>
#include <unistd.h>

/* Descriptors between two links: on every kind of message, up to the limit, and on all the ways on
 * which a message gets lost. Each test looks at what is open before and after. */

/* ---- the way there and back ---- */

/* The count that is asked for, as the answer of the path says: “reply 3”, “items 3”. */
static guint
asked_count (KcpInvocation *invocation)
{
  return (guint) g_ascii_strtoull (strchr (kcp_invocation_get_path (invocation), ' '), NULL, 10);
}

static void
serve (Side          *side,
       KcpInvocation *invocation)
{
  guint count = asked_count (invocation);

  check_message (kcp_invocation_get_message (invocation), "there", count);
  if (g_str_has_prefix (kcp_invocation_get_path (invocation), "items"))
    for (guint i = 0; i < 6; i++)
      {
        g_autoptr (KcpMessage) item = make_message (NULL, "item", count);

        g_assert_true (kcp_invocation_send_item_message (invocation, item));
      }

  {
    g_autoptr (KcpMessage) reply = make_message (NULL, "back", count);

    kcp_invocation_reply_message (invocation, reply);
  }
}

static void
test_reply (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);

  pair->host.handler = pair->child.handler = serve;
  for (guint count = 0; count <= KCP_FRAME_FD_LIMIT; count++)
    for (guint way = 0; way < 2; way++)
      {
        g_autofree char *path = g_strdup_printf ("reply %u", count);
        g_auto (Answer) answer = { FALSE };

        ask (way ? &pair->child : &pair->host, make_message (path, "there", count), NULL, &answer);
        WAIT_FOR (answer.done);
        g_assert_no_error (answer.error);
        check_message (answer.message, "back", count);
      }

  pair_free (pair);
  LEAK_CHECK_END;
}

static void
take_next (GObject      *source,
           GAsyncResult *result,
           gpointer      data)
{
  Answer *answer = data;

  answer->done = TRUE;
  answer->message = kcp_stream_next_finish (KCP_STREAM (source), result, &answer->error);
}

static void
test_items (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);

  pair->host.handler = pair->child.handler = serve;
  for (guint way = 0; way < 2; way++)
    {
      g_autoptr (KcpMessage) message = make_message ("items 16", "there", 16);
      g_autoptr (KcpStream) stream = kcp_link_ask_stream (way ? pair->child.link : pair->host.link, message, NULL);

      for (guint i = 0; i <= 6; i++)
        {
          g_auto (Answer) answer = { FALSE };

          kcp_stream_next_async (stream, NULL, take_next, &answer);
          WAIT_FOR (answer.done);
          g_assert_no_error (answer.error);
          if (i < 6)
            check_message (answer.message, "item", 16);
        }
      check_message (kcp_stream_get_result (stream), "back", 16);
    }

  pair_free (pair);
  LEAK_CHECK_END;
}

/* ---- more than may be ---- */

static void
answer_too_many (Side          *side,
                 KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) many = make_message (NULL, "back", 17);

  if (g_str_equal (kcp_invocation_get_path (invocation), "item"))
    kcp_invocation_send_item_message (invocation, many);
  else
    kcp_invocation_reply_message (invocation, many);
}

static void
test_too_many (void)
{
  static const char *const paths[] = { "item", "reply" };
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  g_auto (Answer) answer = { FALSE };
  g_autoptr (KcpMessage) told = make_message ("x", "x", 17);
  g_autoptr (GError) error = NULL;

  pair->child.handler = answer_too_many;
  ask (&pair->host, make_message ("x", "x", 17), NULL, &answer);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
  g_assert_nonnull (strstr (answer.error->message, "17 descriptors, the limit is 16"));

  g_assert_false (kcp_link_tell (pair->host.link, told, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE);

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      answer_clear (&answer);
      ask (&pair->host, make_message (paths[i], "x", 16), NULL, &answer);
      WAIT_FOR (answer.done);
      g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_TOO_LARGE);
    }
  g_assert_false (pair->host.ended || pair->child.ended);

  g_clear_pointer (&told, kcp_message_unref);
  pair_free (pair);
  LEAK_CHECK_END;
}

static void
answer_descriptor (Side          *side,
                   KcpInvocation *invocation)
{
  g_autoptr (KcpMessage) reply = make_message (NULL, "back", g_str_equal (kcp_invocation_get_path (invocation), "with"));

  kcp_invocation_reply_message (invocation, reply);
}

/* Without the feature they never leave, and all else goes on. */
static void
test_not_agreed (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (FALSE);
  g_auto (Answer) answer = { FALSE };

  pair->child.handler = answer_descriptor;
  ask (&pair->host, make_message ("x", "x", 1), NULL, &answer);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  answer_clear (&answer);

  ask (&pair->host, make_message ("with", "x", 0), NULL, &answer);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  answer_clear (&answer);

  ask (&pair->host, make_message ("without", "x", 0), NULL, &answer);
  WAIT_FOR (answer.done);
  g_assert_no_error (answer.error);

  pair_free (pair);
  LEAK_CHECK_END;
}

/* ---- messages that get lost ---- */

/* While it waits in the writer, and while it waits behind that in the mailbox. */
static void
test_cancel_unsent (gconstpointer data)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_auto (Answer) answer = { FALSE }, second = { FALSE };

  fill_socket (pair, GPOINTER_TO_UINT (data));
  ask (&pair->host, make_message ("x", "x", 16), cancellable, &answer);
  ask (&pair->host, make_message ("y", "y", 3), NULL, &second);
  g_assert_false (answer.done);
  g_cancellable_cancel (cancellable);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

  /* It has never left, what was behind it has. */
  WAIT_FOR (pair->child.kept->len > GPOINTER_TO_UINT (data));
  g_assert_cmpuint (pair->child.kept->len, ==, GPOINTER_TO_UINT (data) + 1);
  check_message (kcp_invocation_get_message (pair->child.kept->pdata[pair->child.kept->len - 1]), "y", 3);
  side_close (&pair->host);
  WAIT_FOR (second.done);

  pair_free (pair);
  LEAK_CHECK_END;
}

/* The link ends with frames queued on one side, and frames unread on the other; and the
 * descriptors do not wait for the last reference. */
static void
test_close_queued (gconstpointer data)
{
  gboolean by_child = GPOINTER_TO_INT (data);
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  Answer answers[20] = { { FALSE } };
  g_autofree char *after = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      /* The first are in the socket, then some in the writer, the last in the mailbox. */
      if (i == 5 || i == 12)
        fill_socket (pair, 2);
      ask (&pair->host, make_message ("x", "x", 10), NULL, &answers[i]);
    }
  side_close (by_child ? &pair->child : &pair->host);
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      WAIT_FOR (answers[i].done);
      g_assert_nonnull (answers[i].error);
      answer_clear (&answers[i]);
    }
  WAIT_FOR (pair->child.ended || by_child);
  side_close (&pair->child);

  /* The link is still there, its sockets are not. */
  g_ptr_array_set_size (pair->child.kept, 0);
  after = list_descriptors ();
  g_assert_null (strstr (after, "kcp test"));

  pair_free (pair);
  LEAK_CHECK_END;
}

/* Items to one who wants none; to a stream that is dropped with items in it. */
static void
test_unwanted_items (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  g_auto (Answer) answer = { FALSE };

  pair->child.handler = serve;
  ask (&pair->host, make_message ("items 5", "there", 5), NULL, &answer);
  WAIT_FOR (answer.done);
  g_assert_error (answer.error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  answer_clear (&answer);

  {
    g_autoptr (KcpMessage) message = make_message ("items 5", "there", 5);
    g_autoptr (KcpStream) stream = kcp_link_ask_stream (pair->host.link, message, NULL);

    kcp_stream_next_async (stream, NULL, take_next, &answer);
    WAIT_FOR (answer.done);
    check_message (answer.message, "item", 5);
    answer_clear (&answer);
  }

  ask (&pair->host, make_message ("reply 1", "there", 1), NULL, &answer);
  WAIT_FOR (answer.done);
  g_assert_no_error (answer.error);
  answer_clear (&answer);

  pair_free (pair);
  LEAK_CHECK_END;
}

/* An answer that waits for frames of the other socket when the link ends; a call that nobody
 * answers; a call of which nobody looks at the descriptors. */
static void
test_unfinished (void)
{
  LEAK_CHECK_BEGIN;
  Pair *pair = pair_new (TRUE);
  Answer answers[3] = { { FALSE } };

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    ask (&pair->host, make_message ("x", "x", 4), NULL, &answers[i]);
  WAIT_FOR (pair->child.kept->len == G_N_ELEMENTS (answers));
  {
    g_autoptr (KcpMessage) reply = make_message (NULL, "back", 4);

    kcp_invocation_reply_message (pair->child.kept->pdata[0], reply);
    g_ptr_array_remove_index (pair->child.kept, 1);
  }
  side_close (&pair->host);
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      WAIT_FOR (answers[i].done);
      answer_clear (&answers[i]);
    }

  pair_free (pair);
  LEAK_CHECK_END;
}

/* ---- of a message ---- */

static void
test_message (void)
{
  LEAK_CHECK_BEGIN;
  KcpMessage *message = make_message ("x", "m", 2);
  g_autoptr (GError) error = NULL;
  g_autofree int *fds = NULL;
  int count;

  g_assert_cmpint (kcp_message_get_fd (message, 2, &error), ==, -1);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
  g_assert_cmpint (g_unix_fd_list_get_length (kcp_message_get_fd_list (message)), ==, 2);

  fds = kcp_message_steal_fds (message, &count);
  g_assert_cmpint (count, ==, 2);
  g_assert_cmpint (fds[2], ==, -1);
  close (fds[0]);
  close (fds[1]);
  g_assert_null (kcp_message_get_fd_list (message));
  g_free (fds);
  fds = kcp_message_steal_fds (message, &count);
  g_assert_cmpint (count, ==, 0);
  g_assert_cmpint (fds[0], ==, -1);

  kcp_message_unref (message);
  LEAK_CHECK_END;
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/descriptors/message", test_message);
  g_test_add_func ("/descriptors/reply", test_reply);
  g_test_add_func ("/descriptors/items", test_items);
  g_test_add_func ("/descriptors/too-many", test_too_many);
  g_test_add_func ("/descriptors/not-agreed", test_not_agreed);
  g_test_add_data_func ("/descriptors/lost/cancelled-in-writer", GUINT_TO_POINTER (2), test_cancel_unsent);
  g_test_add_data_func ("/descriptors/lost/cancelled-in-mailbox", GUINT_TO_POINTER (5), test_cancel_unsent);
  g_test_add_data_func ("/descriptors/lost/closed-by-host", GINT_TO_POINTER (FALSE), test_close_queued);
  g_test_add_data_func ("/descriptors/lost/closed-by-child", GINT_TO_POINTER (TRUE), test_close_queued);
  g_test_add_func ("/descriptors/lost/unwanted-items", test_unwanted_items);
  g_test_add_func ("/descriptors/lost/unfinished", test_unfinished);

  return g_test_run ();
}
