/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <kcp.h>

#include "fd-link.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Descriptors and large bodies, to a real child and back. The plugin's path is the argument. */

static const char *plugin;

static void
take_result (GObject      *source,
             GAsyncResult *result,
             gpointer      data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

/* The host's half of “ask”. */
static void
on_question (KcpInvocation *invocation,
             gpointer       data)
{
  g_autoptr (KcpMessage) reply = make_message (NULL, "host", 2);

  check_message (kcp_invocation_get_message (invocation), "there", 3);
  kcp_invocation_reply_message (invocation, reply);
}

static KcpActor *
start (void)
{
  g_autoptr (KcpLauncher) launcher = kcp_launcher_new (plugin);
  g_autoptr (KcpCallbackRouter) router = kcp_callback_router_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  KcpActor *actor;

  kcp_callback_router_add_func (router, "question", on_question, NULL, NULL, NULL);
  kcp_launcher_set_callback_handler (launcher, KCP_CALLBACK_HANDLER (router));
  kcp_launcher_spawn_async (launcher, NULL, take_result, &result);
  WAIT_FOR (result);
  actor = kcp_launcher_spawn_finish (launcher, result, &error);
  g_assert_no_error (error);
  return actor;
}

/* Waits for its exit, whatever it was. */
static void
stop (KcpActor *actor)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (KcpExitReport) report = NULL;

  kcp_actor_stop_async (actor, NULL, take_result, &result);
  WAIT_FOR (result);
  report = kcp_actor_stop_finish (actor, result, NULL);
  g_assert_nonnull (report);
  g_object_unref (actor);
}

/* Takes @message. */
static KcpMessage *
must_ask (KcpActor   *actor,
          KcpMessage *message)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  KcpMessage *answer;

  kcp_actor_ask_async (actor, message, NULL, take_result, &result);
  kcp_message_unref (message);
  WAIT_FOR (result);
  answer = kcp_actor_ask_finish (actor, result, &error);
  g_assert_no_error (error);
  return answer;
}

static gint64
count_open (KcpActor *actor)
{
  g_autoptr (KcpMessage) answer = must_ask (actor, kcp_message_new ("count-open", NULL));

  return json_node_get_int (kcp_message_get_body (answer, NULL));
}

static void
round_trips (KcpActor *actor)
{
  g_autoptr (KcpMessage) echo = must_ask (actor, make_message ("echo", "there", 16));
  g_autoptr (KcpMessage) asked = must_ask (actor, make_message ("ask", "there", 3));
  g_autoptr (KcpMessage) read = must_ask (actor, make_message ("read", "there", 2));
  g_autoptr (KcpMessage) blocking = make_message ("ask", "there", 3);
  g_autoptr (KcpMessage) answer = kcp_actor_ask (actor, blocking, NULL, NULL);
  g_autofree char *text = kcp_json_to_string (kcp_message_get_body (read, NULL), NULL);

  check_message (echo, "there", 16);
  check_message (asked, "host", 2);
  check_message (answer, "host", 2);
  g_assert_cmpstr (text, ==, "[\"there 0\",\"there 1\"]");
}

/* Request, reply and callback, there and back; the child is left with nothing. */
static void
test_round_trips (void)
{
  KcpActor *actor;
  gint64 before;

  stop (start ());
  {
    LEAK_CHECK_BEGIN;

    actor = start ();
    round_trips (actor);
    before = count_open (actor);
    for (guint i = 0; i < 20; i++)
      round_trips (actor);
    g_assert_cmpint (count_open (actor), ==, before);
    stop (actor);
    LEAK_CHECK_END;
  }
}

static KcpMessage *
next (KcpStream *stream)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  KcpMessage *item;

  kcp_stream_next_async (stream, NULL, take_result, &result);
  WAIT_FOR (result);
  item = kcp_stream_next_finish (stream, result, &error);
  g_assert_no_error (error);
  return item;
}

/* 200 items, more than the window: all of them; and one stream of which most is never taken. */
static void
test_items (void)
{
  LEAK_CHECK_BEGIN;
  KcpActor *actor = start ();
  gint64 before = count_open (actor);

  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (KcpMessage) message = make_message ("items", "there", 4);
      g_autoptr (KcpStream) stream = kcp_actor_ask_stream (actor, message, NULL);

      for (guint k = 0; k < (i == 0 ? 200 : 3); k++)
        {
          g_autoptr (KcpMessage) item = next (stream);

          check_message (item, "there", 4);
        }
      if (i == 0)
        {
          g_assert_null (next (stream));
          check_message (kcp_stream_get_result (stream), "there", 4);
        }
    }
  g_assert_cmpint (count_open (actor), ==, before);

  stop (actor);
  LEAK_CHECK_END;
}

/* The child falls with calls on their way, some of them not sent yet. */
static void
test_crash (void)
{
  LEAK_CHECK_BEGIN;
  KcpActor *actor = start ();
  g_autoptr (KcpMessage) crash = kcp_message_new ("crash", NULL);
  GAsyncResult *results[300] = { NULL };

  g_assert_true (kcp_actor_tell (actor, crash, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_autoptr (KcpMessage) message = make_message ("echo", "there", 2);

      kcp_actor_ask_async (actor, message, NULL, take_result, &results[i]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      WAIT_FOR (results[i]);
      g_assert_null (kcp_actor_ask_finish (actor, results[i], NULL));
      g_object_unref (results[i]);
    }

  stop (actor);
  LEAK_CHECK_END;
}

/* 256 MiB through a link whose messages may have 16 MiB: nothing of it is in a frame. */
static void
test_large_body (void)
{
  LEAK_CHECK_BEGIN;
  const gsize size = 256 * 1024 * 1024, n = size / sizeof (guint64);
  int fd = memfd_create ("kcp test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  KcpActor *actor = start ();
  g_autoptr (GError) error = NULL;
  guint64 *numbers;
  const guint64 *found;
  KcpMessage *message, *answer;
  GBytes *body;

  g_assert_no_errno (ftruncate (fd, (off_t) size));
  numbers = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  g_assert_true (numbers != MAP_FAILED);
  for (gsize i = 0; i < n; i++)
    numbers[i] = i * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  munmap (numbers, size);

  message = kcp_message_new_body_fd ("invert", fd, "application/octet-stream", &error);
  g_assert_no_error (error);
  close (fd);
  answer = must_ask (actor, message);
  body = kcp_message_get_body_bytes (answer, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (body), ==, size);
  found = g_bytes_get_data (body, NULL);
  for (gsize i = 0; i < n; i++)
    if (found[i] != ~(i * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)))
      g_error ("the number %" G_GSIZE_FORMAT " is wrong", i);

  kcp_message_unref (answer);
  stop (actor);
  LEAK_CHECK_END;
}

/* What says it is JSON and is not passes through both sides, as long as nobody wants it parsed. */
static void
test_never_parsed (void)
{
  static const char *const texts[] = { "{not JSON", "[1, 2", "\xff\xfe", "{\"a\":1,\"a\":2}", " 1e999 ", "" };
  KcpActor *actor = start ();

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (GBytes) bytes = g_bytes_new_static (texts[i], strlen (texts[i]));
      g_autoptr (KcpMessage) answer = must_ask (actor, kcp_message_new_bytes ("echo", bytes, NULL));
      g_autoptr (GError) error = NULL;
      GBytes *back = kcp_message_get_body_bytes (answer, NULL);

      g_assert_null (kcp_message_get_content_type (answer));
      g_assert_true (g_bytes_equal (back, bytes));
      if (texts[i][0] == '\0')
        continue;
      g_assert_null (kcp_message_get_body (answer, &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_INVALID_MESSAGE);
      g_assert_true (g_bytes_equal (kcp_message_get_body_bytes (answer, NULL), bytes));
    }

  stop (actor);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (argc, ==, 2);
  plugin = argv[1];

  g_test_add_func ("/descriptors-child/round-trips", test_round_trips);
  g_test_add_func ("/descriptors-child/items", test_items);
  g_test_add_func ("/descriptors-child/crash", test_crash);
  g_test_add_func ("/descriptors-child/large-body", test_large_body);
  g_test_add_func ("/descriptors-child/never-parsed", test_never_parsed);

  return g_test_run ();
}
