/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "supervised.h"

/* Streams across the lives of a child: they may wait for one, and belong to one. */

#define LONG_MS (60 * 60 * 1000)

/* WAITING, and for as long as the test does nothing about it. */
static void
make_wait (Supervised *self)
{
  kcp_supervisor_set_backoff (self->supervisor, LONG_MS, LONG_MS, LONG_MS);
  supervised_start (self);
  supervised_kill_child (self);
  supervised_wait_for (self, KCP_SUPERVISOR_WAITING);
}

static KcpStream *
ask_items (Supervised *self,
           const char *text)
{
  g_autoptr (KcpMessage) message = new_message ("items", text);

  kcp_message_set_idempotent (message, TRUE);
  return kcp_callable_ask_stream (KCP_CALLABLE (self->supervisor), message, NULL);
}

static gboolean
next_item (KcpStream  *stream,
           GError    **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (KcpMessage) item = NULL;

  kcp_stream_next_async (stream, NULL, store_result, &result);
  WAIT_UNTIL (result);
  item = kcp_stream_next_finish (stream, result, error);
  return item != NULL;
}

static void
test_stream (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (KcpStream) whole = NULL;
  g_autoptr (KcpStream) cut = NULL;
  g_autoptr (KcpStream) dropped = NULL;
  g_autoptr (KcpStream) refused = NULL;
  g_autoptr (GError) error = NULL;

  refused = ask_items (self, "end");
  g_assert_false (next_item (refused, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&error);

  /* Asked for before there is a child. */
  kcp_supervisor_start_async (self->supervisor, NULL, NULL, NULL);
  whole = ask_items (self, "end");
  cut = ask_items (self, "open");
  dropped = ask_items (self, "dropped");
  g_clear_object (&dropped);
  g_assert_cmpuint (kcp_supervisor_get_waiting (self->supervisor), ==, 2);
  g_assert_true (next_item (whole, &error));
  g_assert_true (next_item (whole, &error));
  g_assert_false (next_item (whole, &error));
  g_assert_no_error (error);
  g_assert_true (kcp_stream_is_done (whole));
  g_assert_nonnull (kcp_stream_get_result (whole));

  /* One that was begun is over, whatever its message says. */
  g_assert_true (next_item (cut, &error));
  g_assert_true (next_item (cut, &error));
  supervised_kill_child (self);
  g_assert_false (next_item (cut, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
  WAIT_UNTIL (self->restarted == 1);
  supervised_expect_log (self, "configure first\nstart\nitems end\nitems open\nconfigure first\nstart\n");
}

static void
test_stream_blocking (void)
{
  g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);
  g_autoptr (KcpStream) early = NULL;
  g_autoptr (KcpStream) waited = NULL;
  g_autoptr (KcpMessage) item = NULL;
  g_autoptr (GError) error = NULL;

  make_wait (self);
  early = ask_items (self, "end");
  waited = ask_items (self, "end");
  g_assert_null (kcp_stream_next (early, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&error);

  /* By now it is in the hands of a link. */
  supervised_start (self);
  item = kcp_stream_next (waited, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (item);
}

/* Streams hold no reference on the supervisor, and end with it. */
static void
test_stream_dropped_supervisor (void)
{
  g_autoptr (KcpStream) stream = NULL;
  g_autoptr (GError) error = NULL;

  {
    g_autoptr (Supervised) self = supervised_new (KCP_RESTART_ON_FAILURE);

    make_wait (self);
    stream = ask_items (self, "end");
  }
  g_assert_true (kcp_stream_is_done (stream));
  g_assert_false (next_item (stream, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/supervisor-streams/waited-for", test_stream);
  g_test_add_func ("/supervisor-streams/blocking", test_stream_blocking);
  g_test_add_func ("/supervisor-streams/dropped-supervisor", test_stream_dropped_supervisor);
  return g_test_run ();
}
