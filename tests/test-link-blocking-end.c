/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blocking-child.h"

#include <string.h>
#include <unistd.h>

/* What ends a call in which the host blocks, other than its answer. */

static void
test_cancelled (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) before = NULL;

  shared_cancellable = g_cancellable_new ();
  g_assert_null (ask_blocking (&pair->host, "hang-and-cancel", NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (ask_blocking (&pair->host, "echo", NULL, &before));
  g_assert_error (before, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_object (&shared_cancellable);
}

static void
ask_until (ThreadPair *pair,
           const char *path)
{
  g_autoptr (KcpMessage) message = text_message (path, NULL);
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GError) error = NULL;

  kcp_message_set_timeout (message, 30);
  answer = kcp_link_ask (pair->host.link, message, NULL, &error);
  g_assert_error (error, KCP_ERROR, KCP_ERROR_TIMED_OUT);
  g_assert_null (answer);
}

static void
test_deadline (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autofree char *answer = NULL;

  ask_until (pair, "hang");
  answer = ask_blocking (&pair->host, "echo", "1", NULL);
  g_assert_cmpstr (answer, ==, "1");
}

/* A child that never stops talking keeps neither from us. */
static void
test_flood (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (GError) error = NULL;

  ask_until (pair, "flood");
  shared_cancellable = g_cancellable_new ();
  g_assert_null (ask_blocking (&pair->host, "flood", NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_object (&shared_cancellable);
}

static void
test_not_sent (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autofree char *large = g_strnfill (17 * 1024 * 1024, '7');
  g_autoptr (GError) too_large = NULL;
  g_autoptr (GError) refused = NULL;

  g_assert_null (ask_blocking (&pair->host, "echo", large, &too_large));
  g_assert_error (too_large, KCP_ERROR, KCP_ERROR_TOO_LARGE);
  kcp_link_refuse (pair->host.link, g_error_new_literal (KCP_ERROR, KCP_ERROR_STOPPING, "over"));
  g_assert_null (ask_blocking (&pair->host, "echo", NULL, &refused));
  g_assert_error (refused, KCP_ERROR, KCP_ERROR_STOPPING);
}

static void
test_other_side_closes (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) after = NULL;

  g_assert_null (ask_blocking (&pair->host, "die", NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
  g_assert_nonnull (strstr (error->message, "die"));
  g_assert_null (ask_blocking (&pair->host, "echo", NULL, &after));
  g_assert_error (after, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
}

static void
close_inside (TestSide      *side,
              KcpInvocation *invocation)
{
  side_close (side);
}

static void
test_closed_inside (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (GError) error = NULL;

  pair->host.handler = close_inside;
  g_assert_null (ask_blocking (&pair->host, "pass-on", NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
}

static int watched_pipe[2];

static int
get_watched (gpointer data)
{
  return watched_pipe[0];
}

static void
watched_is_readable (gpointer data)
{
  side_close (data);
}

/* Such as the descriptor that tells of the child's death. */
static void
test_watch (void)
{
  g_autoptr (ThreadPair) pair = thread_pair_new (serve_in_child);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (pipe (watched_pipe), ==, 0);
  kcp_link_watch (pair->host.link, get_watched, watched_is_readable, &pair->host);
  close (watched_pipe[1]);
  g_assert_null (ask_blocking (&pair->host, "hang", NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED);
  close (watched_pipe[0]);
}

int
main (int   argc,
      char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/link-blocking-end/cancelled", test_cancelled);
  g_test_add_func ("/link-blocking-end/deadline", test_deadline);
  g_test_add_func ("/link-blocking-end/flood", test_flood);
  g_test_add_func ("/link-blocking-end/not-sent", test_not_sent);
  g_test_add_func ("/link-blocking-end/other-side-closes", test_other_side_closes);
  g_test_add_func ("/link-blocking-end/closed-inside", test_closed_inside);
  g_test_add_func ("/link-blocking-end/watch", test_watch);

  return g_test_run ();
}
