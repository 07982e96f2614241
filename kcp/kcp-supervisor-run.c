/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-supervisor-private.h"

#include "kcp-actor-private.h"
#include "kcp-error.h"
#include "kcp-exit-report-private.h"
#include "kcp-launcher-private.h"

/* Starting and stopping. A start or a stop may have any number of people who wait for it. */

/* ---- what is given to callbacks that may outlive the supervisor ---- */

static GWeakRef *
new_weak (KcpSupervisor *self)
{
  GWeakRef *weak = g_new (GWeakRef, 1);

  g_weak_ref_init (weak, self);
  return weak;
}

/* NULL: it is gone. Owned by the caller. */
static KcpSupervisor *
take_weak (GWeakRef *weak)
{
  KcpSupervisor *self = g_weak_ref_get (weak);

  g_weak_ref_clear (weak);
  g_free (weak);
  return self;
}

/* ---- stopping ---- */

static void
take_back (gpointer         data,
           KcpCall         *call,
           KcpMessage      *message,
           KcpTraceContext *trace,
           const GError    *reason)
{
  kcp_backlog_take_back (((KcpSupervisor *) data)->backlog, call, message, trace, reason);
}

/* Whether a child comes after the one that is being stopped, and calls can wait for it. */
static void
set_again (KcpSupervisor *self,
           gboolean       again)
{
  self->again = again;
  if (self->actor)
    kcp_link_set_take_back (kcp_actor_get_link (self->actor), again ? take_back : NULL, self);
  if (self->state == KCP_SUPERVISOR_STOPPING)
    kcp_supervisor_refuse_calls (self);
}

/* STOPPING is over: the child is gone, or with @error even SIGKILL has not ended it. */
static void
finish_stop (KcpSupervisor *self,
             const GError  *error)
{
  GPtrArray *stoppers = kcp_supervisor_steal_waiters (&self->stoppers);
  GPtrArray *starters = NULL;
  g_autoptr (GError) stopped = NULL;

  kcp_supervisor_drop_actor (self);
  if (self->again)
    {
      self->manual = TRUE;
      self->automatic = FALSE;
      kcp_supervisor_begin_start (self);
    }
  else
    {
      starters = kcp_supervisor_steal_waiters (&self->starters);
      stopped = g_error_new_literal (KCP_ERROR, KCP_ERROR_STOPPING, "stopped before the child was ready");
      kcp_supervisor_move_to (self, KCP_SUPERVISOR_STOPPED);
    }
  g_object_thaw_notify (G_OBJECT (self));

  kcp_supervisor_tell_waiters (stoppers, error);
  if (starters)
    kcp_supervisor_tell_waiters (starters, stopped);
}

static void
on_stopped (GObject      *actor,
            GAsyncResult *result,
            gpointer      data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpExitReport) report = kcp_actor_stop_finish (KCP_ACTOR (actor), result, &error);
  g_autoptr (KcpSupervisor) self = take_weak (data);

  if (self == NULL)
    return;

  g_object_freeze_notify (G_OBJECT (self));
  if (report)
    kcp_supervisor_keep_end (self, kcp_exit_report_ref (report), kcp_exit_report_to_error (report));
  finish_stop (self, error);
}

/* From here on its end is expected. */
static void
stop_actor (KcpSupervisor *self)
{
  kcp_supervisor_unwatch_actor (self);
  g_main_context_push_thread_default (self->context);
  kcp_actor_stop_async (self->actor, NULL, on_stopped, new_weak (self));
  g_main_context_pop_thread_default (self->context);
}

/* From STARTING or RUNNING. */
static void
begin_stop (KcpSupervisor *self,
            gboolean       again)
{
  g_object_freeze_notify (G_OBJECT (self));
  set_again (self, again);
  kcp_supervisor_move_to (self, KCP_SUPERVISOR_STOPPING);
  if (self->actor)
    stop_actor (self);
  else
    g_cancellable_cancel (self->start);
  g_object_thaw_notify (G_OBJECT (self));
}

/* ---- starting ---- */

void
kcp_supervisor_set_up (KcpSupervisor *self)
{
  const KcpLaunchSettings *settings = kcp_launcher_settings (self->launcher);

  kcp_backlog_set_limits (self->backlog, settings->mailbox_calls, settings->mailbox_bytes);
  kcp_backlog_set_call_timeout (self->backlog, settings->call_timeout);
  kcp_supervisor_refuse_calls (self);
}

/* Takes @error, and @report, which is NULL where no process was ever there. */
static void
take_start_failure (KcpSupervisor *self,
                    GError        *error,
                    KcpExitReport *report)
{
  g_object_freeze_notify (G_OBJECT (self));
  kcp_supervisor_keep_end (self, report, error);
  if (self->state == KCP_SUPERVISOR_STOPPING)
    finish_stop (self, NULL);
  else if (self->manual)
    kcp_supervisor_come_to_rest (self, KCP_SUPERVISOR_STOPPED);
  else
    kcp_supervisor_apply_policy (self, TRUE);
}

static void
take_actor (KcpSupervisor *self,
            KcpActor      *actor)
{
  KcpLink *link = kcp_actor_get_link (actor);
  GPtrArray *starters;

  g_object_freeze_notify (G_OBJECT (self));
  self->actor = g_object_ref (actor);
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_ACTOR);
  if (self->state == KCP_SUPERVISOR_STOPPING)
    {
      stop_actor (self);
      g_object_thaw_notify (G_OBJECT (self));
      return;
    }

  starters = kcp_supervisor_steal_waiters (&self->starters);
  self->running_since = g_get_monotonic_time ();
  kcp_supervisor_watch_actor (self);
  kcp_link_set_take_back (link, take_back, self);
  kcp_supervisor_move_to (self, KCP_SUPERVISOR_RUNNING);
  /* What has waited comes before what anybody asks when he is told. */
  if (kcp_link_is_whole (link))
    kcp_backlog_send_all (self->backlog, link);
  g_object_thaw_notify (G_OBJECT (self));

  if (self->automatic && self->actor == actor)
    kcp_supervisor_emit_restarted (self, actor);
  kcp_supervisor_tell_waiters (starters, NULL);
}

typedef struct
{
  GWeakRef *supervisor;
  GError *error;
} FailedStart;

static void
on_failed_start_gone (GObject      *source,
                      GAsyncResult *result,
                      gpointer      data)
{
  FailedStart *failed = data;
  g_autoptr (KcpExitReport) report = g_task_propagate_pointer (G_TASK (result), NULL);
  g_autoptr (KcpSupervisor) self = take_weak (failed->supervisor);
  GError *error = failed->error;

  g_free (failed);
  if (self)
    take_start_failure (self, error, g_steal_pointer (&report));
  else
    g_error_free (error);
}

/* A start that failed is over when its child is gone: nothing is started beside it, and there is a
 * report. It was sent SIGKILL, and how long that may take is limited. */
static void
await_end (KcpSupervisor *self,
           KcpProcess    *process,
           GError        *error)
{
  FailedStart *failed = g_new (FailedStart, 1);

  *failed = (FailedStart) { new_weak (self), error };
  g_main_context_push_thread_default (self->context);
  kcp_process_await_exit (process, g_task_new (NULL, NULL, on_failed_start_gone, failed));
  g_main_context_pop_thread_default (self->context);
}

static void
on_spawned (GObject      *launcher,
            GAsyncResult *result,
            gpointer      data)
{
  GError *error = NULL;
  g_autoptr (KcpActor) actor = kcp_launcher_spawn_finish (KCP_LAUNCHER (launcher), result, &error);
  g_autoptr (KcpSupervisor) self = take_weak (data);
  KcpProcess *process = actor ? NULL : kcp_launcher_get_failed_process (result);

  if (self == NULL)
    {
      g_clear_error (&error);
      return;
    }

  g_clear_object (&self->start);
  if (process)
    await_end (self, process, error);
  else if (actor == NULL)
    take_start_failure (self, error, NULL);
  else
    {
      gboolean over = kcp_actor_get_state (actor) == KCP_ACTOR_EXITED;

      take_actor (self, actor);
      if (over && self->actor == actor && self->state == KCP_SUPERVISOR_RUNNING)
        kcp_supervisor_take_exit (self, kcp_actor_get_exit_report (actor));
    }
}

void
kcp_supervisor_begin_start (KcpSupervisor *self)
{
  g_object_freeze_notify (G_OBJECT (self));
  kcp_supervisor_clear_timer (self);
  self->again = FALSE;
  self->start = g_cancellable_new ();
  kcp_supervisor_move_to (self, KCP_SUPERVISOR_STARTING);
  kcp_supervisor_set_up (self);
  g_main_context_push_thread_default (self->context);
  kcp_launcher_spawn_async (self->launcher, self->start, on_spawned, new_weak (self));
  g_main_context_pop_thread_default (self->context);
  g_object_thaw_notify (G_OBJECT (self));
}

/* ---- what is asked for ---- */

static void
start (KcpSupervisor *self,
       GTask         *task)
{
  kcp_supervisor_reset_limits (self);
  switch (self->state)
    {
    case KCP_SUPERVISOR_RUNNING:
      g_task_return_boolean (task, TRUE);
      g_object_unref (task);
      break;
    case KCP_SUPERVISOR_STARTING:
      self->manual = TRUE;
      kcp_supervisor_add_waiter (self->starters, task);
      break;
    case KCP_SUPERVISOR_STOPPING:
      kcp_supervisor_add_waiter (self->starters, task);
      set_again (self, TRUE);
      break;
    case KCP_SUPERVISOR_STOPPED:
    case KCP_SUPERVISOR_WAITING:
    case KCP_SUPERVISOR_FAILED:
    default:
      kcp_supervisor_add_waiter (self->starters, task);
      self->manual = TRUE;
      self->automatic = FALSE;
      kcp_supervisor_begin_start (self);
    }
}

/**
 * kcp_supervisor_start_async:
 * @self: a supervisor
 * @cancellable: (nullable): ends the wait, not the start
 * @callback: (scope async): called when the child is ready, or cannot be
 * @user_data: passed to @callback
 *
 * Starts a child now, unless one is running: the first, one after a stop or a failure, or the one
 * that would be started later. Calls may be made from now on; they wait until it is ready.
 *
 * The failure of a start that somebody asked for is his: the policy does nothing about it, and the
 * state is %KCP_SUPERVISOR_STOPPED again. Limits begin to count anew.
 */
void
kcp_supervisor_start_async (KcpSupervisor       *self,
                            GCancellable        *cancellable,
                            GAsyncReadyCallback  callback,
                            gpointer             user_data)
{
  g_return_if_fail (KCP_IS_SUPERVISOR (self));

  start (self, kcp_supervisor_new_task (self, kcp_supervisor_start_async, cancellable, callback, user_data));
}

/**
 * kcp_supervisor_start_finish:
 * @self: a supervisor
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: %TRUE if the child is ready; else %FALSE with an error of kcp_launcher_spawn_finish(),
 *   %KCP_ERROR_STOPPING if it was stopped before that, or %G_IO_ERROR_CANCELLED
 */
gboolean
kcp_supervisor_start_finish (KcpSupervisor  *self,
                             GAsyncResult   *result,
                             GError        **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * kcp_supervisor_restart_async:
 * @self: a supervisor
 * @cancellable: (nullable): ends the wait, not the restart
 * @callback: (scope async): called when the new child is ready, or cannot be
 * @user_data: passed to @callback
 *
 * Stops the child, if there is one, and starts the next. The old one may finish the calls it has;
 * new ones wait for the new one. Else as kcp_supervisor_start_async().
 */
void
kcp_supervisor_restart_async (KcpSupervisor       *self,
                              GCancellable        *cancellable,
                              GAsyncReadyCallback  callback,
                              gpointer             user_data)
{
  GTask *task;

  g_return_if_fail (KCP_IS_SUPERVISOR (self));

  task = kcp_supervisor_new_task (self, kcp_supervisor_restart_async, cancellable, callback, user_data);
  if (self->state == KCP_SUPERVISOR_RUNNING)
    begin_stop (self, TRUE);
  start (self, task);
}

/**
 * kcp_supervisor_restart_finish:
 * @self: a supervisor
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: as kcp_supervisor_start_finish()
 */
gboolean
kcp_supervisor_restart_finish (KcpSupervisor  *self,
                               GAsyncResult   *result,
                               GError        **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * kcp_supervisor_stop_async:
 * @self: a supervisor
 * @cancellable: (nullable): ends the wait, not the stop
 * @callback: (scope async): called when there is no child any more
 * @user_data: passed to @callback
 *
 * Stops the child as kcp_actor_stop_async() does, or keeps it from being started. Calls that wait
 * for a child fail; calls that a running child has may finish.
 */
void
kcp_supervisor_stop_async (KcpSupervisor       *self,
                           GCancellable        *cancellable,
                           GAsyncReadyCallback  callback,
                           gpointer             user_data)
{
  g_autoptr (GTask) task = NULL;

  g_return_if_fail (KCP_IS_SUPERVISOR (self));

  task = kcp_supervisor_new_task (self, kcp_supervisor_stop_async, cancellable, callback, user_data);
  switch (self->state)
    {
    case KCP_SUPERVISOR_STARTING:
    case KCP_SUPERVISOR_RUNNING:
      kcp_supervisor_add_waiter (self->stoppers, g_steal_pointer (&task));
      begin_stop (self, FALSE);
      break;
    case KCP_SUPERVISOR_STOPPING:
      kcp_supervisor_add_waiter (self->stoppers, g_steal_pointer (&task));
      set_again (self, FALSE);
      break;
    case KCP_SUPERVISOR_WAITING:
    case KCP_SUPERVISOR_FAILED:
      kcp_supervisor_clear_timer (self);
      kcp_supervisor_move_to (self, KCP_SUPERVISOR_STOPPED);
      g_task_return_boolean (task, TRUE);
      break;
    case KCP_SUPERVISOR_STOPPED:
    default:
      g_task_return_boolean (task, TRUE);
    }
}

/**
 * kcp_supervisor_stop_finish:
 * @self: a supervisor
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: %TRUE if there is no child any more; %FALSE with %KCP_ERROR_TIMED_OUT if even SIGKILL
 *   has not ended it in time, or %G_IO_ERROR_CANCELLED
 */
gboolean
kcp_supervisor_stop_finish (KcpSupervisor  *self,
                            GAsyncResult   *result,
                            GError        **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}
