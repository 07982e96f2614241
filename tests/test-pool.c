/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-fixture.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* Life, choice, queue and size of a pool. What happens when children die is in test-pool-loss.c, what
 * happens when they are replaced on purpose in test-pool-replace.c. */

/* ---- life ---- */

static guint
count_signal (guint *count)
{
  return ++*count;
}

static void
test_start_many (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (GHashTable) pids = g_hash_table_new (NULL, NULL);
  g_autoptr (GError) error = NULL;
  PoolMirror mirror;
  guint exited = 0;

  kcp_pool_set_size (pool, 100, 100);
  pool_mirror_init (&mirror, pool);
  g_signal_connect_swapped (pool, "member-exited", G_CALLBACK (count_signal), &exited);

  /* One that is ready is enough. */
  pool_start (pool, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (kcp_pool_get_ready (pool), >=, 1);
  g_assert_cmpint (pool_who (pool, NULL), >, 0);

  POOL_WAIT (kcp_pool_get_ready (pool) == 100);
  g_assert_cmpuint (kcp_pool_get_size (pool), ==, 100);
  /* Each is another process, and equals take turns. */
  for (int i = 0; i < 100; i++)
    g_hash_table_add (pids, GINT_TO_POINTER (pool_who (pool, NULL)));
  g_assert_cmpuint (g_hash_table_size (pids), ==, 100);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 0);

  pool_mirror_clear (&mirror);
  pool_end (pool);
  g_assert_cmpuint (exited, ==, 100);
}

/* Children that take a second to go do so side by side: each has said goodbye to the pool before
 * the first is gone. */
static void
test_stop_parallel (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 8, 8);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  GAsyncResult *calls[8] = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint stopping = 0;

  for (int i = 0; i < 8; i++)
    kcp_pool_ask_async (pool, message, NULL, pool_result, &calls[i]);
  for (int i = 0; i < 8; i++)
    g_assert_cmpuint (kcp_actor_get_in_flight (pool_actor (pool, i)), ==, 1);

  kcp_pool_stop_async (pool, NULL, pool_result, &result);
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_STOPPING);
  POOL_WAIT (kcp_pool_get_ready (pool) == 0);
  for (guint i = 0; i < kcp_pool_get_size (pool); i++)
    stopping += kcp_actor_get_state (pool_actor (pool, i)) == KCP_ACTOR_STOPPING;
  g_assert_cmpuint (stopping, ==, 8);

  POOL_WAIT (result);
  kcp_pool_stop_finish (pool, result, &error);
  g_assert_no_error (error);
  g_clear_object (&result);
  for (int i = 0; i < 8; i++)
    {
      g_assert_nonnull (calls[i]);
      g_assert_null (kcp_pool_ask_finish (pool, calls[i], &error));
      g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
      g_clear_error (&error);
      g_clear_object (&calls[i]);
    }
  pool_end (pool);
}

static void
test_start_fails (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher ("start", "fail", NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  g_autoptr (GAsyncResult) early = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint failed = 0;

  kcp_pool_set_size (pool, 3, 3);
  g_signal_connect_swapped (pool, "failed", G_CALLBACK (count_signal), &failed);

  /* Nobody has started it. */
  g_assert_null (pool_ask (pool, message, NULL, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&error);

  /* A call that waits for the start fails with it. */
  kcp_pool_start_async (pool, NULL, pool_result, &result);
  kcp_pool_ask_async (pool, message, NULL, pool_result, &early);
  g_assert_cmpuint (kcp_pool_get_waiting (pool), ==, 1);
  POOL_WAIT (result && early);
  g_assert_false (kcp_pool_start_finish (pool, result, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_PLUGIN_START);
  g_clear_error (&error);
  g_assert_null (kcp_pool_ask_finish (pool, early, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING);
  g_clear_error (&error);
  g_clear_object (&result);
  g_clear_object (&early);
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_FAILED);
  g_assert_cmpuint (failed, ==, 1);

  /* Again, now with a launcher that is better. */
  {
    g_autoptr (KcpLauncher) better = pool_launcher (NULL, NULL);

    g_assert_true (pool_replace (pool, better, &error));
    g_assert_no_error (error);
    g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_RUNNING);
    POOL_WAIT (kcp_pool_get_ready (pool) == 3);
  }
  pool_end (pool);
}

/* Two of three do not come up: the pool runs, and the others are tried again until they do. */
static void
test_start_partly (void)
{
  g_autofree char *file = g_strdup_printf ("%s/kcp-pool-once-%d", g_get_tmp_dir (), (int) getpid ());
  g_autofree char *mode = g_strdup_printf ("once %s", file);
  g_autoptr (KcpLauncher) launcher = pool_launcher ("start", mode, NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (GError) error = NULL;

  g_remove (file);
  kcp_pool_set_size (pool, 3, 3);
  kcp_pool_set_backoff (pool, 1, 20);
  kcp_pool_set_crash_limit (pool, 0, 0);
  g_assert_true (pool_start (pool, &error));
  g_assert_no_error (error);
  POOL_WAIT (kcp_pool_get_restarts (pool) >= 4);
  g_assert_cmpuint (kcp_pool_get_ready (pool), ==, 1);
  g_remove (file);
  POOL_WAIT (kcp_pool_get_ready (pool) == 2);
  g_remove (file);
  POOL_WAIT (kcp_pool_get_ready (pool) == 3);
  pool_end (pool);
  g_remove (file);
}

static void
test_start_again (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  /* Of one that runs it is nothing. */
  g_assert_true (pool_start (pool, &error));
  kcp_pool_stop_async (pool, NULL, NULL, NULL);
  g_assert_false (pool_start (pool, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  g_clear_error (&error);
  kcp_pool_stop_async (pool, NULL, pool_result, &result);
  POOL_WAIT (result);
  g_assert_true (kcp_pool_stop_finish (pool, result, &error));
  g_clear_object (&result);

  g_assert_true (pool_start (pool, &error));
  g_assert_no_error (error);
  g_assert_cmpint (pool_who (pool, NULL), >, 0);
  pool_end (pool);
}

/* ---- dropped in each state ---- */

static void
test_dispose (gconstpointer state)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  g_autoptr (KcpActor) actor = NULL;
  gboolean late = GPOINTER_TO_INT (state) == KCP_POOL_RUNNING || GPOINTER_TO_INT (state) == KCP_POOL_STOPPING;
  guint tick = pool_tick ();

  kcp_pool_set_size (pool, 4, 4);
  if (GPOINTER_TO_INT (state) >= KCP_POOL_STARTING)
    kcp_pool_start_async (pool, NULL, NULL, NULL);
  if (GPOINTER_TO_INT (state) == KCP_POOL_STARTING)
    POOL_WAIT (!pool_no_children ());
  if (late)
    {
      POOL_WAIT (kcp_pool_get_ready (pool) >= 2);
      actor = g_object_ref (pool_actor (pool, 0));
      /* Nobody waits for it, and it is never answered; it does not keep the pool. */
      kcp_actor_ask_async (actor, message, NULL, NULL, NULL);
    }
  if (GPOINTER_TO_INT (state) == KCP_POOL_STOPPING)
    kcp_pool_stop_async (pool, NULL, NULL, NULL);

  /* The tasks of start and stop hold it. */
  g_object_run_dispose (G_OBJECT (pool));
  g_assert_cmpuint (kcp_pool_get_size (pool), ==, 0);
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_STOPPED);
  POOL_WAIT (pool_no_children ());
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_finalize_object (pool);
  if (actor)
    g_assert_cmpint (kcp_actor_get_state (actor), ==, KCP_ACTOR_EXITED);
  g_source_remove (tick);
}

/* The last reference goes while children run and come up. */
static void
test_dropped (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 4);
  guint tick = pool_tick ();

  kcp_pool_set_size (pool, 4, 4);
  POOL_WAIT (kcp_pool_get_ready (pool) >= 3);
  g_assert_finalize_object (pool);
  POOL_WAIT (pool_no_children ());
  g_source_remove (tick);
}

/* ---- choice ---- */

static void
test_least_busy (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 3, 3);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  KcpActor *first = pool_actor (pool, 0), *second = pool_actor (pool, 1);
  GAsyncResult *calls[9] = { NULL };
  GAsyncResult *own[4] = { NULL };
  int third = kcp_actor_get_pid (pool_actor (pool, 2));

  for (int i = 0; i < 9; i++)
    kcp_pool_ask_async (pool, message, NULL, pool_result, &calls[i]);
  for (int i = 0; i < 3; i++)
    g_assert_cmpuint (kcp_actor_get_in_flight (pool_actor (pool, i)), ==, 3);
  g_assert_cmpuint (kcp_pool_get_in_flight (pool), ==, 9);

  /* What the program asks a child itself counts as well. */
  for (int i = 0; i < 4; i++)
    kcp_actor_ask_async (i < 2 ? first : second, message, NULL, pool_result, &own[i]);
  for (int i = 0; i < 5; i++)
    g_assert_cmpint (pool_who (pool, NULL), ==, third);

  for (int i = 0; i < 3; i++)
    pool_release (pool_actor (pool, i));
  for (int i = 0; i < 9; i++)
    {
      POOL_WAIT (calls[i]);
      kcp_message_unref (kcp_pool_ask_finish (pool, calls[i], NULL));
      g_object_unref (calls[i]);
    }
  for (int i = 0; i < 4; i++)
    {
      POOL_WAIT (own[i]);
      g_object_unref (own[i]);
    }
  g_assert_cmpuint (kcp_pool_get_in_flight (pool), ==, 0);
  pool_end (pool);
}

#define KEYS 200

static guint
get_share (GHashTable *shares,
           int         pid)
{
  return GPOINTER_TO_UINT (g_hash_table_lookup (shares, GINT_TO_POINTER (pid)));
}

static void
ask_keys (KcpPool *pool,
          int     *pids)
{
  for (int i = 0; i < KEYS; i++)
    {
      g_autofree char *key = g_strdup_printf ("user-%d", i);

      pids[i] = pool_who (pool, key);
    }
}

static void
test_sticky (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 5, 6);
  g_autoptr (GHashTable) shares = g_hash_table_new (NULL, NULL);
  int before[KEYS], during[KEYS], after[KEYS];
  int lost = kcp_actor_get_pid (pool_actor (pool, 2)), new_pid;
  guint moved = 0;

  kcp_pool_set_busy_mark (pool, 1000);
  kcp_pool_set_backoff (pool, 200, 200);
  ask_keys (pool, before);
  ask_keys (pool, after);
  for (int i = 0; i < KEYS; i++)
    {
      g_assert_cmpint (before[i], ==, after[i]);
      g_hash_table_insert (shares, GINT_TO_POINTER (before[i]),
                           GUINT_TO_POINTER (get_share (shares, before[i]) + 1));
    }
  /* An even share is 40. */
  g_assert_cmpuint (g_hash_table_size (shares), ==, 5);
  for (guint i = 0; i < 5; i++)
    g_assert_cmpuint (get_share (shares, kcp_actor_get_pid (pool_actor (pool, i))), >, 15);

  /* While one is gone only its keys are elsewhere, and not all at the same place. */
  kcp_actor_kill (pool_actor (pool, 2));
  POOL_WAIT (kcp_pool_get_ready (pool) == 4);
  ask_keys (pool, during);
  for (int i = 0; i < KEYS; i++)
    if (before[i] != lost)
      g_assert_cmpint (during[i], ==, before[i]);

  /* Its successor has them all. */
  POOL_WAIT (kcp_pool_get_ready (pool) == 5);
  new_pid = kcp_actor_get_pid (pool_actor (pool, 4));
  ask_keys (pool, after);
  for (int i = 0; i < KEYS; i++)
    g_assert_cmpint (after[i], ==, before[i] == lost ? new_pid : before[i]);

  /* One more takes its share from all, and nothing else moves. */
  kcp_pool_set_size (pool, 6, 6);
  POOL_WAIT (kcp_pool_get_ready (pool) == 6);
  new_pid = kcp_actor_get_pid (pool_actor (pool, 5));
  ask_keys (pool, during);
  for (int i = 0; i < KEYS; i++)
    if (during[i] != after[i])
      {
        g_assert_cmpint (during[i], ==, new_pid);
        moved++;
      }
  g_assert_cmpuint (moved, >, 10);
  g_assert_cmpuint (moved, <, 70);
  pool_end (pool);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool/start/many", test_start_many);
  g_test_add_func ("/pool/start/fails", test_start_fails);
  g_test_add_func ("/pool/start/partly", test_start_partly);
  g_test_add_func ("/pool/start/again", test_start_again);
  g_test_add_func ("/pool/stop/parallel", test_stop_parallel);
  g_test_add_data_func ("/pool/dispose/new", GINT_TO_POINTER (KCP_POOL_NEW), test_dispose);
  g_test_add_data_func ("/pool/dispose/starting", GINT_TO_POINTER (KCP_POOL_STARTING), test_dispose);
  g_test_add_data_func ("/pool/dispose/running", GINT_TO_POINTER (KCP_POOL_RUNNING), test_dispose);
  g_test_add_data_func ("/pool/dispose/stopping", GINT_TO_POINTER (KCP_POOL_STOPPING), test_dispose);
  g_test_add_func ("/pool/dispose/dropped", test_dropped);
  g_test_add_func ("/pool/least-busy", test_least_busy);
  g_test_add_func ("/pool/sticky", test_sticky);

  return g_test_run ();
}
