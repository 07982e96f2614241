/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

#include "kcp-debug-private.h"

/* How many children there should be. A slot is wanted or not; from that follows what is started
 * and what is drained. */

void
kcp_pool_want (KcpPool  *self,
               guint     index,
               gboolean  wanted)
{
  KcpPoolSlot *slot = kcp_pool_slot (self, index);

  if (slot->wanted == wanted)
    return;

  slot->wanted = wanted;
  if (wanted)
    self->wanted++;
  else
    self->wanted--;
}

/* The lowest that is free, so that keys keep to the same few slots. */
guint
kcp_pool_want_more (KcpPool *self)
{
  guint index = 0;

  while (index < self->slots->len && kcp_pool_slot (self, index)->wanted)
    index++;
  if (index == self->slots->len)
    g_array_set_size (self->slots, index + 1);
  kcp_pool_want (self, index, TRUE);
  kcp_pool_touch (self);
  return index;
}

void
kcp_pool_want_none (KcpPool *self)
{
  for (guint i = 0; i < self->slots->len; i++)
    kcp_pool_want (self, i, FALSE);
  self->idle_at = 0;
}

static guint
count_calls (KcpPoolSlot *slot)
{
  return slot->active ? kcp_actor_get_in_flight (slot->active->actor) : 0;
}

/* The slot to give up: one that serves nobody yet, else the highest one with no calls, else with
 * few. */
static guint
find_superfluous (KcpPool *self)
{
  guint best = KCP_POOL_NO_SLOT;

  for (guint i = self->slots->len; i-- > 0;)
    {
      KcpPoolSlot *slot = kcp_pool_slot (self, i);

      if (!slot->wanted)
        continue;
      if (slot->active == NULL)
        return i;
      if (best == KCP_POOL_NO_SLOT || count_calls (slot) < count_calls (kcp_pool_slot (self, best)))
        best = i;
    }

  return best;
}

/* ---- failures ---- */

static guint
crash_limit (KcpPool *self)
{
  return self->settings.crash_limit == KCP_POOL_CRASHES_BY_SIZE ? 3 * self->settings.max
                                                                 : self->settings.crash_limit;
}

static void
count_crash (KcpPool *self,
             gint64   now)
{
  gint64 window = (gint64) self->settings.crash_window * 1000;
  guint limit = crash_limit (self);
  guint old = 0;

  g_array_append_val (self->crashes, now);
  while (old < self->crashes->len && g_array_index (self->crashes, gint64, old) < now - window)
    old++;
  g_array_remove_range (self->crashes, 0, old);

  if (limit > 0 && self->crashes->len > limit)
    {
      KCP_DEBUG (KCP_DEBUG_CHILD, "pool: %u failures, no more children are started", self->crashes->len);
      self->given_up = TRUE;
    }
  else if (limit == 0)
    g_array_set_size (self->crashes, 0);
}

void
kcp_pool_take_failure (KcpPool  *self,
                       guint     index,
                       gint64    ready_at,
                       gboolean  crash)
{
  gint64 now = g_get_monotonic_time ();

  if (crash)
    count_crash (self, now);
  if (index != KCP_POOL_NO_SLOT)
    {
      KcpPoolSlot *slot = kcp_pool_slot (self, index);
      gint64 longest = (gint64) self->settings.backoff_longest * 1000;
      gint64 delay;

      if (ready_at > 0 && now - ready_at > longest)
        slot->failures = 0;
      delay = (gint64) self->settings.backoff_first * 1000;
      for (guint i = 0; i < slot->failures && delay < longest; i++)
        delay *= 2;
      delay = MIN (delay, longest);
      slot->failures++;
      slot->failed = TRUE;
      slot->retry_at = now + delay + g_random_int_range (0, (int) (delay / 4 + 1));
    }
  kcp_pool_touch (self);
}

void
kcp_pool_forgive (KcpPool *self)
{
  self->given_up = FALSE;
  g_array_set_size (self->crashes, 0);
  for (guint i = 0; i < self->slots->len; i++)
    {
      KcpPoolSlot *slot = kcp_pool_slot (self, i);

      slot->failures = 0;
      slot->failed = FALSE;
      slot->retry_at = 0;
    }
}

/* ---- steps ---- */

static gboolean
needs_child (KcpPool     *self,
             KcpPoolSlot *slot)
{
  if (slot->coming)
    return FALSE;

  return slot->active == NULL || slot->active->outdated || slot->active->generation != self->generation;
}

/* Whether a child may be started for it now. */
static gboolean
may_start (KcpPool     *self,
           KcpPoolSlot *slot)
{
  /* A pool whose first children do not come up fails, rather than going on trying. */
  if (self->given_up || (self->state == KCP_POOL_STARTING && slot->failures > 0))
    return FALSE;

  if (slot->retry_at > g_get_monotonic_time ())
    {
      kcp_pool_arm (self, slot->retry_at);
      return FALSE;
    }

  return TRUE;
}

static gboolean
step_slot (KcpPool *self,
           guint    index,
           guint   *spawns)
{
  KcpPoolSlot *slot = kcp_pool_slot (self, index);
  gboolean failed;

  if (slot->coming && (!slot->wanted || slot->coming->generation != self->generation))
    {
      kcp_pool_member_stop (slot->coming);
      return TRUE;
    }
  if (slot->active && !slot->wanted)
    {
      kcp_pool_member_drain (slot->active);
      return TRUE;
    }
  if (!slot->wanted || *spawns == 0 || !needs_child (self, slot) || !may_start (self, slot))
    return FALSE;

  --*spawns;
  failed = slot->failed;
  slot->failed = FALSE;
  kcp_pool_member_start (self, self->launcher, self->generation, index);
  if (failed)
    kcp_pool_tell_restart (self);
  return TRUE;
}

gboolean
kcp_pool_step_slots (KcpPool *self,
                     guint   *spawns)
{
  if (!kcp_pool_is_up (self))
    return FALSE;

  if (self->wanted < self->settings.min)
    {
      kcp_pool_want_more (self);
      return TRUE;
    }
  if (self->wanted > self->settings.max)
    {
      kcp_pool_want (self, find_superfluous (self), FALSE);
      return TRUE;
    }

  for (guint i = 0; i < self->slots->len; i++)
    if (step_slot (self, i, spawns))
      return TRUE;

  return FALSE;
}

/* Children that even the busiest moment of an idle time has not needed. With equals taking turns,
 * none is ever idle for long itself. */
gboolean
kcp_pool_step_idle (KcpPool *self)
{
  gint64 now = g_get_monotonic_time ();
  guint needed;

  if (!kcp_pool_is_up (self) || self->wanted <= self->settings.min || self->settings.idle_timeout == 0)
    {
      self->idle_at = 0;
      return FALSE;
    }

  if (self->idle_at > now)
    {
      kcp_pool_arm (self, self->idle_at);
      return FALSE;
    }

  needed = self->idle_at > 0 ? MAX (self->settings.min, self->peak) : self->wanted;
  while (self->wanted > needed)
    kcp_pool_want (self, find_superfluous (self), FALSE);
  self->peak = kcp_pool_count_busy (self);
  self->idle_at = now + (gint64) self->settings.idle_timeout * 1000;
  return TRUE;
}
