/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-fixture.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <unistd.h>

/* Everything at once, and programs that do much inside the signals of the pool. */

/* ---- inside of signals ---- */

static void
nest (KcpPool       *pool,
      KcpActor      *actor,
      KcpExitReport *report,
      guint         *depth)
{
  /* A main loop inside the pool's own turn finds a pool that goes on. */
  if (++*depth == 1)
    {
      POOL_WAIT (kcp_pool_get_ready (pool) == 2);
      g_assert_cmpint (pool_who (pool, NULL), >, 0);
      g_assert_cmpint (kill (kcp_actor_get_pid (pool_actor (pool, 0)), SIGKILL), ==, 0);
      POOL_WAIT (*depth == 2);
    }
}

static void
on_ready (KcpPool    *pool,
          GParamSpec *pspec,
          guint      *least)
{
  static gboolean inside;

  /* From the pool's own turn: the successor is started and asked in here. */
  if (!inside && kcp_pool_get_ready (pool) < 2)
    {
      inside = TRUE;
      POOL_WAIT (kcp_pool_get_ready (pool) == 2);
      inside = FALSE;
      ++*least;
    }
}

static void
test_nested_loops (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  guint depth = 0, least = 0;
  gulong handler;

  kcp_pool_set_backoff (pool, 1, 10);
  handler = g_signal_connect (pool, "member-exited", G_CALLBACK (nest), &depth);
  g_assert_cmpint (kill (kcp_actor_get_pid (pool_actor (pool, 0)), SIGKILL), ==, 0);
  POOL_WAIT (depth == 2 && kcp_pool_get_ready (pool) == 2);
  g_signal_handler_disconnect (pool, handler);
  /* It says so in its next turn. */
  while (g_main_context_iteration (NULL, FALSE))
    ;

  handler = g_signal_connect (pool, "notify::ready", G_CALLBACK (on_ready), &least);
  kcp_actor_kill (pool_actor (pool, 0));
  POOL_WAIT (least == 1);
  g_signal_handler_disconnect (pool, handler);
  pool_end (pool);
}

/* The answer's callback drops the pool, or stops it and asks again. */
static void
drop_it (GObject      *pool,
         GAsyncResult *result,
         gpointer      data)
{
  KcpPool **slot = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_pool_ask_finish (KCP_POOL (pool), result, &error);

  g_assert_no_error (error);
  g_clear_object (slot);
}

static void
test_dropped_inside (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 2, 2);
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  gpointer weak = pool;
  guint tick = pool_tick ();

  g_object_add_weak_pointer (G_OBJECT (pool), &weak);
  kcp_pool_ask_async (pool, message, NULL, drop_it, &pool);
  POOL_WAIT (weak == NULL);
  POOL_WAIT (pool_no_children ());
  g_source_remove (tick);
}

static void
ask_again (GObject      *pool,
           GAsyncResult *result,
           gpointer      data)
{
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  g_autoptr (GError) error = NULL;
  guint *left = data;

  g_assert_null (kcp_pool_ask_finish (KCP_POOL (pool), result, &error));
  g_assert_error (error, KCP_ERROR, KCP_ERROR_STOPPING);
  if (--*left > 0)
    kcp_pool_ask_async (KCP_POOL (pool), message, NULL, ask_again, data);
}

/* Whoever asks again at once when a call fails does not hold up the stop. */
static void
test_asks_again (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  KcpPool *pool = pool_running (launcher, 1, 1);
  g_autoptr (KcpMessage) message = pool_message ("hold", 0);
  guint left = 100;

  kcp_pool_ask_async (pool, message, NULL, ask_again, &left);
  kcp_actor_kill (pool_actor (pool, 0));
  kcp_pool_stop_async (pool, NULL, NULL, NULL);
  POOL_WAIT (left < 100);
  while (left > 0 && kcp_pool_get_state (pool) == KCP_POOL_STOPPING)
    g_main_context_iteration (NULL, TRUE);
  pool_end (pool);
}

/* ---- everything at once ---- */

typedef struct
{
  KcpPool *pool;
  GRand *random;
  guint asked, answered, failed;
  guint replacing;
} Chaos;

#define CHAOS_CALLS 20000

static void chaos_ask (Chaos *self);

static void
on_chaos_answer (GObject      *pool,
                 GAsyncResult *result,
                 gpointer      data)
{
  Chaos *self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_pool_ask_finish (KCP_POOL (pool), result, &error);

  if (answer)
    self->answered++;
  else
    {
      /* A death it could not be spared, and nothing else. */
      g_assert_true (g_error_matches (error, KCP_ERROR, KCP_ERROR_CHILD_CRASHED) ||
                     g_error_matches (error, KCP_ERROR, KCP_ERROR_STOPPING) ||
                     g_error_matches (error, KCP_ERROR, KCP_ERROR_NOT_RUNNING));
      self->failed++;
    }
  chaos_ask (self);
}

static void
on_chaos_replaced (GObject      *pool,
                   GAsyncResult *result,
                   gpointer      data)
{
  Chaos *self = data;

  /* It may fail: its new children are shot at as well. */
  kcp_pool_replace_finish (KCP_POOL (pool), result, NULL);
  self->replacing--;
}

static void
disturb (Chaos *self)
{
  guint size = kcp_pool_get_size (self->pool);
  KcpActor *actor = size > 0 ? pool_actor (self->pool, g_rand_int_range (self->random, 0, (int) size)) : NULL;

  switch (g_rand_int_range (self->random, 0, 600))
    {
    case 0:
      if (actor)
        kill (kcp_actor_get_pid (actor), SIGKILL);
      break;
    case 1:
      if (actor)
        kcp_actor_kill (actor);
      break;
    case 2:
      if (actor)
        kcp_actor_stop_async (actor, NULL, NULL, NULL);
      break;
    case 3:
      kcp_pool_set_size (self->pool, (guint) g_rand_int_range (self->random, 1, 4),
                         (guint) g_rand_int_range (self->random, 4, 7));
      break;
    case 4:
    case 5:
      self->replacing++;
      kcp_pool_replace_async (self->pool, NULL, NULL, on_chaos_replaced, self);
      break;
    case 6:
      kcp_pool_set_recycle (self->pool, (guint64) g_rand_int_range (self->random, 100, 1000), 0);
      break;
    case 7:
      kcp_pool_start_async (self->pool, NULL, NULL, NULL);
      break;
    default:
      break;
    }
}

static void
chaos_ask (Chaos *self)
{
  g_autoptr (KcpMessage) message = pool_message ("who", self->asked);
  g_autofree char *key = g_strdup_printf ("%u", self->asked % 17);

  if (self->asked == CHAOS_CALLS)
    return;

  self->asked++;
  kcp_message_set_idempotent (message, self->asked % 2 == 0);
  kcp_message_set_timeout (message, KCP_TIMEOUT_NONE);
  if (self->asked % 3)
    kcp_pool_ask_async (self->pool, message, NULL, on_chaos_answer, self);
  else
    kcp_pool_ask_with_key_async (self->pool, key, message, NULL, on_chaos_answer, self);
  disturb (self);
}

static void
test_chaos (void)
{
  g_autoptr (KcpLauncher) launcher = pool_launcher (NULL, NULL);
  g_autoptr (GRand) random = g_rand_new_with_seed ((guint32) g_test_rand_int ());
  Chaos chaos = { .random = random };
  PoolMirror mirror;

  chaos.pool = pool_running (launcher, 3, 5);
  kcp_pool_set_crash_limit (chaos.pool, 0, 0);
  kcp_pool_set_backoff (chaos.pool, 1, 10);
  kcp_pool_set_idle_timeout (chaos.pool, 30);
  kcp_pool_set_busy_mark (chaos.pool, 8);
  pool_mirror_init (&mirror, chaos.pool);
  for (int i = 0; i < 60; i++)
    chaos_ask (&chaos);
  POOL_WAIT (chaos.answered + chaos.failed == CHAOS_CALLS && chaos.replacing == 0);
  g_test_message ("%u failed, %u restarts, %u changes of the list", chaos.failed,
                  kcp_pool_get_restarts (chaos.pool), mirror.signals);
  g_assert_cmpuint (chaos.failed, <, CHAOS_CALLS / 4);
  g_assert_cmpuint (kcp_pool_get_in_flight (chaos.pool), ==, 0);
  g_assert_cmpint (pool_who (chaos.pool, NULL), >, 0);
  pool_mirror_clear (&mirror);
  pool_end (chaos.pool);
}

int
main (int    argc,
      char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/pool-chaos/nested-loops", test_nested_loops);
  g_test_add_func ("/pool-chaos/dropped-inside", test_dropped_inside);
  g_test_add_func ("/pool-chaos/asks-again", test_asks_again);
  g_test_add_func ("/pool-chaos/all", test_chaos);

  return g_test_run ();
}
