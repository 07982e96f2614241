/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-supervisor-private.h"

#include "kcp-actor-private.h"
#include "kcp-debug-private.h"
#include "kcp-error.h"
#include "kcp-exit-report-private.h"

/* The states, and what becomes of a child's end: the one place where that is decided.
 *
 * Here as in kcp-supervisor-run.c: first the state, then the signals, then whoever has asked; all
 * of these run user code, which may stop, start or drop the supervisor. */

/* ---- states ---- */

#define TO(state) (1u << KCP_SUPERVISOR_##state)

/* Where each may lead. */
static const guint edges[] = {
  [KCP_SUPERVISOR_STOPPED] = TO (STARTING),
  [KCP_SUPERVISOR_STARTING] = TO (RUNNING) | TO (WAITING) | TO (STOPPING) | TO (STOPPED) | TO (FAILED),
  [KCP_SUPERVISOR_RUNNING] = TO (WAITING) | TO (STOPPING) | TO (STOPPED) | TO (FAILED),
  [KCP_SUPERVISOR_WAITING] = TO (STARTING) | TO (STOPPED),
  [KCP_SUPERVISOR_STOPPING] = TO (STOPPED) | TO (STARTING),
  [KCP_SUPERVISOR_FAILED] = TO (STARTING) | TO (STOPPED),
};

static GError *
find_refusal (KcpSupervisor *self)
{
  const char *cause = self->last_error ? self->last_error->message : "none was started";

  switch (self->state)
    {
    case KCP_SUPERVISOR_STOPPED:
      return g_error_new (KCP_ERROR, KCP_ERROR_NOT_RUNNING, "no child is running: %s", cause);
    case KCP_SUPERVISOR_FAILED:
      return g_error_new (KCP_ERROR, KCP_ERROR_NOT_RUNNING, "the child is not started again: %s", cause);
    case KCP_SUPERVISOR_STOPPING:
      if (self->again)
        return NULL;
      return g_error_new_literal (KCP_ERROR, KCP_ERROR_STOPPING, "the child is being stopped");
    case KCP_SUPERVISOR_STARTING:
    case KCP_SUPERVISOR_RUNNING:
    case KCP_SUPERVISOR_WAITING:
    default:
      return NULL;
    }
}

/* Calls wait only where there is something to wait for. */
void
kcp_supervisor_refuse_calls (KcpSupervisor *self)
{
  g_autoptr (GError) refusal = find_refusal (self);

  kcp_backlog_refuse (self->backlog, refusal ? g_error_copy (refusal) : NULL);
  if (refusal)
    kcp_backlog_fail (self->backlog, refusal);
}

void
kcp_supervisor_move_to (KcpSupervisor      *self,
                        KcpSupervisorState  state)
{
  g_return_if_fail (edges[self->state] & (1u << state));

  KCP_DEBUG (KCP_DEBUG_CHILD, "supervisor: state %d → %d", self->state, state);
  self->state = state;
  kcp_supervisor_refuse_calls (self);
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_STATE);
}

void
kcp_supervisor_keep_end (KcpSupervisor *self,
                         KcpExitReport *report,
                         GError        *error)
{
  g_clear_pointer (&self->last_report, kcp_exit_report_unref);
  g_clear_error (&self->last_error);
  self->last_report = report;
  self->last_error = error;
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_LAST_REPORT);
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_LAST_ERROR);
}

/* ---- the end of a child, and what the policy makes of it ---- */

void
kcp_supervisor_unwatch_actor (KcpSupervisor *self)
{
  g_clear_signal_handler (&self->exited_handler, self->actor);
  g_clear_signal_handler (&self->responsive_handler, self->actor);
}

void
kcp_supervisor_drop_actor (KcpSupervisor *self)
{
  if (self->actor == NULL)
    return;

  kcp_supervisor_unwatch_actor (self);
  kcp_link_set_take_back (kcp_actor_get_link (self->actor), NULL, NULL);
  g_clear_object (&self->actor);
  g_clear_error (&self->verdict);
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_ACTOR);
}

void
kcp_supervisor_come_to_rest (KcpSupervisor      *self,
                             KcpSupervisorState  state)
{
  GPtrArray *starters = kcp_supervisor_steal_waiters (&self->starters);
  g_autoptr (KcpExitReport) report = self->last_report ? kcp_exit_report_ref (self->last_report) : NULL;
  g_autoptr (GError) error = g_error_copy (self->last_error);

  kcp_supervisor_move_to (self, state);
  g_object_thaw_notify (G_OBJECT (self));
  if (state == KCP_SUPERVISOR_FAILED)
    kcp_supervisor_emit_failed (self, report);
  kcp_supervisor_tell_waiters (starters, error);
}

void
kcp_supervisor_clear_timer (KcpSupervisor *self)
{
  if (self->timer)
    g_source_destroy (self->timer);
  g_clear_pointer (&self->timer, g_source_unref);
  if (self->next_restart == 0)
    return;

  self->next_restart = 0;
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_NEXT_RESTART);
}

static gboolean
on_timer (gpointer data)
{
  g_autoptr (KcpSupervisor) self = g_object_ref (data);

  g_object_freeze_notify (G_OBJECT (self));
  self->manual = FALSE;
  self->automatic = TRUE;
  self->restarts++;
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_RESTARTS);
  kcp_supervisor_begin_start (self);
  g_object_thaw_notify (G_OBJECT (self));
  return G_SOURCE_REMOVE;
}

static guint
next_delay (KcpSupervisor *self)
{
  guint64 delay = self->first_ms;

  for (guint i = 0; i < self->doublings && delay < self->most_ms; i++)
    delay *= 2;
  delay = MIN (delay, self->most_ms);
  self->doublings++;
  return (guint) delay - (guint) g_random_int_range (0, (gint32) (delay / 2) + 1);
}

static void
wait_for_restart (KcpSupervisor *self,
                  gint64         now)
{
  g_autoptr (KcpExitReport) report = self->last_report ? kcp_exit_report_ref (self->last_report) : NULL;
  guint delay = next_delay (self);

  g_array_append_val (self->history, now);
  self->next_restart = now + (gint64) delay * 1000;
  self->timer = g_timeout_source_new (delay);
  g_source_set_callback (self->timer, on_timer, self, NULL);
  g_source_attach (self->timer, self->context);

  kcp_supervisor_move_to (self, KCP_SUPERVISOR_WAITING);
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_NEXT_RESTART);
  g_object_thaw_notify (G_OBJECT (self));
  kcp_supervisor_emit_restarting (self, delay, report);
}

void
kcp_supervisor_reset_limits (KcpSupervisor *self)
{
  self->doublings = 0;
  g_array_set_size (self->history, 0);
  if (self->restarts == 0)
    return;

  self->restarts = 0;
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_RESTARTS);
}

static gboolean
is_within_limit (KcpSupervisor *self,
                 gint64         now)
{
  guint old = 0;

  while (old < self->history->len &&
         now - g_array_index (self->history, gint64, old) >= (gint64) self->window_ms * 1000)
    old++;
  if (old > 0)
    g_array_remove_range (self->history, 0, old);

  return self->history->len < self->limit;
}

void
kcp_supervisor_apply_policy (KcpSupervisor *self,
                             gboolean       failure)
{
  gint64 now = g_get_monotonic_time ();

  if (!failure && self->policy != KCP_RESTART_ALWAYS)
    kcp_supervisor_come_to_rest (self, KCP_SUPERVISOR_STOPPED);
  else if (self->policy == KCP_RESTART_NEVER || !is_within_limit (self, now))
    kcp_supervisor_come_to_rest (self, KCP_SUPERVISOR_FAILED);
  else
    wait_for_restart (self, now);
}

static gboolean
is_failure (KcpExitReport *report)
{
  return kcp_exit_report_get_reason (report) != KCP_EXIT_EXITED ||
         kcp_exit_report_get_exit_code (report) != 0;
}

void
kcp_supervisor_take_exit (KcpSupervisor *self,
                          KcpExitReport *report)
{
  g_autoptr (KcpSupervisor) keep = g_object_ref (self);
  GError *error = g_steal_pointer (&self->verdict);

  g_object_freeze_notify (G_OBJECT (self));
  if (error == NULL)
    error = kcp_exit_report_to_error (report);
  kcp_supervisor_keep_end (self, kcp_exit_report_ref (report), error);
  kcp_supervisor_drop_actor (self);
  if (g_get_monotonic_time () - self->running_since >= (gint64) self->healthy_ms * 1000)
    self->doublings = 0;

  if (kcp_exit_report_get_reason (report) == KCP_EXIT_STOPPED)
    kcp_supervisor_come_to_rest (self, KCP_SUPERVISOR_STOPPED);
  else
    kcp_supervisor_apply_policy (self, is_failure (report));
}

static void
on_exited (KcpActor      *actor,
           KcpExitReport *report,
           KcpSupervisor *self)
{
  kcp_supervisor_take_exit (self, report);
}

void
kcp_supervisor_check_responsive (KcpSupervisor *self)
{
  g_autoptr (KcpSupervisor) keep = NULL;
  g_autoptr (KcpActor) actor = NULL;

  if (!self->kill_unresponsive || self->state != KCP_SUPERVISOR_RUNNING ||
      kcp_actor_get_responsive (self->actor) || kcp_actor_get_state (self->actor) != KCP_ACTOR_READY)
    return;

  keep = g_object_ref (self);
  actor = g_object_ref (self->actor);
  g_clear_error (&self->verdict);
  self->verdict = g_error_new (KCP_ERROR, KCP_ERROR_CHILD_CRASHED,
                               "child “%s” (pid %d) did not answer any more and was killed",
                               kcp_actor_get_name (actor), kcp_actor_get_pid (actor));
  /* The calls are told why, not only that it was killed. */
  kcp_link_close (kcp_actor_get_link (actor), self->verdict);
  kcp_actor_kill (actor);
}

static void
on_responsive (KcpActor      *actor,
               GParamSpec    *pspec,
               KcpSupervisor *self)
{
  kcp_supervisor_check_responsive (self);
}

void
kcp_supervisor_watch_actor (KcpSupervisor *self)
{
  self->exited_handler = g_signal_connect (self->actor, "exited", G_CALLBACK (on_exited), self);
  self->responsive_handler = g_signal_connect (self->actor, "notify::responsive", G_CALLBACK (on_responsive),
                                               self);
}

void
kcp_supervisor_end (KcpSupervisor *self)
{
  g_autoptr (GError) error = g_error_new_literal (KCP_ERROR, KCP_ERROR_NOT_RUNNING, "its supervisor is gone");

  g_cancellable_cancel (self->start);
  g_clear_object (&self->start);
  kcp_supervisor_clear_timer (self);
  if (self->actor)
    {
      KcpProcess *process = kcp_process_ref (kcp_actor_get_process (self->actor));

      kcp_supervisor_drop_actor (self);
      /* Also where somebody else still holds the actor. */
      kcp_process_stop (process);
      kcp_process_unref (process);
    }
  kcp_backlog_close (self->backlog, error);

  /* They hold references, so there are none unless it is disposed of by force. */
  kcp_supervisor_tell_waiters (kcp_supervisor_steal_waiters (&self->starters), error);
  kcp_supervisor_tell_waiters (kcp_supervisor_steal_waiters (&self->stoppers), error);
}
