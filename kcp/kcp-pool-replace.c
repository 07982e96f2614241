/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

#include "kcp-error.h"

/* All children change for new ones, of another launcher:
 *
 *   BRINGING UP, beside those that serve ──all are ready──► switch ──► DRAINING the old ──► done
 *        └──one cannot──► the new ones go, the old ones have never noticed
 */
struct _KcpPoolReplacement
{
  GTask *task;           /* NULL: nobody waits any more */
  GSource *cancel;
  KcpLauncher *next;
  guint generation;
  guint wanted;          /* how many before the switch */
  guint started, ready;
  gboolean switched;
  GError *error;         /* it has failed */
};

static void
clear_cancel (KcpPoolReplacement *self)
{
  if (self->cancel)
    g_source_destroy (self->cancel);
  g_clear_pointer (&self->cancel, g_source_unref);
}

/* Takes @error. */
static void
return_task (KcpPoolReplacement *self,
             GError             *error)
{
  g_autoptr (GTask) task = g_steal_pointer (&self->task);

  clear_cancel (self);
  if (task == NULL)
    g_clear_error (&error);
  else if (error)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

/* It is out of the pool before anybody is told: the next may begin from there. */
static void
end (KcpPool *pool,
     GError  *error)
{
  KcpPoolReplacement *self = g_steal_pointer (&pool->replacement);

  kcp_pool_touch (pool);
  return_task (self, error);
  g_object_unref (self->next);
  g_clear_error (&self->error);
  g_free (self);
}

/* The old ones may be gone or not: what is left of them goes its way. */
void
kcp_pool_replacement_drop (KcpPool      *pool,
                           const GError *error)
{
  end (pool, pool->replacement->switched ? NULL : g_error_copy (error));
}

/* A new child is ready, or cannot be. */
void
kcp_pool_replacement_take (KcpPool      *pool,
                           const GError *error)
{
  KcpPoolReplacement *self = pool->replacement;

  kcp_pool_touch (pool);
  if (self == NULL)
    return;

  if (error == NULL)
    self->ready++;
  else if (self->error == NULL)
    self->error = g_error_copy (error);
}

static gboolean
on_cancelled (GCancellable *cancellable,
              gpointer      data)
{
  g_autoptr (KcpPool) pool = g_object_ref (data);
  KcpPoolReplacement *self = pool->replacement;
  GError *error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "the replacement was cancelled");

  if (self->switched)
    return_task (self, error);
  else
    {
      g_clear_error (&self->error);
      self->error = error;
      clear_cancel (self);
      kcp_pool_touch (pool);
    }
  return G_SOURCE_REMOVE;
}

/* ---- steps ---- */

static KcpPoolMember *
find_new (KcpPool *pool)
{
  for (guint i = 0; i < pool->members->len; i++)
    {
      KcpPoolMember *member = pool->members->pdata[i];

      if (member->for_replacement && !member->stopping)
        return member;
    }

  return NULL;
}

static gboolean
step_failed (KcpPool *pool)
{
  KcpPoolMember *member = find_new (pool);

  if (member)
    {
      /* Its exit is no failure of the next replacement. */
      member->for_replacement = FALSE;
      kcp_pool_member_stop (member);
    }
  else
    end (pool, g_steal_pointer (&pool->replacement->error));
  return TRUE;
}

static void
put_into_slot (KcpPool       *pool,
               guint          index,
               KcpPoolMember *member)
{
  KcpPoolSlot *slot = kcp_pool_slot (pool, index);

  if (slot->active)
    kcp_pool_member_drain (slot->active);
  member->for_replacement = FALSE;
  member->slot = index;
  slot->active = member;
}

/* At once, without a turn in between: no call goes to an old child after one went to a new one.
 * Should there be slots that came to be wanted meanwhile, their children are of another
 * generation now, and are replaced one by one. */
static void
switch_over (KcpPool *pool)
{
  KcpPoolReplacement *self = pool->replacement;
  KcpPoolMember *member;
  guint index = 0;

  self->switched = TRUE;
  g_set_object (&pool->launcher, self->next);
  pool->generation = self->generation;
  kcp_pool_forgive (pool);

  while ((member = find_new (pool)) != NULL)
    {
      while (index < pool->slots->len && !kcp_pool_slot (pool, index)->wanted)
        index++;
      if (index < pool->slots->len)
        put_into_slot (pool, index++, member);
      else if (pool->wanted < pool->settings.min)
        {
          /* Of a pool that had failed. */
          put_into_slot (pool, kcp_pool_want_more (pool), member);
          index = pool->slots->len;
        }
      else
        {
          member->for_replacement = FALSE;
          kcp_pool_member_drain (member);
        }
    }
}

static gboolean
has_old (KcpPool *pool)
{
  for (guint i = 0; i < pool->members->len; i++)
    if (((KcpPoolMember *) pool->members->pdata[i])->generation != pool->generation)
      return TRUE;

  return FALSE;
}

gboolean
kcp_pool_step_replacement (KcpPool *pool,
                           guint   *spawns)
{
  KcpPoolReplacement *self = pool->replacement;

  if (self == NULL || pool->state == KCP_POOL_STOPPING)
    return FALSE;

  if (self->switched)
    {
      if (has_old (pool))
        return FALSE;
      end (pool, NULL);
      return TRUE;
    }
  if (self->error)
    return step_failed (pool);

  if (self->started < self->wanted && *spawns > 0)
    {
      --*spawns;
      self->started++;
      kcp_pool_member_start (pool, self->next, self->generation, KCP_POOL_NO_SLOT);
      return TRUE;
    }
  if (self->ready < self->wanted)
    return FALSE;

  switch_over (pool);
  if (!kcp_pool_is_up (pool))
    kcp_pool_set_state (pool, KCP_POOL_RUNNING);
  kcp_pool_pump (pool);
  return TRUE;
}

/* ---- API ---- */

static GError *
find_obstacle (KcpPool *self)
{
  if (self->state == KCP_POOL_STOPPING)
    return kcp_pool_refusal (self);
  if (self->replacement)
    return g_error_new_literal (G_IO_ERROR, G_IO_ERROR_PENDING, "the pool is being replaced already");

  return NULL;
}

/**
 * kcp_pool_replace_async:
 * @self: a pool
 * @next: (nullable) (transfer none): what starts the children from now on: another plugin file,
 *   another configuration; %NULL: the same as now, which may have been changed
 * @cancellable: (nullable): before the switch, gives it up; after it, ends the wait
 * @callback: (scope async): called when the old children are gone, or the new ones cannot be started
 * @user_data: passed to @callback
 *
 * Replaces all children without a pause: as many new ones are started beside the old, all side
 * by side; when the last of them is ready all calls go to the new ones; the old ones finish what
 * they have, see kcp_pool_set_drain_timeout(), and are stopped. No call fails because of it. If one
 * of the new ones cannot be started all of them go, and the old ones go on as if nothing had
 * happened.
 *
 * In a pool that does not run only the launcher changes, but one that is degraded or failed runs
 * again with new children.
 */
void
kcp_pool_replace_async (KcpPool             *self,
                        KcpLauncher         *next,
                        GCancellable        *cancellable,
                        GAsyncReadyCallback  callback,
                        gpointer             user_data)
{
  KcpPoolReplacement *replacement;
  GTask *task;
  GError *obstacle;

  g_return_if_fail (KCP_IS_POOL (self));
  g_return_if_fail (next == NULL || KCP_IS_LAUNCHER (next));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, kcp_pool_replace_async);
  g_task_set_check_cancellable (task, FALSE);
  next = next ? next : self->launcher;
  obstacle = find_obstacle (self);
  if (obstacle || self->state == KCP_POOL_NEW || self->state == KCP_POOL_STOPPED)
    {
      if (obstacle)
        g_task_return_error (task, obstacle);
      else
        {
          g_set_object (&self->launcher, next);
          g_task_return_boolean (task, TRUE);
        }
      g_object_unref (task);
      return;
    }

  replacement = g_new0 (KcpPoolReplacement, 1);
  replacement->task = task;
  replacement->next = g_object_ref (next);
  replacement->generation = self->generation + 1;
  replacement->wanted = MAX (MAX (self->wanted, self->settings.min), 1);
  self->replacement = replacement;
  if (cancellable)
    {
      replacement->cancel = g_cancellable_source_new (cancellable);
      g_source_set_callback (replacement->cancel, G_SOURCE_FUNC (on_cancelled), self, NULL);
      g_source_attach (replacement->cancel, self->context);
    }
  kcp_pool_touch (self);
}

/**
 * kcp_pool_replace_finish:
 * @self: a pool
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: %TRUE if all children are new, or %FALSE with an error: why a new child could not be
 *   started, as kcp_launcher_spawn_finish() tells it, %G_IO_ERROR_PENDING if a replacement was under
 *   way, %KCP_ERROR_STOPPING or %G_IO_ERROR_CANCELLED
 */
gboolean
kcp_pool_replace_finish (KcpPool       *self,
                         GAsyncResult  *result,
                         GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
