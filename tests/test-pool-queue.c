/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-fixture.h"

#include <glib/gstdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Calls that wait for a child, streams, and how the pool grows and shrinks with its calls. */

/* A pool whose only child is gone, and whose next one is far away. */
static KcpPool *
pool_of_none (KcpLauncher *launcher)
{
  KcpPool *pool = pool_running (launcher, 1, 1);

  kcp_pool_set_backoff (pool, 3600000, 3600000);
  kcp_actor_kill (pool_actor (pool, 0));
  POOL_WAIT (kcp_pool_get_size (pool) == 0);
  g_assert_cmpuint (kcp_pool_get_ready (pool), ==, 0);
  return pool;
}

static void
expect_error (KcpPool      *pool,
              GAsyncResult *result,
              GQuark        domain,
              int           code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (kcp_pool_ask_finish (pool, result, &error));
  g_assert_error (error, domain, code);
  g_object_unref (result);
}

static int
expect_answer (KcpPool      *pool,
               GAsyncResult *result)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_pool_ask_finish (pool, result, &error);

  g_assert_no_error (error);
  g_object_unref (result);
  return (int) pool_get_int (answer, "pid");
}

/* ---- waiting ---- */

/* Before the first child is ready calls wait for it. */
static void
test_early (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  GAsyncResult *results[50] = { NULL };

  kcp_pool_set_size (pool, 2, 2);
  kcp_pool_start_async (pool, NULL, NULL, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    kcp_callable_ask_async (KCP_CALLABLE (pool), message, NULL, pool_result, &results[i]);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, G_N_ELEMENTS (results));
  g_assert_cmpuint (kcp_pool_get_in_flight (pool), ==, G_N_ELEMENTS (results));
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      POOL_WAIT (results[i]);
      expect_answer (pool, results[i]);
    }
  pool_end (pool);
}

static int
make_file (const char *text)
{
  int fd = memfd_create ("kcp test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, text, strlen (text)), ==, strlen (text));
  return fd;
}

/* What has waited is sent as another message, and has all that the first one had. */
static void
test_descriptors (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (KcpMessage) message = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GError) error = NULL;
  GAsyncResult *result = NULL;
  int body = make_file ("40");
  int fd = make_file ("2");

  message = kcp_message_new_body_fd ("sum", body, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (kcp_message_append_fd (message, fd, &error), ==, 0);
  close (body);
  close (fd);

  kcp_pool_start_async (pool, NULL, NULL, NULL);
  kcp_pool_ask_async (pool, message, NULL, pool_result, &result);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, 1);
  POOL_WAIT (result);
  answer = kcp_pool_ask_finish (pool, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (pool_get_int (answer, "id"), ==, 42);
  g_object_unref (result);
  pool_end (pool);
}

static void
test_full (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_of_none (launcher);
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  g_autoptr (KcpMessage) patient = pool_message ("who", 0);
  g_autoptr (GBytes) kilobyte = g_bytes_new_take (g_malloc0 (1024), 1024);
  g_autoptr (KcpMessage) big = kcp_message_new_bytes ("who", kilobyte, "application/octet-stream");
  GAsyncResult *results[7] = { NULL };
  g_autoptr (GError) error = NULL;

  kcp_message_set_wait_for_room (patient, TRUE);
  kcp_pool_set_queue (pool, 3, 2000);
  for (int i = 0; i < 4; i++)
    kcp_pool_ask_async (pool, message, NULL, pool_result, &results[i]);
  /* Never from inside. */
  g_assert_null (results[3]);
  POOL_WAIT (results[3]);
  expect_error (pool, results[3], KCP_ERROR, KCP_ERROR_BUSY);
  g_assert_false (kcp_pool_tell (pool, message, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_BUSY);
  kcp_pool_ask_async (pool, patient, NULL, pool_result, &results[4]);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, 4);

  /* By bytes: one fits, two do not. */
  kcp_pool_set_queue (pool, 100, 2000);
  kcp_pool_ask_async (pool, big, NULL, pool_result, &results[5]);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, 5);
  kcp_pool_ask_async (pool, big, NULL, pool_result, &results[6]);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, 5);
  POOL_WAIT (results[6]);
  expect_error (pool, results[6], KCP_ERROR, KCP_ERROR_BUSY);

  /* Those that wait fail with the stop. */
  kcp_pool_stop_async (pool, NULL, NULL, NULL);
  POOL_WAIT (results[0] && results[1] && results[2] && results[4] && results[5]);
  for (int i = 0; i < 6; i++)
    if (i != 3)
      expect_error (pool, results[i], KCP_ERROR, KCP_ERROR_STOPPING);
  pool_end (pool);
}

static gpointer
cancel_in_thread (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_waiting_ends (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_of_none (launcher);
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  g_autoptr (KcpMessage) brief = pool_message ("who", 0);
  g_autoptr (GCancellable) here = g_cancellable_new ();
  g_autoptr (GCancellable) there = g_cancellable_new ();
  g_autoptr (KcpStream) stream = NULL;
  GAsyncResult *results[4] = { NULL };

  kcp_message_set_timeout (brief, 20);
  kcp_pool_ask_async (pool, brief, NULL, pool_result, &results[0]);
  kcp_pool_ask_async (pool, message, here, pool_result, &results[1]);
  kcp_pool_ask_async (pool, message, there, pool_result, &results[2]);
  stream = kcp_pool_ask_stream (pool, message, NULL);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, 4);

  POOL_WAIT (results[0]);
  expect_error (pool, results[0], KCP_ERROR, KCP_ERROR_TIMED_OUT);
  g_cancellable_cancel (here);
  POOL_WAIT (results[1]);
  expect_error (pool, results[1], G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (g_thread_new ("cancel", cancel_in_thread, there));
  POOL_WAIT (results[2]);
  expect_error (pool, results[2], G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_object (&stream);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, 0);

  /* One that is cancelled before it begins. */
  kcp_pool_ask_async (pool, message, here, pool_result, &results[3]);
  g_assert_null (results[3]);
  POOL_WAIT (results[3]);
  expect_error (pool, results[3], G_IO_ERROR, G_IO_ERROR_CANCELLED);
  pool_end (pool);
}

/* Each child has only so many at once; the pool keeps the rest, and gives them to whoever is
 * free first. */
static void
test_max_in_flight (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  GAsyncResult *results[10] = { NULL };
  KcpPool *pool;
  guint first = 0;
  int pid;

  kcp_launcher_set_max_in_flight (launcher, 3);
  pool = pool_running (launcher, 2, 2);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    kcp_pool_ask_async (pool, message, NULL, pool_result, &results[i]);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, 4);
  for (guint i = 0; i < 2; i++)
    g_assert_cmpuint (kcp_actor_get_in_flight (pool_actor (pool, i)), ==, 3);

  /* The release is one call too many for the child: it waits in its own mailbox, so the call is
   * cancelled that is in its way. Here the other child is let go. */
  kcp_actor_kill (pool_actor (pool, 0));
  POOL_WAIT (kcp_pool_get_size (pool) == 2 && kcp_pool_get_waiting (pool) == 1);
  pid = kcp_actor_get_pid (pool_actor (pool, 1));
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    first += results[i] != NULL;
  g_assert_cmpuint (first, ==, 3);
  g_assert_cmpuint (kcp_actor_get_in_flight (pool_actor (pool, 1)), ==, 3);
  g_assert_cmpint (pid, >, 0);

  kcp_pool_stop_async (pool, NULL, NULL, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      POOL_WAIT (results[i]);
      expect_error (pool, results[i], KCP_ERROR, KCP_ERROR_STOPPING);
    }
  pool_end (pool);
}

/* ---- one-way, blocking, streams ---- */

static void
test_tell (void)
{
  g_autofree char *file = g_strdup_printf ("%s/kcp-pool-tell-%d", g_get_tmp_dir (), (int) getpid ());
  g_autoptr (KcpLauncher) launcher = pool_launcher ("log", file, NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (GError) error = NULL;

  g_remove (file);
  kcp_pool_set_size (pool, 2, 2);
  kcp_pool_start_async (pool, NULL, NULL, NULL);
  for (int i = 0; i < 100; i++)
    {
      g_autoptr (KcpMessage) message = pool_message ("note", i);
      g_autofree char *key = g_strdup_printf ("%d", i);

      if (i == 50)
        POOL_WAIT (kcp_pool_get_ready (pool) == 2);
      if (i % 2)
        g_assert_true (kcp_pool_tell (pool, message, &error));
      else
        g_assert_true (kcp_pool_tell_with_key (pool, key, message, &error));
    }
  pool_end (pool);
  pool_log_check (file, 100);
  g_remove (file);
}

static void
test_blocking (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  g_autoptr (KcpMessage) message = pool_message ("who", 7);
  g_autoptr (KcpMessage) crash = pool_message ("crash", 0);
  g_autoptr (GError) error = NULL;
  int pids[2];

  for (int i = 0; i < 2; i++)
    {
      g_autoptr (KcpMessage) answer = kcp_pool_ask (pool, message, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpint (pool_get_int (answer, "id"), ==, 7);
      pids[i] = (int) pool_get_int (answer, "pid");
    }
  g_assert_cmpint (pids[0], !=, pids[1]);

  /* It kills one after the other, then there is nobody. */
  kcp_pool_set_backoff (pool, 3600000, 3600000);
  kcp_message_set_idempotent (crash, TRUE);
  g_assert_null (kcp_pool_ask (pool, crash, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
  g_clear_error (&error);
  g_assert_null (kcp_pool_ask (pool, message, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&error);
  POOL_WAIT (kcp_pool_get_size (pool) == 0);
  pool_end (pool);
}

static void
read_items (KcpStream *stream,
            gint64     count,
            gboolean   block)
{
  g_autoptr (GError) error = NULL;

  for (gint64 i = 1; i <= count + 1; i++)
    {
      g_autoptr (GAsyncResult) result = NULL;
      g_autoptr (KcpMessage) item = NULL;

      if (block)
        item = kcp_stream_next (stream, NULL, &error);
      else
        {
          kcp_stream_next_async (stream, NULL, pool_result, &result);
          POOL_WAIT (result);
          item = kcp_stream_next_finish (stream, result, &error);
        }
      g_assert_no_error (error);
      g_assert_true ((item == NULL) == (i > count));
      if (item)
        g_assert_cmpint (json_node_get_int (kcp_message_get_body (item, NULL)), ==, i);
    }
  g_assert_true (kcp_stream_is_done (stream));
  g_assert_cmpint (pool_get_int (kcp_stream_get_result (stream), "id"), ==, count);
}

static void
test_stream (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (KcpMessage) message = pool_message ("items", 1000);
  g_autoptr (KcpMessage) endless = pool_message ("items", 100000);
  g_autoptr (KcpMessage) single = pool_message ("who", 0);
  g_autoptr (KcpStream) early = NULL;
  g_autoptr (KcpStream) stream = NULL;
  g_autoptr (GError) error = NULL;

  kcp_pool_set_size (pool, 2, 2);
  kcp_pool_start_async (pool, NULL, NULL, NULL);
  early = kcp_pool_ask_stream (pool, message, NULL);
  /* No child can become ready while the program blocks. */
  stream = kcp_pool_ask_stream (pool, message, NULL);
  g_assert_null (kcp_stream_next (stream, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_object (&stream);
  read_items (early, 1000, FALSE);

  stream = kcp_pool_ask_stream_with_key (pool, "key", message, NULL);
  read_items (stream, 1000, TRUE);
  g_clear_object (&stream);
  stream = kcp_callable_ask_stream (KCP_CALLABLE (pool), single, NULL);
  read_items (stream, 0, FALSE);
  g_clear_object (&stream);

  /* Nobody reads it: it is cancelled when it is dropped, and the child is free again. */
  stream = kcp_pool_ask_stream (pool, endless, NULL);
  g_assert_cmpuint (kcp_pool_get_in_flight (pool), ==, 1);
  g_clear_object (&stream);
  g_assert_cmpuint (kcp_pool_get_in_flight (pool), ==, 0);
  g_assert_cmpint (pool_who (pool, NULL), >, 0);
  pool_end (pool);
}

/* ---- growing and shrinking ---- */

static void
test_grow_and_shrink (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 1, 3);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  GAsyncResult *results[8] = { NULL };
  PoolMirror mirror;

  pool_mirror_init (&mirror, pool);
  kcp_pool_set_idle_timeout (pool, 0);
  /* One after the other needs only one. */
  for (int i = 0; i < 20; i++)
    pool_who (pool, NULL);
  g_assert_cmpuint (kcp_pool_get_size (pool), ==, 1);

  kcp_pool_ask_async (pool, message, NULL, pool_result, &results[0]);
  kcp_pool_ask_async (pool, message, NULL, pool_result, &results[1]);
  POOL_WAIT (kcp_pool_get_ready (pool) == 2);
  /* The new one has no call yet, and so there is no need for a third. */
  kcp_pool_ask_async (pool, message, NULL, pool_result, &results[2]);
  g_assert_cmpuint (kcp_actor_get_in_flight (pool_actor (pool, 1)), ==, 1);
  for (int i = 3; i < 8; i++)
    kcp_pool_ask_async (pool, message, NULL, pool_result, &results[i]);
  POOL_WAIT (kcp_pool_get_ready (pool) == 3);
  g_assert_cmpint (pool_who (pool, NULL), ==, kcp_actor_get_pid (pool_actor (pool, 2)));

  /* While two are busy, one is too many. */
  kcp_pool_set_idle_timeout (pool, 20);
  POOL_WAIT (kcp_pool_get_size (pool) == 2);
  for (int i = 0; i < 2; i++)
    g_assert_cmpuint (kcp_actor_get_in_flight (pool_actor (pool, i)), ==, 4);
  for (int i = 0; i < 2; i++)
    pool_release (pool_actor (pool, i));
  for (int i = 0; i < 8; i++)
    {
      POOL_WAIT (results[i]);
      expect_answer (pool, results[i]);
    }
  POOL_WAIT (kcp_pool_get_size (pool) == 1);
  g_assert_cmpuint (kcp_pool_get_ready (pool), ==, 1);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 0);
  g_assert_null (kcp_pool_get_last_report (pool));
  pool_mirror_clear (&mirror);
  pool_end (pool);
}

static void
test_from_nothing (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 0, 2);

  g_assert_true (pool_no_children ());
  for (int i = 0; i < 2; i++)
    {
      g_assert_cmpint (pool_who (pool, NULL), >, 0);
      g_assert_cmpuint (kcp_pool_get_size (pool), ==, 1);
      kcp_pool_set_idle_timeout (pool, 10);
      POOL_WAIT (kcp_pool_get_size (pool) == 0);
      g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_RUNNING);
    }
  pool_end (pool);
}

static void
test_resize (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  PoolMirror mirror;

  pool_mirror_init (&mirror, pool);
  kcp_pool_set_size (pool, 5, 5);
  POOL_WAIT (kcp_pool_get_ready (pool) == 5);
  kcp_pool_set_size (pool, 1, 3);
  POOL_WAIT (kcp_pool_get_size (pool) == 3);
  kcp_pool_set_size (pool, 1, 1);
  POOL_WAIT (kcp_pool_get_size (pool) == 1);
  g_assert_cmpint (pool_who (pool, NULL), ==, kcp_actor_get_pid (pool_actor (pool, 0)));
  pool_mirror_clear (&mirror);
  pool_end (pool);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-queue/early", test_early);
  g_test_add_func ("/pool-queue/descriptors", test_descriptors);
  g_test_add_func ("/pool-queue/full", test_full);
  g_test_add_func ("/pool-queue/waiting-ends", test_waiting_ends);
  g_test_add_func ("/pool-queue/max-in-flight", test_max_in_flight);
  g_test_add_func ("/pool-queue/tell", test_tell);
  g_test_add_func ("/pool-queue/blocking", test_blocking);
  g_test_add_func ("/pool-queue/stream", test_stream);
  g_test_add_func ("/pool-queue/grow-and-shrink", test_grow_and_shrink);
  g_test_add_func ("/pool-queue/from-nothing", test_from_nothing);
  g_test_add_func ("/pool-queue/resize", test_resize);

  return g_test_run ();
}
