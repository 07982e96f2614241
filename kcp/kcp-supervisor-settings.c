/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-supervisor-private.h"

/* ---- settings ---- */

/**
 * kcp_supervisor_set_policy:
 * @self: a supervisor
 * @policy: what to do about a child that has ended; %KCP_RESTART_NEVER by default
 *
 * Sets the policy. It counts for the next end; a restart that was announced takes place.
 */
void
kcp_supervisor_set_policy (KcpSupervisor    *self,
                           KcpRestartPolicy  policy)
{
  g_return_if_fail (KCP_IS_SUPERVISOR (self));
  g_return_if_fail (policy <= KCP_RESTART_ALWAYS);

  if (self->policy == policy)
    return;

  self->policy = policy;
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_POLICY);
}

/**
 * kcp_supervisor_set_backoff:
 * @self: a supervisor
 * @first_ms: how long to wait before the first restart; 100 by default
 * @most_ms: how long to wait at most; 10000 by default
 * @healthy_ms: a child that was ready for this long starts the count again; 10000 by default
 *
 * Sets the time between two children: @first_ms, then twice as long each time, up to @most_ms. Of
 * each a random part of up to one half is taken off, so that many children that died of the same
 * cause do not come back at the same moment.
 */
void
kcp_supervisor_set_backoff (KcpSupervisor *self,
                            guint          first_ms,
                            guint          most_ms,
                            guint          healthy_ms)
{
  g_return_if_fail (KCP_IS_SUPERVISOR (self));

  self->first_ms = MIN (first_ms, G_MAXINT32);
  self->most_ms = CLAMP (most_ms, self->first_ms, G_MAXINT32);
  self->healthy_ms = healthy_ms;
}

/**
 * kcp_supervisor_set_restart_limit:
 * @self: a supervisor
 * @restarts: how many restarts by policy there may be; 3 by default, %G_MAXUINT for any number
 * @window_ms: in which time; five minutes by default
 *
 * Sets when to give up: the end that would need one more restart within the time makes the
 * supervisor %KCP_SUPERVISOR_FAILED. A start that somebody asks for begins to count anew.
 */
void
kcp_supervisor_set_restart_limit (KcpSupervisor *self,
                                  guint          restarts,
                                  guint          window_ms)
{
  g_return_if_fail (KCP_IS_SUPERVISOR (self));
  g_return_if_fail (window_ms > 0);

  self->limit = restarts;
  self->window_ms = window_ms;
}

/**
 * kcp_supervisor_set_kill_unresponsive:
 * @self: a supervisor
 * @kill: whether to kill a child that is not #KcpActor:responsive; %FALSE by default
 *
 * Sets whether a child that hangs is treated as one that has crashed: its calls fail with
 * %KCP_ERROR_CHILD_CRASHED, and the policy decides what comes then.
 */
void
kcp_supervisor_set_kill_unresponsive (KcpSupervisor *self,
                                      gboolean       kill)
{
  g_return_if_fail (KCP_IS_SUPERVISOR (self));

  kill = !!kill;
  if (self->kill_unresponsive == kill)
    return;

  self->kill_unresponsive = kill;
  kcp_supervisor_notify (self, KCP_SUPERVISOR_PROP_KILL_UNRESPONSIVE);
  kcp_supervisor_check_responsive (self);
}

/* ---- what can be seen ---- */

/**
 * kcp_supervisor_get_launcher:
 * @self: a supervisor
 *
 * Returns: (transfer none): what starts the children
 */
KcpLauncher *
kcp_supervisor_get_launcher (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), NULL);

  return self->launcher;
}

/**
 * kcp_supervisor_get_state:
 * @self: a supervisor
 *
 * Returns: what it is doing
 */
KcpSupervisorState
kcp_supervisor_get_state (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), KCP_SUPERVISOR_STOPPED);

  return self->state;
}

/**
 * kcp_supervisor_get_policy:
 * @self: a supervisor
 *
 * Returns: what is done about a child that has ended
 */
KcpRestartPolicy
kcp_supervisor_get_policy (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), KCP_RESTART_NEVER);

  return self->policy;
}

/**
 * kcp_supervisor_get_kill_unresponsive:
 * @self: a supervisor
 *
 * Returns: whether a child that hangs is killed
 */
gboolean
kcp_supervisor_get_kill_unresponsive (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), FALSE);

  return self->kill_unresponsive;
}

/**
 * kcp_supervisor_get_actor:
 * @self: a supervisor
 *
 * The child of now, for what only an actor can do. Calls made on it are that child's: they do not
 * outlive it. Stop the supervisor, not its actor: a child that was stopped and went in time stays
 * stopped, but one that had to be killed counts as a failure.
 *
 * Returns: (transfer none) (nullable): the actor, or %NULL while there is none
 */
KcpActor *
kcp_supervisor_get_actor (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), NULL);

  return self->actor;
}

/**
 * kcp_supervisor_get_restarts:
 * @self: a supervisor
 *
 * Returns: how often the policy has had a child started since somebody asked for a start
 */
guint
kcp_supervisor_get_restarts (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), 0);

  return self->restarts;
}

/**
 * kcp_supervisor_get_next_restart:
 * @self: a supervisor
 *
 * Returns: when the next child will be started, as of g_get_monotonic_time(); 0 where none will
 */
gint64
kcp_supervisor_get_next_restart (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), 0);

  return self->next_restart;
}

/**
 * kcp_supervisor_get_waiting:
 * @self: a supervisor
 *
 * Returns: how many calls wait for a child
 */
guint
kcp_supervisor_get_waiting (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), 0);

  return kcp_backlog_get_length (self->backlog);
}

/**
 * kcp_supervisor_get_last_report:
 * @self: a supervisor
 *
 * Returns: (transfer none) (nullable): how the last child has ended; %NULL before the first end,
 *   and where a child could not even be spawned
 */
KcpExitReport *
kcp_supervisor_get_last_report (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), NULL);

  return self->last_report;
}

/**
 * kcp_supervisor_get_last_error:
 * @self: a supervisor
 *
 * Returns: (transfer none) (nullable): how the last child has ended, as an error; of a start that
 *   has failed, what it failed with
 */
const GError *
kcp_supervisor_get_last_error (KcpSupervisor *self)
{
  g_return_val_if_fail (KCP_IS_SUPERVISOR (self), NULL);

  return self->last_error;
}
