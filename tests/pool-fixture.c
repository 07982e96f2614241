/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-fixture.h"

#include <errno.h>
#include <sys/wait.h>

/* ---- waiting ---- */

static gboolean
on_guard (gpointer what)
{
  g_error ("waited too long for: %s", (char *) what);
  return G_SOURCE_REMOVE;
}

guint
pool_guard (const char *what,
            int         line)
{
  guint seconds = g_getenv ("KCP_TEST_VALGRIND") ? 1200 : 60;

  return g_timeout_add_seconds_full (G_PRIORITY_DEFAULT, seconds, on_guard,
                                     g_strdup_printf ("%s (line %d)", what, line), g_free);
}

static gboolean
on_tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

guint
pool_tick (void)
{
  return g_timeout_add (5, on_tick, NULL);
}

void
pool_result (GObject      *source,
             GAsyncResult *result,
             gpointer      slot)
{
  g_assert_null (*(GAsyncResult **) slot);
  *(GAsyncResult **) slot = g_object_ref (result);
}

/* ---- the list ---- */

static void
check_mirror (PoolMirror *self)
{
  g_assert_cmpuint (g_list_model_get_n_items (self->list), ==, self->copy->len);
  for (guint i = 0; i < self->copy->len; i++)
    {
      g_autoptr (KcpActor) actor = g_list_model_get_item (self->list, i);

      g_assert_true (KCP_IS_ACTOR (actor));
      g_assert_true (actor == self->copy->pdata[i]);
    }
  g_assert_null (g_list_model_get_item (self->list, self->copy->len));
}

static void
on_items_changed (GListModel *list,
                  guint       position,
                  guint       removed,
                  guint       added,
                  PoolMirror *self)
{
  self->signals++;
  g_assert_cmpuint (removed + added, >, 0);
  g_assert_cmpuint (position + removed, <=, self->copy->len);
  if (removed > 0)
    g_ptr_array_remove_range (self->copy, position, removed);
  for (guint i = 0; i < added; i++)
    {
      KcpActor *actor = g_list_model_get_item (list, position + i);

      g_assert_nonnull (actor);
      g_assert_false (g_ptr_array_find (self->copy, actor, NULL));
      g_ptr_array_insert (self->copy, (int) (position + i), actor);
    }
  check_mirror (self);
}

void
pool_mirror_init (PoolMirror *self,
                  KcpPool    *pool)
{
  self->list = G_LIST_MODEL (g_object_ref (pool));
  self->copy = g_ptr_array_new_with_free_func (g_object_unref);
  self->signals = 0;
  g_assert_true (g_list_model_get_item_type (self->list) == KCP_TYPE_ACTOR);
  for (guint i = 0; i < g_list_model_get_n_items (self->list); i++)
    g_ptr_array_add (self->copy, g_list_model_get_item (self->list, i));
  g_signal_connect (pool, "items-changed", G_CALLBACK (on_items_changed), self);
}

void
pool_mirror_clear (PoolMirror *self)
{
  check_mirror (self);
  g_signal_handlers_disconnect_by_data (self->list, self);
  g_ptr_array_unref (self->copy);
  g_object_unref (self->list);
}

/* ---- life ---- */

KcpLauncher *
pool_launcher (const char *key,
               ...)
{
  KcpLauncher *launcher = kcp_launcher_new (g_getenv ("KCP_TEST_WORKER"));
  va_list args;

  va_start (args, key);
  for (; key; key = va_arg (args, const char *))
    kcp_launcher_add_config (launcher, key, va_arg (args, const char *));
  va_end (args);
  kcp_launcher_set_start_timeout (launcher, 120000);
  return launcher;
}

gboolean
pool_start (KcpPool  *pool,
            GError  **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  kcp_pool_start_async (pool, NULL, pool_result, &result);
  g_assert_null (result);
  POOL_WAIT (result);
  return kcp_pool_start_finish (pool, result, error);
}

KcpPool *
pool_running (KcpLauncher *launcher,
              guint        min,
              guint        max)
{
  KcpPool *pool = kcp_pool_new (launcher);
  g_autoptr (GError) error = NULL;

  kcp_pool_set_size (pool, min, max);
  pool_start (pool, &error);
  g_assert_no_error (error);
  POOL_WAIT (kcp_pool_get_ready (pool) == min);
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_RUNNING);
  return pool;
}

gboolean
pool_replace (KcpPool      *pool,
              KcpLauncher  *next,
              GError      **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  kcp_pool_replace_async (pool, next, NULL, pool_result, &result);
  g_assert_null (result);
  POOL_WAIT (result);
  return kcp_pool_replace_finish (pool, result, error);
}

/* Not even one that nobody has waited for. */
gboolean
pool_no_children (void)
{
  siginfo_t status;

  return waitid (P_ALL, 0, &status, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

void
pool_end (KcpPool *pool)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint tick = pool_tick ();

  kcp_pool_stop_async (pool, NULL, pool_result, &result);
  g_assert_null (result);
  POOL_WAIT (result);
  kcp_pool_stop_finish (pool, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (kcp_pool_get_state (pool), ==, KCP_POOL_STOPPED);
  g_assert_cmpuint (kcp_pool_get_size (pool), ==, 0);
  g_assert_cmpuint (kcp_pool_get_in_flight (pool), ==, 0);
  POOL_WAIT (pool_no_children ());
  g_source_remove (tick);

  g_clear_object (&result);
  g_assert_finalize_object (pool);
}

/* ---- asking ---- */

KcpMessage *
pool_message (const char *path,
              gint64      number)
{
  return kcp_message_new (path, json_node_init_int (json_node_alloc (), number));
}

KcpMessage *
pool_ask (KcpPool     *pool,
          KcpMessage  *message,
          const char  *key,
          GError     **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  if (key)
    kcp_pool_ask_with_key_async (pool, key, message, NULL, pool_result, &result);
  else
    kcp_pool_ask_async (pool, message, NULL, pool_result, &result);
  g_assert_null (result);
  POOL_WAIT (result);
  return kcp_pool_ask_finish (pool, result, error);
}

static JsonObject *
get_object (KcpMessage *answer)
{
  g_autoptr (GError) error = NULL;
  JsonNode *body = kcp_message_get_body (answer, &error);

  g_assert_no_error (error);
  g_assert_true (JSON_NODE_HOLDS_OBJECT (body));
  return json_node_get_object (body);
}

gint64
pool_get_int (KcpMessage *answer,
              const char *member)
{
  return json_object_get_int_member (get_object (answer), member);
}

const char *
pool_get_generation (KcpMessage *answer)
{
  return json_object_get_string_member (get_object (answer), "generation");
}

int
pool_who (KcpPool    *pool,
          const char *key)
{
  g_autoptr (KcpMessage) message = pool_message ("who", 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = pool_ask (pool, message, key, &error);

  g_assert_no_error (error);
  return (int) pool_get_int (answer, "pid");
}

/* Borrowed from the pool. */
KcpActor *
pool_actor (KcpPool *pool,
            guint    index)
{
  KcpActor *actor = g_list_model_get_item (G_LIST_MODEL (pool), index);

  g_assert_nonnull (actor);
  g_object_unref (actor);
  return actor;
}

void
pool_release (KcpActor *actor)
{
  g_autoptr (KcpMessage) message = pool_message ("release", 0);
  g_autoptr (KcpActor) keep = g_object_ref (actor);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (KcpMessage) answer = NULL;
  g_autoptr (GError) error = NULL;

  kcp_actor_ask_async (actor, message, NULL, pool_result, &result);
  POOL_WAIT (result);
  answer = kcp_actor_ask_finish (actor, result, &error);
  g_assert_no_error (error);
}

/* ---- many calls ---- */

static void
on_load_answer (GObject      *pool,
                GAsyncResult *result,
                gpointer      data);

static void
ask_next (PoolLoad *self)
{
  g_autoptr (KcpMessage) message = pool_message ("note", self->next++);

  kcp_message_set_idempotent (message, self->idempotent);
  kcp_pool_ask_async (self->pool, message, NULL, on_load_answer, self);
}

static void
on_load_answer (GObject      *pool,
                GAsyncResult *result,
                gpointer      data)
{
  PoolLoad *self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpMessage) answer = kcp_pool_ask_finish (KCP_POOL (pool), result, &error);

  self->done++;
  if (answer)
    {
      gint64 id = pool_get_int (answer, "id");

      g_assert_cmpint (id, >=, 0);
      g_assert_cmpint (id, <, self->total);
      self->answers[id]++;
      g_hash_table_add (self->pids, GINT_TO_POINTER ((int) pool_get_int (answer, "pid")));
      g_hash_table_add (self->generations, g_strdup (pool_get_generation (answer)));
    }
  else
    {
      g_test_message ("failed: %s", error->message);
      self->failed++;
    }

  if (self->next < self->total)
    ask_next (self);
  if (self->progress)
    self->progress (self->data);
}

void
pool_load_begin (PoolLoad *self)
{
  self->answers = g_new0 (guint8, self->total);
  self->pids = g_hash_table_new (NULL, NULL);
  self->generations = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  while (self->next < self->at_once && self->next < self->total)
    ask_next (self);
}

void
pool_load_clear (PoolLoad *self)
{
  g_free (self->answers);
  g_hash_table_unref (self->pids);
  g_hash_table_unref (self->generations);
}

void
pool_load_check (PoolLoad *self)
{
  g_assert_cmpuint (self->done, ==, self->total);
  g_assert_cmpuint (self->failed, ==, 0);
  for (guint i = 0; i < self->total; i++)
    g_assert_cmpuint (self->answers[i], ==, 1);
}

void
pool_log_check (const char *file,
                guint       total)
{
  g_autofree guint8 *seen = g_new0 (guint8, total);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  guint lines = 0;

  g_file_get_contents (file, &text, NULL, &error);
  g_assert_no_error (error);
  for (char *line = text; *line; lines++)
    {
      gint64 id = g_ascii_strtoll (line, &line, 10);

      g_assert_cmpint (*line, ==, '\n');
      g_assert_cmpint (id, >=, 0);
      g_assert_cmpint (id, <, total);
      g_assert_cmpuint (seen[id], ==, 0);
      seen[id]++;
      line++;
    }
  g_assert_cmpuint (lines, ==, total);
}
