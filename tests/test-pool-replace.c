/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-fixture.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* Children that change for new ones on purpose: recycled one by one, or all for another launcher. */

static char *
make_log (void)
{
  char *file = g_strdup_printf ("%s/kcp-pool-replace-%d", g_get_tmp_dir (), (int) getpid ());

  g_remove (file);
  return file;
}

static void
expect_generation (KcpPool    *pool,
                   const char *generation)
{
  g_autoptr (KcpMessage) message = pool_message ("who", 0);

  for (guint i = 0; i < kcp_pool_get_ready (pool); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (KcpMessage) answer = pool_ask (pool, message, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpstr (pool_get_generation (answer), ==, generation);
    }
}

/* ---- recycling ---- */

static void
test_recycle_calls (void)
{
  g_autofree char *file = make_log ();
  g_autoptr (KcpLauncher) launcher = pool_launcher ("log", file, NULL);
  KcpPool *pool = pool_running (launcher, 3, 3);
  PoolLoad load = { pool, 10000, 30, FALSE };
  PoolMirror mirror;

  kcp_pool_set_recycle (pool, 500, 0);
  pool_mirror_init (&mirror, pool);
  pool_load_begin (&load);
  POOL_WAIT (load.done == load.total);
  pool_load_check (&load);
  pool_log_check (file, load.total);
  /* A child goes on until its successor is ready, so it is not exactly twenty. */
  g_test_message ("%u children have answered", g_hash_table_size (load.pids));
  g_assert_cmpuint (g_hash_table_size (load.pids), >, 6);
  g_assert_cmpuint (g_hash_table_size (load.pids), <=, 3 + 20);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 0);
  g_assert_null (kcp_pool_get_last_report (pool));
  kcp_pool_set_recycle (pool, 0, 0);
  POOL_WAIT (kcp_pool_get_ready (pool) == 3 && kcp_pool_get_size (pool) == 3);
  pool_mirror_clear (&mirror);
  pool_load_clear (&load);
  pool_end (pool);
  g_remove (file);
}

/* Exactly one is recycled for each N calls, when it is given the time. */
static void
test_recycle_one (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 1, 1);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (KcpActor) old = g_object_ref (pool_actor (pool, 0));
  int pid = kcp_actor_get_pid (old);

  kcp_pool_set_recycle (pool, 5, 0);
  kcp_pool_ask_async (pool, message, NULL, pool_result, &result);
  for (int i = 0; i < 4; i++)
    g_assert_cmpint (pool_who (pool, NULL), ==, pid);
  /* The successor comes while the old one still has a call, which it answers in peace. */
  POOL_WAIT (kcp_pool_get_size (pool) == 2);
  g_assert_cmpint (pool_who (pool, NULL), !=, pid);
  g_assert_null (result);
  g_assert_cmpint (kcp_actor_get_state (old), ==, KCP_ACTOR_READY);
  pool_release (old);
  POOL_WAIT (result);
  answer = kcp_pool_ask_finish (pool, result, NULL);
  g_assert_nonnull (answer);
  g_assert_cmpint (pool_get_int (answer, "pid"), ==, pid);
  g_clear_object (&result);
  POOL_WAIT (kcp_pool_get_size (pool) == 1);
  g_assert_cmpint (kcp_exit_report_get_reason (kcp_actor_get_exit_report (old)), ==, KCP_EXIT_STOPPED);
  pool_end (pool);
}

/* Calls that are never answered hold up a drain only so long. */
static void
test_drain_timeout (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  KcpPool *pool;

  kcp_launcher_set_stop_timeouts (launcher, 10, 2000, 2000);
  pool = pool_running (launcher, 1, 1);
  kcp_pool_set_drain_timeout (pool, 50);
  kcp_pool_ask_async (pool, message, NULL, pool_result, &result);
  g_assert_true (pool_replace (pool, NULL, &error));
  g_assert_nonnull (result);
  g_assert_null (kcp_pool_ask_finish (pool, result, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  g_clear_object (&result);
  pool_end (pool);
}

static void
test_recycle_memory (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 1, 1);
  g_autoptr (KcpMessage) grow = pool_message ("grow", 256 * 1024 * 1024);
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  int pid = pool_who (pool, NULL);

  kcp_pool_set_recycle (pool, 0, 200 * 1024 * 1024);
  g_assert_cmpint (pool_who (pool, NULL), ==, pid);
  answer = pool_ask (pool, grow, NULL, &error);
  g_assert_no_error (error);
  /* It is looked at now and then. */
  POOL_WAIT (pool_who (pool, NULL) != pid);
  POOL_WAIT (kcp_pool_get_size (pool) == 1);
  pid = kcp_actor_get_pid (pool_actor (pool, 0));
  for (int i = 0; i < 10; i++)
    g_assert_cmpint (pool_who (pool, NULL), ==, pid);
  pool_end (pool);
}

/* ---- replacing ---- */

/* All calls are there at once: some with the old children, some in the queue. */
static void
test_replace_flood (void)
{
  g_autofree char *file = make_log ();
  g_autoptr (KcpLauncher) old = pool_launcher ("log", file, "generation", "old", NULL);
  g_autoptr (KcpLauncher) new = pool_launcher ("log", file, "generation", "new", NULL);
  KcpPool *pool = pool_running (old, 4, 4);
  PoolLoad load = { pool, 12000, 12000, FALSE };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  pool_load_begin (&load);
  g_assert_cmpuint (kcp_pool_get_in_flight (pool), ==, 12000);
  kcp_pool_replace_async (pool, new, NULL, pool_result, &result);
  POOL_WAIT (load.done == load.total && result);
  g_assert_true (kcp_pool_replace_finish (pool, result, &error));
  g_assert_no_error (error);
  g_clear_object (&result);
  pool_load_check (&load);
  pool_log_check (file, load.total);
  expect_generation (pool, "new");
  g_assert_cmpuint (kcp_pool_get_size (pool), ==, 4);
  pool_load_clear (&load);
  pool_end (pool);
  g_remove (file);
}

/* One replacement after the other under steady load. */
typedef struct
{
  PoolLoad load;
  const char *file;
  guint replaced;
  gboolean under_way;
} Rolling;

static void on_replaced (GObject *pool, GAsyncResult *result, gpointer data);

static void
replace_next (Rolling *self)
{
  g_autofree char *generation = g_strdup_printf ("%u", self->replaced + 1);
  g_autoptr (KcpLauncher) next = pool_launcher ("log", self->file, "generation", generation, NULL);

  if (self->load.done == self->load.total)
    return;

  self->under_way = TRUE;
  kcp_pool_replace_async (self->load.pool, next, NULL, on_replaced, self);
}

static void
on_replaced (GObject      *pool,
             GAsyncResult *result,
             gpointer      data)
{
  Rolling *self = data;
  g_autoptr (GError) error = NULL;

  kcp_pool_replace_finish (KCP_POOL (pool), result, &error);
  g_assert_no_error (error);
  self->under_way = FALSE;
  self->replaced++;
  replace_next (self);
}

static void
test_replace_rolling (void)
{
  g_autofree char *file = make_log ();
  g_autoptr (KcpLauncher) launcher = pool_launcher ("log", file, "generation", "0", NULL);
  KcpPool *pool = pool_running (launcher, 4, 4);
  guint total = g_test_slow () ? 2000000 : 30000;
  Rolling rolling = { .load = { pool, total, 200, FALSE }, .file = file };
  PoolMirror mirror;

  pool_mirror_init (&mirror, pool);
  pool_load_begin (&rolling.load);
  replace_next (&rolling);
  for (guint tenth = 1; tenth <= 10; tenth++)
    POOL_WAIT (rolling.load.done >= total / 10 * tenth);
  POOL_WAIT (!rolling.under_way);
  pool_load_check (&rolling.load);
  pool_log_check (file, total);
  g_test_message ("%u replacements, %u generations have answered", rolling.replaced,
                  g_hash_table_size (rolling.load.generations));
  g_assert_cmpuint (rolling.replaced, >=, 2);
  g_assert_cmpuint (g_hash_table_size (rolling.load.generations), >=, 2);
  g_assert_cmpuint (kcp_pool_get_size (pool), ==, 4);
  g_assert_cmpuint (kcp_pool_get_ready (pool), ==, 4);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 0);
  pool_mirror_clear (&mirror);
  pool_load_clear (&rolling.load);
  pool_end (pool);
  g_remove (file);
}

/* @mode: of the children that do not come up: none of them does, or all but one. */
static void
test_replace_fails (gconstpointer mode)
{
  g_autofree char *file = make_log ();
  g_autofree char *once = g_strdup_printf ("%s-once", file);
  g_autofree char *start = g_str_equal (mode, "once") ? g_strdup_printf ("once %s", once) : g_strdup (mode);
  g_autoptr (KcpLauncher) old = pool_launcher ("log", file, "generation", "old", NULL);
  g_autoptr (KcpLauncher) bad = pool_launcher ("log", file, "start", start, NULL);
  KcpPool *pool = pool_running (old, 3, 3);
  PoolLoad load = { pool, 5000, 50, FALSE };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  int code = g_str_equal (mode, "crash") ? KCP_ERROR_CHILD_CRASHED : KCP_ERROR_PLUGIN_START;
  PoolMirror mirror;
  int pids[3];

  g_remove (once);
  for (guint i = 0; i < 3; i++)
    pids[i] = kcp_actor_get_pid (pool_actor (pool, i));
  pool_mirror_init (&mirror, pool);
  pool_load_begin (&load);
  kcp_pool_replace_async (pool, bad, NULL, pool_result, &result);
  POOL_WAIT (load.done == load.total && result);
  g_assert_false (kcp_pool_replace_finish (pool, result, &error));
  g_assert_error (error, KCP_ERROR, code);
  g_clear_error (&error);
  g_clear_object (&result);

  /* The old ones have never noticed. */
  pool_load_check (&load);
  pool_log_check (file, load.total);
  POOL_WAIT (kcp_pool_get_size (pool) == 3);
  for (guint i = 0; i < 3; i++)
    g_assert_cmpint (kcp_actor_get_pid (pool_actor (pool, i)), ==, pids[i]);
  g_assert_cmpuint (g_hash_table_size (load.pids), ==, 3);
  expect_generation (pool, "old");
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_RUNNING);
  g_assert_cmpuint (kcp_pool_get_restarts (pool), ==, 0);
  pool_mirror_clear (&mirror);
  pool_load_clear (&load);
  pool_end (pool);
  g_remove (file);
  g_remove (once);
}

static void
test_replace_once (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher ("generation", "1", NULL);
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) first = NULL;
  g_autoptr (GAsyncResult) second = NULL;
  g_autoptr (GError) error = NULL;

  /* Of a pool that does not run only the launcher changes. */
  kcp_pool_set_size (pool, 2, 2);
  kcp_launcher_add_config (launcher, "generation", "2");
  g_assert_true (pool_replace (pool, NULL, &error));
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_NEW);
  g_assert_true (pool_start (pool, &error));
  POOL_WAIT (kcp_pool_get_ready (pool) == 2);
  expect_generation (pool, "2");

  /* One at a time; and one that is cancelled changes nothing. */
  kcp_launcher_add_config (launcher, "generation", "3");
  kcp_pool_replace_async (pool, NULL, cancellable, pool_result, &first);
  kcp_pool_replace_async (pool, NULL, NULL, pool_result, &second);
  POOL_WAIT (second);
  g_assert_false (kcp_pool_replace_finish (pool, second, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PENDING);
  g_clear_error (&error);
  g_clear_object (&second);
  g_assert_null (first);
  g_cancellable_cancel (cancellable);
  POOL_WAIT (first);
  g_assert_false (kcp_pool_replace_finish (pool, first, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);
  g_clear_object (&first);
  POOL_WAIT (kcp_pool_get_size (pool) == 2);
  expect_generation (pool, "2");

  g_assert_true (pool_replace (pool, NULL, &error));
  expect_generation (pool, "3");

  /* A stop ends it. */
  kcp_pool_replace_async (pool, NULL, NULL, pool_result, &first);
  kcp_pool_stop_async (pool, NULL, NULL, NULL);
  POOL_WAIT (first);
  g_assert_false (kcp_pool_replace_finish (pool, first, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  g_clear_object (&first);
  pool_end (pool);
}

static gboolean
is_one_of (GPtrArray *actors,
           int        pid)
{
  for (guint i = 0; i < actors->len; i++)
    if (kcp_actor_get_pid (actors->pdata[i]) == pid)
      return TRUE;

  return FALSE;
}

/* An old child has all its time for what it was given, however short its stop is. */
static void
test_replace_patient (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  GAsyncResult *calls[4] = { NULL };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GPtrArray) old = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (GError) error = NULL;
  KcpPool *pool;

  kcp_launcher_set_stop_timeouts (launcher, 1, 2000, 2000);
  pool = pool_running (launcher, 2, 2);
  for (int i = 0; i < 4; i++)
    kcp_pool_ask_async (pool, message, NULL, pool_result, &calls[i]);
  for (guint i = 0; i < 2; i++)
    g_ptr_array_add (old, g_object_ref (pool_actor (pool, i)));
  kcp_pool_replace_async (pool, NULL, NULL, pool_result, &result);
  POOL_WAIT (!is_one_of (old, pool_who (pool, NULL)));
  for (int i = 0; i < 20; i++)
    g_assert_false (is_one_of (old, pool_who (pool, NULL)));

  /* The first is let go before the second. */
  for (guint i = 0; i < 2; i++)
    {
      g_assert_null (result);
      pool_release (old->pdata[i]);
      POOL_WAIT (kcp_pool_get_size (pool) == 3 - i);
    }
  POOL_WAIT (result);
  g_assert_true (kcp_pool_replace_finish (pool, result, &error));
  for (int i = 0; i < 4; i++)
    {
      g_autoptr (KcpMessage) answer = kcp_pool_ask_finish (pool, calls[i], &error);

      g_assert_no_error (error);
      g_object_unref (calls[i]);
    }
  g_clear_object (&result);
  pool_end (pool);
}

/* A key stays in its slot, whoever serves it. */
static void
test_replace_sticky (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 3, 3);
  g_autoptr (GHashTable) successor = g_hash_table_new (NULL, NULL);
  int before[60];
  g_autoptr (GError) error = NULL;

  for (int i = 0; i < 60; i++)
    {
      g_autofree char *key = g_strdup_printf ("document-%d", i);

      before[i] = pool_who (pool, key);
    }
  g_assert_true (pool_replace (pool, NULL, &error));
  for (int i = 0; i < 60; i++)
    {
      g_autofree char *key = g_strdup_printf ("document-%d", i);
      gpointer now = GINT_TO_POINTER (pool_who (pool, key));
      gpointer known = g_hash_table_lookup (successor, GINT_TO_POINTER (before[i]));

      g_assert_true (known == NULL || known == now);
      g_hash_table_insert (successor, GINT_TO_POINTER (before[i]), now);
    }
  g_assert_cmpuint (g_hash_table_size (successor), ==, 3);
  pool_end (pool);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-replace/recycle/calls", test_recycle_calls);
  g_test_add_func ("/pool-replace/recycle/one", test_recycle_one);
  g_test_add_func ("/pool-replace/recycle/memory", test_recycle_memory);
  g_test_add_func ("/pool-replace/drain-timeout", test_drain_timeout);
  g_test_add_func ("/pool-replace/flood", test_replace_flood);
  g_test_add_func ("/pool-replace/rolling", test_replace_rolling);
  g_test_add_data_func ("/pool-replace/fails/all", "fail", test_replace_fails);
  g_test_add_data_func ("/pool-replace/fails/crash", "crash", test_replace_fails);
  g_test_add_data_func ("/pool-replace/fails/all-but-one", "once", test_replace_fails);
  g_test_add_func ("/pool-replace/once", test_replace_once);
  g_test_add_func ("/pool-replace/patient", test_replace_patient);
  g_test_add_func ("/pool-replace/sticky", test_replace_sticky);

  return g_test_run ();
}
