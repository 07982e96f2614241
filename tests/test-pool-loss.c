/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-fixture.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* What becomes of calls, and of the pool, when children die or hang. */

static KcpMessage *
idempotent (const char *path)
{
  KcpMessage *message = pool_message (path, 0);

  kcp_message_set_idempotent (message, TRUE);
  return message;
}

static void
kill_hard (KcpActor *actor)
{
  g_assert_cmpint (kill (kcp_actor_get_pid (actor), SIGKILL), ==, 0);
}

/* The children come up in any order. */
static KcpActor *
find_busy (KcpPool *pool)
{
  for (guint i = 0; i < kcp_pool_get_size (pool); i++)
    if (kcp_actor_get_in_flight (pool_actor (pool, i)) > 0)
      return pool_actor (pool, i);

  g_assert_not_reached ();
}

static void
count_exit (KcpPool       *pool,
            KcpActor      *actor,
            KcpExitReport *report,
            guint         *count)
{
  /* It has left the list, and what is said of it is true. */
  for (guint i = 0; i < kcp_pool_get_size (pool); i++)
    g_assert_true (pool_actor (pool, i) != actor);
  g_assert_true (kcp_actor_get_exit_report (actor) == report);
  ++*count;
}

/* ---- calls of the dead ---- */

static void
test_in_flight (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  g_autoptr (KcpMessage) plain = pool_message ("hold", 0);
  g_autoptr (KcpMessage) again = idempotent ("hold");
  GAsyncResult *results[4] = { NULL };
  g_autoptr (GError) error = NULL;
  KcpActor *victim = NULL;
  guint exits = 0;
  int survivor;

  g_signal_connect (pool, "member-exited", G_CALLBACK (count_exit), &exits);
  /* Two each, by turns. */
  for (int i = 0; i < 4; i++)
    {
      kcp_pool_ask_async (pool, i < 2 ? plain : again, NULL, pool_result, &results[i]);
      victim = victim ? victim : find_busy (pool);
    }
  survivor = kcp_actor_get_pid (pool_actor (pool, victim == pool_actor (pool, 0)));
  kill_hard (victim);
  POOL_WAIT (exits == 1);

  /* The plain one has failed with the crash; the other is with the survivor. */
  g_assert_nonnull (results[0]);
  g_assert_null (results[1]);
  g_assert_null (results[2]);
  g_assert_null (results[3]);
  g_assert_null (kcp_pool_ask_finish (pool, results[0], &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
  g_assert_nonnull (strstr (error->message, "SIGKILL"));
  g_clear_object (&results[0]);
  g_assert_cmpuint (kcp_actor_get_in_flight (pool_actor (pool, 0)), ==, 3);
  g_assert_cmpint (kcp_exit_report_get_reason (kcp_pool_get_last_report (pool)), ==, KCP_EXIT_CRASHED);

  pool_release (pool_actor (pool, 0));
  for (int i = 1; i < 4; i++)
    {
      g_autoptr (KcpMessage) answer = NULL;

      POOL_WAIT (results[i]);
      answer = kcp_pool_ask_finish (pool, results[i], NULL);
      g_assert_nonnull (answer);
      g_assert_cmpint (pool_get_int (answer, "pid"), ==, survivor);
      g_clear_object (&results[i]);
    }
  POOL_WAIT (kcp_pool_get_ready (pool) == 2);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 1);
  pool_end (pool);
}

/* A call that kills whoever serves it does so twice, not for ever. */
static void
test_deadly (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 3, 3);
  g_autoptr (KcpMessage) deadly = idempotent ("crash");
  g_autoptr (GError) error = NULL;
  guint exits = 0;

  kcp_pool_set_backoff (pool, 1, 10);
  g_signal_connect (pool, "member-exited", G_CALLBACK (count_exit), &exits);
  g_assert_null (pool_ask (pool, deadly, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
  POOL_WAIT (exits == 2);
  POOL_WAIT (kcp_pool_get_ready (pool) == 3);
  g_assert_cmpuint (exits, ==, 2);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 2);
  pool_end (pool);
}

/* With nobody else there it waits for the successor. */
static void
test_only_one (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 1, 1);
  g_autoptr (KcpMessage) again = idempotent ("hold");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  int first = kcp_actor_get_pid (pool_actor (pool, 0));

  kcp_pool_set_backoff (pool, 1, 10);
  kcp_pool_ask_async (pool, again, NULL, pool_result, &result);
  kill_hard (pool_actor (pool, 0));
  POOL_WAIT (kcp_pool_get_restarts (pool) == 1 && kcp_pool_get_ready (pool) == 1);
  g_assert_cmpint (kcp_actor_get_pid (pool_actor (pool, 0)), !=, first);
  POOL_WAIT (kcp_pool_get_in_flight (pool) == 1 && kcp_pool_get_waiting (pool) == 0);
  pool_release (pool_actor (pool, 0));
  POOL_WAIT (result);
  answer = kcp_pool_ask_finish (pool, result, NULL);
  g_assert_nonnull (answer);
  g_clear_object (&result);
  pool_end (pool);
}

/* Calls that were never written to a child that does not read go to another, idempotent or not. */
static void
test_unsent (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 1, 2);
  g_autoptr (GBytes) bytes = g_bytes_new_take (g_malloc0 (2000000), 2000000);
  g_autoptr (KcpMessage) message = kcp_message_new_bytes ("who", bytes, "application/octet-stream");
  GAsyncResult *results[12] = { NULL };
  guint failed = 0, answered = 0;

  kcp_pool_set_busy_mark (pool, 1000);
  kcp_pool_set_backoff (pool, 1, 10);
  kill (kcp_actor_get_pid (pool_actor (pool, 0)), SIGSTOP);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    kcp_pool_ask_async (pool, message, NULL, pool_result, &results[i]);
  kill_hard (pool_actor (pool, 0));
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    {
      g_autoptr (KcpMessage) answer = NULL;
      g_autoptr (GError) error = NULL;

      POOL_WAIT (results[i]);
      answer = kcp_pool_ask_finish (pool, results[i], &error);
      if (answer)
        answered++;
      else
        {
          g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
          failed++;
        }
      g_clear_object (&results[i]);
    }
  /* What had gone out may have been served. */
  g_assert_cmpuint (failed, >=, 1);
  g_assert_cmpuint (answered, >=, 6);
  pool_end (pool);
}

/* A plugin cannot have its call sent to another child by what it answers. */
static void
test_forged (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  g_autoptr (KcpMessage) forge = idempotent ("forge");
  g_autoptr (GError) error = NULL;
  int pid = pool_who (pool, NULL);

  g_assert_null (pool_ask (pool, forge, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  g_assert_cmpuint (kcp_pool_get_ready (pool), ==, 2);
  /* It was asked once, so it is the other's turn. */
  g_assert_cmpint (pool_who (pool, NULL), ==, pid);
  pool_end (pool);
}

/* A stream may begin again elsewhere as long as it has not begun. */
static void
test_stream (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  g_autoptr (KcpMessage) silent = idempotent ("hold");
  g_autoptr (KcpMessage) begun = idempotent ("item-and-hold");
  g_autoptr (KcpStream) first = NULL;
  g_autoptr (KcpStream) second = NULL;
  g_autoptr (KcpMessage) item = NULL;
  g_autoptr (GError) error = NULL;
  guint exits = 0;

  g_signal_connect (pool, "member-exited", G_CALLBACK (count_exit), &exits);
  kcp_pool_set_backoff (pool, 1, 10);
  first = kcp_pool_ask_stream (pool, silent, NULL);
  kill_hard (find_busy (pool));
  POOL_WAIT (exits == 1 && kcp_pool_get_ready (pool) == 2);
  g_assert_false (kcp_stream_is_done (first));
  pool_release (find_busy (pool));
  g_assert_null (kcp_stream_next (first, NULL, &error));
  g_assert_no_error (error);
  g_assert_nonnull (kcp_stream_get_result (first));

  second = kcp_pool_ask_stream (pool, begun, NULL);
  item = kcp_stream_next (second, NULL, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 2; i++)
    if (kcp_actor_get_pid (pool_actor (pool, i)) == (int) pool_get_int (item, "pid"))
      kill_hard (pool_actor (pool, i));
  g_assert_null (kcp_stream_next (second, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED);
  pool_end (pool);
}

/* ---- under load ---- */

typedef struct
{
  PoolLoad load;
  guint killed, exits;
  guint floor;           /* all ids below it are answered */
  guint settled;         /* when it is there, nothing that the last one had is under way any more */
} Losses;

/* The next, whichever it is, when the last one is forgotten: a call may be sent again once, and
 * no call shall meet two deaths. */
static void
kill_one (gpointer data)
{
  Losses *self = data;
  guint index;

  while (self->floor < self->load.total && self->load.answers[self->floor])
    self->floor++;
  if (self->exits < self->killed || self->floor < self->settled || kcp_pool_get_ready (self->load.pool) < 4)
    return;

  index = (guint) g_test_rand_int_range (0, 4);
  g_assert_cmpuint (kcp_pool_get_size (self->load.pool), ==, 4);
  kill_hard (pool_actor (self->load.pool, index));
  self->killed++;
}

static void
on_loss (KcpPool       *pool,
         KcpActor      *actor,
         KcpExitReport *report,
         Losses        *self)
{
  g_assert_cmpint (kcp_exit_report_get_reason (report), ==, KCP_EXIT_CRASHED);
  self->exits++;
  self->settled = self->load.next;
}

static void
test_load (void)
{
  g_autofree char *file = g_strdup_printf ("%s/kcp-pool-loss-%d", g_get_tmp_dir (), (int) getpid ());
  g_autoptr (KcpLauncher) launcher = pool_launcher ("log", file, NULL);
  KcpPool *pool = pool_running (launcher, 4, 4);
  Losses losses = { .load = { pool, 40000, 100, TRUE, .progress = kill_one, .data = &losses } };
  PoolMirror mirror;

  kcp_pool_set_crash_limit (pool, 0, 0);
  kcp_pool_set_backoff (pool, 1, 10);
  pool_mirror_init (&mirror, pool);
  g_signal_connect (pool, "member-exited", G_CALLBACK (on_loss), &losses);
  pool_load_begin (&losses.load);
  POOL_WAIT (losses.load.done == losses.load.total);
  POOL_WAIT (losses.exits == losses.killed && kcp_pool_get_ready (pool) == 4);

  pool_load_check (&losses.load);
  g_test_message ("%u children were lost", losses.killed);
  /* Under valgrind the calls are through before many can be killed. */
  g_assert_cmpuint (losses.killed, >=, g_getenv ("KCP_TEST_VALGRIND") ? 1 : 10);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, losses.killed);
  g_assert_cmpuint (g_hash_table_size (losses.load.pids), >=, 10);
  g_signal_handlers_disconnect_by_data (pool, &losses);
  pool_mirror_clear (&mirror);
  pool_load_clear (&losses.load);
  pool_end (pool);
  g_remove (file);
}

/* ---- too many ---- */

static void
on_failed (KcpPool       *pool,
           KcpExitReport *report,
           guint         *failed)
{
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_FAILED);
  g_assert_nonnull (report);
  g_assert_cmpint (kcp_exit_report_get_signal (report), ==, SIGKILL);
  ++*failed;
}

static void
test_crash_limit (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  g_autoptr (KcpMessage) held = idempotent ("hold");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint failed = 0;

  kcp_pool_set_backoff (pool, 1, 10);
  kcp_pool_set_crash_limit (pool, 2, 3600000);
  g_signal_connect (pool, "failed", G_CALLBACK (on_failed), &failed);
  for (guint i = 1; i <= 2; i++)
    {
      kill_hard (pool_actor (pool, 0));
      POOL_WAIT (kcp_pool_get_restarts (pool) == i && kcp_pool_get_ready (pool) == 2);
    }

  /* One too many: no successor, but the other goes on. */
  kill_hard (pool_actor (pool, 0));
  POOL_WAIT (kcp_pool_get_state (pool) == KCP_POOL_DEGRADED);
  POOL_WAIT (kcp_pool_get_ready (pool) == 1);
  g_assert_cmpint (pool_who (pool, NULL), >, 0);
  kcp_pool_ask_async (pool, held, NULL, pool_result, &result);
  kill_hard (pool_actor (pool, 0));
  POOL_WAIT (failed == 1 && result);
  g_assert_null (kcp_pool_ask_finish (pool, result, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_assert_nonnull (strstr (error->message, "SIGKILL"));
  g_clear_error (&error);
  g_clear_object (&result);
  g_assert_null (pool_ask (pool, message, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&error);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 2);
  g_assert_true (pool_no_children ());

  /* It can be started again. */
  g_assert_true (pool_start (pool, &error));
  POOL_WAIT (kcp_pool_get_ready (pool) == 2);
  g_assert_cmpint (pool_who (pool, NULL), >, 0);
  pool_end (pool);
}

/* What the program stops itself is replaced, and is no crash. */
static void
test_stopped (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  guint exits = 0;

  kcp_pool_set_backoff (pool, 1, 10);
  kcp_pool_set_crash_limit (pool, 1, 3600000);
  g_signal_connect (pool, "member-exited", G_CALLBACK (count_exit), &exits);
  for (guint i = 1; i <= 4; i++)
    {
      int pid = kcp_actor_get_pid (pool_actor (pool, 0));

      if (i % 2)
        kcp_actor_stop_async (pool_actor (pool, 0), NULL, NULL, NULL);
      else
        kcp_actor_kill (pool_actor (pool, 0));
      /* It takes no calls from now on. */
      g_assert_cmpint (pool_who (pool, NULL), !=, pid);
      POOL_WAIT (exits == i && kcp_pool_get_ready (pool) == 2);
    }
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_RUNNING);
  g_assert_null (kcp_pool_get_last_report (pool));
  pool_end (pool);
}

/* ---- hanging ---- */

/* Without a kill the child keeps what it has, and goes when it has answered it. */
static void
test_hung (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 1, 1);
  g_autoptr (KcpActor) hung = g_object_ref (pool_actor (pool, 0));
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GError) error = NULL;

  /* Not even a drain that is over at once kills it. */
  kcp_pool_set_drain_timeout (pool, 1);
  kill (kcp_actor_get_pid (hung), SIGSTOP);
  kcp_pool_ask_async (pool, message, NULL, pool_result, &result);
  POOL_WAIT (kcp_pool_get_size (pool) == 2);
  g_assert_false (kcp_actor_get_responsive (hung));
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 1);
  g_assert_cmpint (pool_who (pool, NULL), !=, kcp_actor_get_pid (hung));
  g_assert_null (result);

  kill (kcp_actor_get_pid (hung), SIGCONT);
  POOL_WAIT (result);
  answer = kcp_pool_ask_finish (pool, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (pool_get_int (answer, "pid"), ==, kcp_actor_get_pid (hung));
  g_clear_object (&result);
  POOL_WAIT (kcp_pool_get_size (pool) == 1);
  g_assert_cmpint (kcp_exit_report_get_reason (kcp_actor_get_exit_report (hung)), ==, KCP_EXIT_STOPPED);
  pool_end (pool);
}

static void
test_hung_killed (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  g_autoptr (KcpActor) hung = NULL;
  g_autoptr (KcpMessage) plain = pool_message ("hold", 0);
  g_autoptr (KcpMessage) again = idempotent ("who");
  GAsyncResult *results[3] = { NULL };
  g_autoptr (GError) error = NULL;
  gboolean kills;

  g_object_set (pool, "kill-unresponsive", TRUE, NULL);
  g_object_get (pool, "kill-unresponsive", &kills, NULL);
  g_assert_true (kills);
  /* The first and the third go to it. */
  for (int i = 0; i < 3; i++)
    {
      kcp_pool_ask_async (pool, i == 2 ? again : plain, NULL, pool_result, &results[i]);
      if (i == 0)
        {
          hung = g_object_ref (find_busy (pool));
          kill (kcp_actor_get_pid (hung), SIGSTOP);
        }
    }
  POOL_WAIT (results[0] && results[2]);
  g_assert_null (kcp_pool_ask_finish (pool, results[0], &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  kcp_message_unref (kcp_pool_ask_finish (pool, results[2], NULL));
  POOL_WAIT (kcp_pool_get_restarts (pool) == 1 && kcp_pool_get_ready (pool) == 2);
  g_assert_cmpint (kcp_exit_report_get_reason (kcp_actor_get_exit_report (hung)), ==, KCP_EXIT_KILLED);
  g_assert_true (kcp_pool_get_last_report (pool) == kcp_actor_get_exit_report (hung));
  pool_release (find_busy (pool));
  POOL_WAIT (results[1]);
  for (int i = 0; i < 3; i++)
    g_object_unref (results[i]);
  pool_end (pool);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-loss/in-flight", test_in_flight);
  g_test_add_func ("/pool-loss/deadly", test_deadly);
  g_test_add_func ("/pool-loss/only-one", test_only_one);
  g_test_add_func ("/pool-loss/unsent", test_unsent);
  g_test_add_func ("/pool-loss/forged", test_forged);
  g_test_add_func ("/pool-loss/stream", test_stream);
  g_test_add_func ("/pool-loss/load", test_load);
  g_test_add_func ("/pool-loss/crash-limit", test_crash_limit);
  g_test_add_func ("/pool-loss/stopped", test_stopped);
  g_test_add_func ("/pool-loss/hung", test_hung);
  g_test_add_func ("/pool-loss/hung-killed", test_hung_killed);

  return g_test_run ();
}
