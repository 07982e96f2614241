/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

/* ---- settings: each may be changed at any time, and holds from then on ---- */

/**
 * kcp_pool_set_size:
 * @self: a pool
 * @min: how many children there are at least; 0 is allowed: then the first call starts one
 * @max: how many there are at most, at least 1
 *
 * Sets the size. More than @min are started when all are busy, see kcp_pool_set_busy_mark(), and
 * stopped when they are not needed, see kcp_pool_set_idle_timeout(). While children are being
 * replaced there are more of them for a while, their successors being started first.
 */
void
kcp_pool_set_size (KcpPool *self,
                   guint    min,
                   guint    max)
{
  g_return_if_fail (KCP_IS_POOL (self));
  g_return_if_fail (max >= 1 && min <= max);

  self->settings.min = min;
  self->settings.max = max;
  kcp_pool_touch (self);
}

/**
 * kcp_pool_set_busy_mark:
 * @self: a pool
 * @calls: how many calls in flight make a child busy, at least 1, the default
 *
 * Sets when another child is started for a call: when each has this many calls in flight, those
 * that are being started counted as well.
 */
void
kcp_pool_set_busy_mark (KcpPool *self,
                        guint    calls)
{
  g_return_if_fail (KCP_IS_POOL (self));

  self->settings.busy_mark = MAX (calls, 1);
}

/**
 * kcp_pool_set_idle_timeout:
 * @self: a pool
 * @milliseconds: 30000 by default; %KCP_TIMEOUT_NONE: children are never stopped for idleness
 *
 * Sets how long more children than the minimum may be there without being needed: those that
 * even the busiest moment of such a time has left idle are stopped at its end.
 */
void
kcp_pool_set_idle_timeout (KcpPool *self,
                           int      milliseconds)
{
  g_return_if_fail (KCP_IS_POOL (self));
  g_return_if_fail (milliseconds >= KCP_TIMEOUT_NONE);

  self->settings.idle_timeout = milliseconds;
  self->idle_at = 0;
  kcp_pool_touch (self);
}

/**
 * kcp_pool_set_drain_timeout:
 * @self: a pool
 * @milliseconds: 60000 by default; %KCP_TIMEOUT_NONE: as long as they take
 *
 * Sets how long a child that is recycled, replaced or not needed any more may take to answer the
 * calls it has. It gets no new ones meanwhile. After that it is stopped with the times of
 * kcp_launcher_set_stop_timeouts(). The stop of the whole pool has these times only.
 */
void
kcp_pool_set_drain_timeout (KcpPool *self,
                            int      milliseconds)
{
  g_return_if_fail (KCP_IS_POOL (self));
  g_return_if_fail (milliseconds >= KCP_TIMEOUT_NONE);

  self->settings.drain_timeout = milliseconds;
}

/**
 * kcp_pool_set_recycle:
 * @self: a pool
 * @calls: how many calls a child serves, about; 0, the default: any number
 * @resident_bytes: how much memory it may hold after a call; 0, the default: any amount
 *
 * Sets when a child is replaced by a fresh one, against leaks. The successor is started first;
 * until it is ready the old child goes on. Memory is what the kernel calls resident, and is
 * looked at after calls, at most ten times a second for each child.
 */
void
kcp_pool_set_recycle (KcpPool *self,
                      guint64  calls,
                      gsize    resident_bytes)
{
  g_return_if_fail (KCP_IS_POOL (self));

  self->settings.recycle_calls = calls;
  self->settings.recycle_memory = resident_bytes;
}

/**
 * kcp_pool_set_queue:
 * @self: a pool
 * @calls: how many calls may wait for a child; 16384 by default
 * @bytes: how many bytes of them; 64 MiB by default
 *
 * Sets when a call fails with %KCP_ERROR_BUSY; see also kcp_message_set_wait_for_room(). Calls wait
 * while no child is ready, or while each has as many calls in flight as
 * kcp_launcher_set_max_in_flight() allows. Their deadlines run meanwhile.
 */
void
kcp_pool_set_queue (KcpPool *self,
                    guint    calls,
                    gsize    bytes)
{
  g_return_if_fail (KCP_IS_POOL (self));

  self->settings.queue_calls = calls;
  self->settings.queue_bytes = bytes;
}

/**
 * kcp_pool_set_backoff:
 * @self: a pool
 * @first_ms: 100 by default
 * @longest_ms: 10000 by default
 *
 * Sets how long after the failure of a child its successor is started: @first_ms, twice as long
 * after each further failure in a row, at most @longest_ms; and up to a quarter more, at random.
 * A child that was ready for longer than @longest_ms begins a new row.
 */
void
kcp_pool_set_backoff (KcpPool *self,
                      int      first_ms,
                      int      longest_ms)
{
  g_return_if_fail (KCP_IS_POOL (self));
  g_return_if_fail (first_ms >= 0 && longest_ms >= first_ms);

  self->settings.backoff_first = first_ms;
  self->settings.backoff_longest = longest_ms;
}

/**
 * kcp_pool_set_crash_limit:
 * @self: a pool
 * @crashes: how many failures are borne; 0: any number. By default three for each child of the
 *   maximum
 * @window_ms: in how long a time; five minutes by default
 *
 * Sets when the pool gives up: with more failures than this it starts no more children and is
 * %KCP_POOL_DEGRADED; when the last one is gone it is %KCP_POOL_FAILED. A failure is the death or
 * hanging of a child that was not asked for, and a start that goes wrong.
 */
void
kcp_pool_set_crash_limit (KcpPool *self,
                          guint    crashes,
                          int      window_ms)
{
  g_return_if_fail (KCP_IS_POOL (self));
  g_return_if_fail (window_ms >= 0);

  self->settings.crash_limit = MIN (crashes, KCP_POOL_CRASHES_BY_SIZE - 1);
  self->settings.crash_window = window_ms;
}

/**
 * kcp_pool_set_kill_unresponsive:
 * @self: a pool
 * @kill: whether to kill
 *
 * Sets what happens to a child whose #KcpActor:responsive becomes %FALSE. Either way a successor is
 * started. With @kill the child is killed at once, and so its calls fail. Without, the default,
 * it keeps them until they are answered or their deadlines pass, gets no new ones when there is
 * another child, and is stopped when it has none left.
 */
void
kcp_pool_set_kill_unresponsive (KcpPool  *self,
                                gboolean  kill)
{
  g_return_if_fail (KCP_IS_POOL (self));

  if (self->settings.kill_unresponsive == !!kill)
    return;

  self->settings.kill_unresponsive = !!kill;
  g_object_notify (G_OBJECT (self), "kill-unresponsive");
}

/**
 * kcp_pool_get_kill_unresponsive:
 * @self: a pool
 *
 * Returns: whether a child that does not answer pings is killed
 */
gboolean
kcp_pool_get_kill_unresponsive (KcpPool *self)
{
  g_return_val_if_fail (KCP_IS_POOL (self), FALSE);

  return self->settings.kill_unresponsive;
}

/* ---- properties ---- */

/**
 * kcp_pool_get_state:
 * @self: a pool
 *
 * Returns: how the pool is
 */
KcpPoolState
kcp_pool_get_state (KcpPool *self)
{
  g_return_val_if_fail (KCP_IS_POOL (self), KCP_POOL_STOPPED);

  return self->state;
}

/**
 * kcp_pool_get_size:
 * @self: a pool
 *
 * Returns: how many children live; see #KcpPool:size
 */
guint
kcp_pool_get_size (KcpPool *self)
{
  g_return_val_if_fail (KCP_IS_POOL (self), 0);

  return self->actors->len;
}

/**
 * kcp_pool_get_ready:
 * @self: a pool
 *
 * Returns: how many children take calls
 */
guint
kcp_pool_get_ready (KcpPool *self)
{
  guint ready = 0;

  g_return_val_if_fail (KCP_IS_POOL (self), 0);

  for (guint i = 0; i < self->slots->len; i++)
    ready += kcp_pool_member_takes_calls (kcp_pool_slot (self, i)->active);
  return ready;
}

/**
 * kcp_pool_get_in_flight:
 * @self: a pool
 *
 * Returns: how many calls have no answer yet; see #KcpPool:in-flight
 */
guint
kcp_pool_get_in_flight (KcpPool *self)
{
  guint calls;

  g_return_val_if_fail (KCP_IS_POOL (self), 0);

  calls = self->queue.length;
  for (guint i = 0; i < self->actors->len; i++)
    calls += kcp_actor_get_in_flight (self->actors->pdata[i]);
  return calls;
}

/**
 * kcp_pool_get_waiting:
 * @self: a pool
 *
 * Returns: how many calls wait for a child
 */
guint
kcp_pool_get_waiting (KcpPool *self)
{
  g_return_val_if_fail (KCP_IS_POOL (self), 0);

  return self->queue.length;
}

/**
 * kcp_pool_get_restarts:
 * @self: a pool
 *
 * Returns: how many children were started in place of a failed one
 */
guint
kcp_pool_get_restarts (KcpPool *self)
{
  g_return_val_if_fail (KCP_IS_POOL (self), 0);

  return self->restarts;
}

/**
 * kcp_pool_get_last_report:
 * @self: a pool
 *
 * Returns: (transfer none) (nullable): how the last child ended that was not asked to
 */
KcpExitReport *
kcp_pool_get_last_report (KcpPool *self)
{
  g_return_val_if_fail (KCP_IS_POOL (self), NULL);

  return self->last_report;
}
