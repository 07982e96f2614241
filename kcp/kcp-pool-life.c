/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"

#include <glib-unix.h>

/*   NEW ──► STARTING ──one is ready──► RUNNING ──too many have died──► DEGRADED ──none left──► FAILED
 *                └──none could be started──────────────────────────────────────────────────────▲
 *   each of them ──► STOPPING ──► STOPPED;   start leads back from FAILED, DEGRADED and STOPPED
 */

/* A process takes a while to start; the program has other things to do in between. */
#define SPAWNS_A_TURN 4

/* ---- those that wait for a start or a stop ---- */

typedef struct
{
  GPtrArray *waits;      /* where it is */
  GTask *task;
  GSource *cancel;
} Wait;

static void
end_wait (Wait   *wait,
          GError *error)
{
  g_autoptr (GTask) task = wait->task;

  g_ptr_array_remove (wait->waits, wait);
  if (wait->cancel)
    g_source_destroy (wait->cancel);
  g_clear_pointer (&wait->cancel, g_source_unref);
  g_free (wait);

  if (error)
    g_task_return_error (task, error);
  else
    g_task_return_boolean (task, TRUE);
}

static gboolean
on_wait_cancelled (GCancellable *cancellable,
                   gpointer      data)
{
  end_wait (data, g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                       "waiting for the pool was cancelled"));
  return G_SOURCE_REMOVE;
}

/* Takes @task. */
static void
add_wait (GPtrArray *waits,
          GTask     *task)
{
  GCancellable *cancellable = g_task_get_cancellable (task);
  Wait *wait = g_new0 (Wait, 1);

  wait->waits = waits;
  wait->task = task;
  g_ptr_array_add (waits, wait);
  if (cancellable == NULL)
    return;

  wait->cancel = g_cancellable_source_new (cancellable);
  g_source_set_callback (wait->cancel, G_SOURCE_FUNC (on_wait_cancelled), wait, NULL);
  g_source_attach (wait->cancel, g_task_get_context (task));
}

/* Those that are there now: what they run may bring new ones. */
static gboolean
end_waits (GPtrArray    *waits,
           const GError *error)
{
  guint count = waits->len;

  for (guint i = 0; i < count && waits->len > 0; i++)
    end_wait (waits->pdata[0], error ? g_error_copy (error) : NULL);
  return count > 0;
}

/* ---- states ---- */

GError *
kcp_pool_refusal (KcpPool *self)
{
  GError *error;

  switch (self->state)
    {
    case KCP_POOL_NEW:
      return g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING, "the pool was not started");
    case KCP_POOL_FAILED:
      if (self->last_error == NULL)
        return g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING, "the pool has failed");
      error = g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING, self->last_error->message);
      g_prefix_error (&error, "the pool has failed: ");
      return error;
    case KCP_POOL_STOPPING:
      return g_error_new_literal (KCP_ERROR, KCP_ERROR_STOPPING, "the pool is being stopped");
    case KCP_POOL_STOPPED:
      return g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING, "the pool was stopped");
    case KCP_POOL_STARTING:
    case KCP_POOL_RUNNING:
    case KCP_POOL_DEGRADED:
    default:
      return NULL;
    }
}

/* Somebody serves, or is on the way. */
static gboolean
has_hope (KcpPool *self)
{
  for (guint i = 0; i < self->slots->len; i++)
    {
      KcpPoolSlot *slot = kcp_pool_slot (self, i);

      if (slot->active || slot->coming)
        return TRUE;
      if (slot->wanted && !self->given_up && (self->state != KCP_POOL_STARTING || slot->failures == 0))
        return TRUE;
    }

  return self->replacement != NULL || (!self->given_up && self->wanted < self->settings.min);
}

static void
fail (KcpPool *self)
{
  g_autoptr (GError) reason = NULL;
  g_autoptr (GError) error = self->last_error ? g_error_copy (self->last_error) : NULL;

  kcp_pool_want_none (self);
  KCP_DEBUG (KCP_DEBUG_CHILD, "pool: failed");
  kcp_pool_set_state (self, KCP_POOL_FAILED);
  reason = kcp_pool_refusal (self);
  end_waits (self->start_waits, error ? error : reason);
  if (self->state == KCP_POOL_FAILED)
    kcp_pool_fail_queue (self, reason);
}

static gboolean
step_state (KcpPool *self)
{
  switch (self->state)
    {
    case KCP_POOL_STARTING:
      if (kcp_pool_get_ready (self) > 0 || self->settings.min == 0)
        kcp_pool_set_state (self, KCP_POOL_RUNNING);
      else if (!has_hope (self))
        fail (self);
      else
        return FALSE;
      return TRUE;
    case KCP_POOL_RUNNING:
      if (self->given_up)
        kcp_pool_set_state (self, KCP_POOL_DEGRADED);
      else
        return end_waits (self->start_waits, NULL);
      return TRUE;
    case KCP_POOL_DEGRADED:
      if (!self->given_up)
        kcp_pool_set_state (self, KCP_POOL_RUNNING);
      else if (!has_hope (self))
        fail (self);
      else
        return end_waits (self->start_waits, NULL);
      return TRUE;
    case KCP_POOL_STOPPING:
      if (self->members->len > 0)
        return FALSE;
      kcp_pool_set_state (self, KCP_POOL_STOPPED);
      return TRUE;
    case KCP_POOL_STOPPED:
      return end_waits (self->stop_waits, self->stop_error);
    case KCP_POOL_NEW:
    case KCP_POOL_FAILED:
    default:
      return FALSE;
    }
}

/* All at once: the children climb down their ladders side by side. */
static gboolean
step_stopping (KcpPool *self)
{
  g_autoptr (GError) reason = kcp_pool_refusal (self);

  if (self->state != KCP_POOL_STOPPING)
    return FALSE;
  if (end_waits (self->start_waits, reason))
    return TRUE;
  if (self->replacement)
    {
      kcp_pool_replacement_drop (self, reason);
      return TRUE;
    }
  if (self->queue.length > 0)
    {
      kcp_pool_fail_queue (self, reason);
      return TRUE;
    }

  for (guint i = 0; i < self->members->len; i++)
    {
      KcpPoolMember *member = self->members->pdata[i];

      if (!member->stopping)
        {
          kcp_pool_member_stop (member);
          return TRUE;
        }
    }

  return FALSE;
}

/* One thing that is to be done. FALSE: nothing is. */
static gboolean
step (KcpPool *self,
      guint   *spawns)
{
  return step_stopping (self) || step_state (self) || kcp_pool_step_slots (self, spawns) ||
         kcp_pool_step_replacement (self, spawns) || kcp_pool_step_idle (self) ||
         kcp_pool_step_members (self) || kcp_pool_tell_counts (self);
}

/* ---- the clock ---- */

void
kcp_pool_arm (KcpPool *self,
              gint64   at)
{
  if (self->clock == NULL || at <= 0 || (self->clock_at > 0 && self->clock_at <= at))
    return;

  self->clock_at = at;
  g_source_set_ready_time (self->clock, at);
}

void
kcp_pool_touch (KcpPool *self)
{
  kcp_pool_arm (self, 1);
}

/* A turn. Its steps run user code, which may run a main loop of its own: then another turn goes
 * on inside this one, and finds everything as it is. */
static gboolean
on_clock (gpointer data)
{
  g_autoptr (KcpPool) self = g_object_ref (data);
  g_autoptr (GMainContext) context = g_main_context_ref (self->context);
  guint spawns = SPAWNS_A_TURN;

  self->clock_at = 0;
  g_source_set_ready_time (self->clock, -1);

  /* Children belong to this context, whatever the thread's default is just now. */
  g_main_context_push_thread_default (context);
  kcp_deadlines_run (&self->deadlines, g_get_monotonic_time ());
  while (self->clock && step (self, &spawns))
    ;
  if (self->clock)
    {
      kcp_pool_pump (self);
      kcp_pool_arm (self, kcp_deadlines_next (&self->deadlines));
      if (spawns == 0)
        kcp_pool_touch (self);
    }
  g_main_context_pop_thread_default (context);

  return G_SOURCE_CONTINUE;
}

static gboolean
clock_dispatch (GSource     *source,
                GSourceFunc  callback,
                gpointer     data)
{
  return callback (data);
}

static GSourceFuncs clock_funcs = { .dispatch = clock_dispatch };

static gboolean
on_inbox (int           fd,
          GIOCondition  condition,
          gpointer      data)
{
  g_autoptr (KcpPool) self = g_object_ref (data);

  kcp_inbox_take (self->inbox);
  return G_SOURCE_CONTINUE;
}

void
kcp_pool_open (KcpPool *self)
{
  self->clock = g_source_new (&clock_funcs, sizeof (GSource));
  g_source_set_static_name (self->clock, "kcp pool clock");
  g_source_set_callback (self->clock, on_clock, self, NULL);
  g_source_set_can_recurse (self->clock, TRUE);
  g_source_attach (self->clock, self->context);

  if (kcp_inbox_get_fd (self->inbox) < 0)
    return;
  self->inbox_source = g_unix_fd_source_new (kcp_inbox_get_fd (self->inbox), G_IO_IN);
  g_source_set_callback (self->inbox_source, G_SOURCE_FUNC (on_inbox), self, NULL);
  g_source_set_can_recurse (self->inbox_source, TRUE);
  g_source_attach (self->inbox_source, self->context);
}

static void
clear_source (GSource **source)
{
  if (*source)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

/* Nobody looks any more: the children are stopped by what lives on behind their actors. */
void
kcp_pool_close (KcpPool *self)
{
  g_autoptr (GError) reason = NULL;

  if (self->clock == NULL)
    return;

  clear_source (&self->clock);
  clear_source (&self->inbox_source);
  self->state = KCP_POOL_STOPPED;
  kcp_pool_want_none (self);
  while (self->members->len > 0)
    {
      KcpPoolMember *member = g_ptr_array_steal_index (self->members, self->members->len - 1);

      kcp_pool_member_stop (member);
      kcp_pool_member_forget (member);
      kcp_pool_member_unref (member);
    }
  g_ptr_array_set_size (self->actors, 0);

  reason = kcp_pool_refusal (self);
  kcp_pool_fail_queue (self, reason);
  if (self->replacement)
    kcp_pool_replacement_drop (self, reason);
  end_waits (self->start_waits, reason);
  end_waits (self->stop_waits, reason);
  kcp_inbox_close (self->inbox);
}

/* ---- start and stop ---- */

/**
 * kcp_pool_start_async:
 * @self: a pool
 * @cancellable: (nullable): ends the wait, not the start
 * @callback: (scope async): called when a child is ready, or none can be
 * @user_data: passed to @callback
 *
 * Starts the minimum of children, side by side. The pool can be used at once: calls wait until
 * the first child is ready. Children that could not be started while another could are tried
 * again as if they had died.
 *
 * Starting a pool that runs does nothing; one that is degraded or failed forgets its crashes.
 */
void
kcp_pool_start_async (KcpPool             *self,
                      GCancellable        *cancellable,
                      GAsyncReadyCallback  callback,
                      gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;
  GError *refusal;

  g_return_if_fail (KCP_IS_POOL (self));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, kcp_pool_start_async);
  g_task_set_check_cancellable (task, FALSE);

  if (self->state == KCP_POOL_STOPPING || self->clock == NULL)
    {
      refusal = kcp_pool_refusal (self);
      g_task_return_error (task, refusal);
      return;
    }

  add_wait (self->start_waits, g_steal_pointer (&task));
  if (self->state == KCP_POOL_STARTING || self->state == KCP_POOL_RUNNING)
    {
      kcp_pool_touch (self);
      return;
    }

  kcp_pool_forgive (self);
  g_clear_error (&self->stop_error);
  kcp_pool_touch (self);
  if (self->state != KCP_POOL_DEGRADED)
    kcp_pool_set_state (self, KCP_POOL_STARTING);
}

/**
 * kcp_pool_start_finish:
 * @self: a pool
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: %TRUE if a child is ready, or %FALSE with an error: why the last one could not be
 *   started, as kcp_launcher_spawn_finish() tells it, %KCP_ERROR_STOPPING or
 *   %G_IO_ERROR_CANCELLED
 */
gboolean
kcp_pool_start_finish (KcpPool       *self,
                       GAsyncResult  *result,
                       GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * kcp_pool_stop_async:
 * @self: a pool
 * @cancellable: (nullable): ends the wait, not the stop
 * @callback: (scope async): called when all children are gone
 * @user_data: passed to @callback
 *
 * Stops all children side by side, as kcp_actor_stop_async() does: it takes about as long as the
 * slowest. New calls fail, and so do those that wait for a child. May be called more than once.
 */
void
kcp_pool_stop_async (KcpPool             *self,
                     GCancellable        *cancellable,
                     GAsyncReadyCallback  callback,
                     gpointer             user_data)
{
  GTask *task;

  g_return_if_fail (KCP_IS_POOL (self));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, kcp_pool_stop_async);
  g_task_set_check_cancellable (task, FALSE);
  if (self->clock == NULL)
    {
      g_task_return_boolean (task, TRUE);
      g_object_unref (task);
      return;
    }

  add_wait (self->stop_waits, task);
  kcp_pool_touch (self);
  if (self->state < KCP_POOL_STOPPING)
    {
      kcp_pool_want_none (self);
      kcp_pool_set_state (self, KCP_POOL_STOPPING);
    }
}

/**
 * kcp_pool_stop_finish:
 * @self: a pool
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: %TRUE if all children are gone, or %FALSE with %KCP_ERROR_TIMED_OUT if even SIGKILL has
 *   not ended one of them in time, or %G_IO_ERROR_CANCELLED
 */
gboolean
kcp_pool_stop_finish (KcpPool       *self,
                      GAsyncResult  *result,
                      GError       **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
