/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls-test.h"

#include <string.h>

/* Streamed answers: to the end, failing on the way, dropped early; waited for and blocked in. */

static KcpStream *
open_stream (KcpActor     *actor,
             const char   *path,
             const char   *json,
             int           timeout,
             GCancellable *cancellable)
{
  g_autoptr (KcpMessage) message = calls_message (path, json);

  kcp_message_set_timeout (message, timeout);
  return kcp_actor_ask_stream (actor, message, cancellable);
}

typedef struct
{
  gboolean done;
  KcpMessage *item;
  GError *error;
} Next;

static void
on_next (GObject      *source,
         GAsyncResult *result,
         gpointer      data)
{
  Next *next = data;

  g_assert_false (next->done);
  next->item = kcp_stream_next_finish (KCP_STREAM (source), result, &next->error);
  next->done = TRUE;
}

/* The next item as text; NULL at the end, or with an error. */
static char *
take (KcpStream  *stream,
      gboolean    blocking,
      GError    **error)
{
  Next next = { FALSE, NULL, NULL };
  g_autoptr (KcpMessage) item = NULL;

  if (blocking)
    item = kcp_stream_next (stream, NULL, error);
  else
    {
      kcp_stream_next_async (stream, NULL, on_next, &next);
      g_assert_false (next.done);
      kcp_test_wait_flag (&next.done, "an item");
      item = next.item;
      if (next.error)
        g_propagate_error (error, next.error);
    }

  return item ? calls_text (item) : NULL;
}

static void
expect_item (KcpStream  *stream,
             gboolean    blocking,
             const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = take (stream, blocking, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, expected);
}

static void
expect_failure (KcpStream  *stream,
                GQuark      domain,
                int         code,
                const char *part)
{
  /* It stays so, however often it is asked. */
  for (int i = 0; i < 3; i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (take (stream, i == 1, &error));
      kcp_test_assert_error (error, domain, code, part);
    }
  g_assert_true (kcp_stream_is_done (stream));
  g_assert_null (kcp_stream_get_result (stream));
}

/* ---- to the end ---- */

static void
test_to_the_end (void)
{
  KcpActor *actor = calls_spawn (NULL);

  for (int blocking = 0; blocking < 2; blocking++)
    {
      g_autoptr (KcpStream) stream = open_stream (actor, "count", "{\"items\":500}", KCP_TIMEOUT_DEFAULT,
                                                  NULL);
      g_autofree char *result = NULL;

      g_assert_false (kcp_stream_is_done (stream));
      g_assert_null (kcp_stream_get_result (stream));
      for (int i = 0; i < 500; i++)
        {
          g_autofree char *number = g_strdup_printf ("%d", i);

          expect_item (stream, blocking, number);
        }
      for (int i = 0; i < 3; i++)
        expect_item (stream, blocking, NULL);
      g_assert_true (kcp_stream_is_done (stream));
      result = calls_text (kcp_stream_get_result (stream));
      g_assert_cmpstr (result, ==, "500");
    }
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 0);
  kcp_test_end (actor);
}

/* A plain answer is a stream without items. */
static void
test_without_items (void)
{
  KcpActor *actor = calls_spawn (NULL);
  static const char *const paths[] = { "count", "echo" };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (KcpStream) stream = open_stream (actor, paths[i], "{\"items\":0}", KCP_TIMEOUT_DEFAULT,
                                                  NULL);

      expect_item (stream, i == 1, NULL);
      g_assert_nonnull (kcp_stream_get_result (stream));
    }
  kcp_test_end (actor);
}

/* Who asks for one answer and gets items is told how to ask. */
static void
test_asked_plainly (void)
{
  KcpActor *actor = calls_spawn (NULL);

  calls_expect_error (actor, "count", NULL, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "as a stream");
  calls_expect_error (actor, "endless", NULL, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE, "as a stream");
  calls_await_seen (actor, "endless: stopped, cancelled=1");
  calls_expect (actor, "count", "{\"items\":0}", "0");
  kcp_test_end (actor);
}

static void
test_many_at_once (void)
{
  KcpActor *actor = calls_spawn (NULL);
  KcpStream *streams[10];

  for (gsize i = 0; i < G_N_ELEMENTS (streams); i++)
    streams[i] = open_stream (actor, i % 2 ? "thread" : "count", "{\"items\":100}", KCP_TIMEOUT_DEFAULT,
                              NULL);
  for (int item = 0; item < 100; item++)
    for (gsize i = 0; i < G_N_ELEMENTS (streams); i++)
      {
        g_autofree char *number = g_strdup_printf ("%d", item);

        expect_item (streams[i], FALSE, number);
      }
  for (gsize i = 0; i < G_N_ELEMENTS (streams); i++)
    {
      expect_item (streams[i], FALSE, NULL);
      g_object_unref (streams[i]);
    }
  kcp_test_end (actor);
}

static void
test_bytes (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpStream) stream = open_stream (actor, "blocks", "{\"items\":20,\"size\":1000000}",
                                              KCP_TIMEOUT_DEFAULT, NULL);
  g_autoptr (GError) error = NULL;
  KcpMessage *item;
  gsize size = 0;

  while ((item = kcp_stream_next (stream, NULL, &error)))
    {
      g_assert_cmpstr (kcp_message_get_content_type (item), ==, "application/octet-stream");
      size += g_bytes_get_size (kcp_message_get_body_bytes (item, NULL));
      kcp_message_unref (item);
    }
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, 20000000);
  kcp_test_end (actor);
}

/* ---- not to the end ---- */

static void
test_failing (void)
{
  KcpActor *actor = calls_spawn (NULL);

  for (int blocking = 0; blocking < 2; blocking++)
    {
      g_autoptr (KcpStream) stream = open_stream (actor, "count", "{\"items\":2,\"fail\":4}",
                                                  KCP_TIMEOUT_DEFAULT, NULL);

      expect_item (stream, blocking, "0");
      expect_item (stream, blocking, "1");
      expect_failure (stream, G_FILE_ERROR, G_FILE_ERROR_NOENT, "after 2 items");
    }
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

static void
test_unsendable (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autofree char *path = g_strnfill (300, 'p');
  g_autoptr (KcpStream) stream = open_stream (actor, path, NULL, KCP_TIMEOUT_DEFAULT, NULL);
  g_autoptr (KcpStream) nowhere = open_stream (actor, "nowhere", NULL, KCP_TIMEOUT_DEFAULT, NULL);

  expect_failure (stream, KCP_ERROR, KCP_ERROR_TOO_LARGE, "255");
  expect_failure (nowhere, KCP_ERROR, KCP_ERROR_UNKNOWN_PATH, "nowhere");
  kcp_test_end (actor);
}

/* An item over the limit ends the stream with an error, once, and the handler goes on into nothing. */
static void
test_item_too_large (void)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (NULL);
  g_autoptr (KcpStream) stream = NULL;
  KcpActor *actor;

  kcp_launcher_set_frame_limit (launcher, 128 * 1024);
  actor = calls_spawn_with (launcher);
  stream = open_stream (actor, "blocks", "{\"items\":3,\"size\":200000}", KCP_TIMEOUT_DEFAULT, NULL);
  expect_failure (stream, KCP_ERROR, KCP_ERROR_TOO_LARGE, "131072");
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

static void
test_dropped (void)
{
  KcpActor *actor = calls_spawn (NULL);
  KcpStream *unread = open_stream (actor, "endless", NULL, KCP_TIMEOUT_DEFAULT, NULL);
  KcpStream *stream = open_stream (actor, "endless", NULL, KCP_TIMEOUT_DEFAULT, NULL);

  g_object_unref (unread);
  calls_await_seen (actor, "endless: stopped, cancelled=1");
  for (int i = 0; i < 10; i++)
    expect_item (stream, i % 2, "1");
  g_object_unref (stream);
  calls_await_seen (actor, "endless: stopped, cancelled=1");
  g_assert_cmpuint (kcp_actor_get_in_flight (actor), ==, 0);
  kcp_test_end (actor);
}

static void
test_closed (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpStream) stream = open_stream (actor, "hold", NULL, KCP_TIMEOUT_DEFAULT, NULL);
  Next next = { FALSE, NULL, NULL };

  kcp_stream_next_async (stream, NULL, on_next, &next);
  kcp_stream_close (stream);
  kcp_stream_close (stream);
  g_assert_false (next.done);
  kcp_test_wait_flag (&next.done, "the end of the wait");
  kcp_test_assert_error (next.error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "closed");
  g_clear_error (&next.error);
  expect_failure (stream, G_IO_ERROR, G_IO_ERROR_CANCELLED, "closed");
  kcp_test_end (actor);
}

static gpointer
cancel_in_thread (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

/* The stream's own cancellable ends it, from any thread. */
static void
test_cancelled (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpStream) stream = open_stream (actor, "hold", NULL, KCP_TIMEOUT_DEFAULT, cancellable);
  g_autoptr (KcpStream) late = NULL;

  g_thread_join (g_thread_new ("cancel", cancel_in_thread, cancellable));
  expect_failure (stream, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
  late = open_stream (actor, "count", NULL, KCP_TIMEOUT_DEFAULT, cancellable);
  expect_failure (late, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
  kcp_test_assert_serves (actor);
  kcp_test_end (actor);
}

/* A wait's cancellable ends the wait. No item is lost, and the stream goes on. */
static void
test_wait_cancelled (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (KcpStream) stream = open_stream (actor, "hold", "3", KCP_TIMEOUT_DEFAULT, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) blocking_error = NULL;
  Next next = { FALSE, NULL, NULL };
  GThread *thread;

  kcp_stream_next_async (stream, cancellable, on_next, &next);
  g_cancellable_cancel (cancellable);
  kcp_test_wait_flag (&next.done, "the end of the wait");
  error = next.error;
  kcp_test_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");

  g_cancellable_reset (cancellable);
  thread = g_thread_new ("cancel", cancel_in_thread, cancellable);
  g_assert_null (kcp_stream_next (stream, cancellable, &blocking_error));
  g_assert_error (blocking_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);

  g_assert_false (kcp_stream_is_done (stream));
  calls_expect (actor, "release", NULL, "1");
  expect_item (stream, FALSE, NULL);
  g_assert_nonnull (kcp_stream_get_result (stream));
  kcp_test_end (actor);
}

static void
test_two_waits (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpStream) stream = open_stream (actor, "hold", "3", KCP_TIMEOUT_DEFAULT, NULL);
  Next first = { FALSE, NULL, NULL }, second = { FALSE, NULL, NULL };

  kcp_stream_next_async (stream, NULL, on_next, &first);
  kcp_stream_next_async (stream, NULL, on_next, &second);
  kcp_test_wait_flag (&second.done, "the refusal");
  g_assert_error (second.error, G_IO_ERROR, G_IO_ERROR_PENDING);
  g_clear_error (&second.error);
  g_assert_false (first.done);
  calls_expect (actor, "release", NULL, "1");
  kcp_test_wait_flag (&first.done, "the end");
  g_assert_no_error (first.error);
  g_assert_null (first.item);
  kcp_test_end (actor);
}

/* None unless the message has one: the launcher's is for single answers. */
static void
test_deadline (void)
{
  g_autoptr (KcpLauncher) launcher = calls_launcher (NULL);
  g_autoptr (KcpStream) patient = NULL;
  g_autoptr (KcpStream) hasty = NULL;
  KcpActor *actor;

  kcp_launcher_set_call_timeout (launcher, 1000000);
  actor = calls_spawn_with (launcher);
  patient = open_stream (actor, "deadline", NULL, KCP_TIMEOUT_DEFAULT, NULL);
  expect_item (patient, FALSE, NULL);
  g_assert_cmpint (json_node_get_int (kcp_message_get_body (kcp_stream_get_result (patient), NULL)), ==, -1);

  hasty = open_stream (actor, "wait", NULL, 50, NULL);
  expect_failure (hasty, KCP_ERROR, KCP_ERROR_TIMED_OUT, "deadline");
  calls_await_seen (actor, "wait : cancelled, open=0");
  kcp_test_end (actor);
}

/* What had come before the child was gone is still there, then comes the cause. */
static void
test_child_gone (void)
{
  KcpActor *actor = calls_spawn (NULL);
  g_autoptr (KcpStream) stream = open_stream (actor, "endless", NULL, KCP_TIMEOUT_DEFAULT, NULL);
  g_autoptr (GError) error = NULL;
  char *item;
  guint count = 0;

  expect_item (stream, FALSE, "1");
  kcp_actor_kill (actor);
  while ((item = take (stream, FALSE, &error)))
    {
      g_assert_cmpstr (item, ==, "1");
      g_free (item);
      count++;
    }
  g_test_message ("%u items after the kill: %s", count, error->message);
  g_assert_true (error->domain == KCP_ERROR);
  kcp_exit_report_unref (kcp_test_await_exit (actor));
  g_object_unref (actor);
}

int
main (int    argc,
      char **argv)
{
  kcp_test_init (&argc, &argv);
  kcp_test_add ("/streams/to-the-end", test_to_the_end);
  kcp_test_add ("/streams/without-items", test_without_items);
  kcp_test_add ("/streams/asked-plainly", test_asked_plainly);
  kcp_test_add ("/streams/many-at-once", test_many_at_once);
  kcp_test_add ("/streams/bytes", test_bytes);
  kcp_test_add ("/streams/failing", test_failing);
  kcp_test_add ("/streams/unsendable", test_unsendable);
  kcp_test_add ("/streams/item-too-large", test_item_too_large);
  kcp_test_add ("/streams/dropped", test_dropped);
  kcp_test_add ("/streams/closed", test_closed);
  kcp_test_add ("/streams/cancelled", test_cancelled);
  kcp_test_add ("/streams/wait-cancelled", test_wait_cancelled);
  kcp_test_add ("/streams/two-waits", test_two_waits);
  kcp_test_add ("/streams/deadline", test_deadline);
  kcp_test_add ("/streams/child-gone", test_child_gone);
  return kcp_test_run ();
}
