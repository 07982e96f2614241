/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-pool-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/*   started ──ready──► in a slot ──► draining ──no calls left, or too late──► stopping ──► gone
 *      └──cannot──► gone    └──dies──► gone
 */

/* How often a draining child is looked at: the program may ask its actor without the pool. */
#define DRAIN_LOOK_US (100 * 1000)
#define WEIGH_US (100 * 1000)

KcpPoolMember *
kcp_pool_member_ref (KcpPoolMember *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
kcp_pool_member_unref (KcpPoolMember *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;

  g_clear_object (&self->start);
  g_clear_object (&self->actor);
  g_free (self);
}

static void
leave_slot (KcpPoolMember *self)
{
  KcpPoolSlot *slot;

  if (self->slot == KCP_POOL_NO_SLOT)
    return;

  slot = kcp_pool_slot (self->pool, self->slot);
  if (slot->active == self)
    slot->active = NULL;
  if (slot->coming == self)
    slot->coming = NULL;
  self->slot = KCP_POOL_NO_SLOT;
}

void
kcp_pool_member_forget (KcpPoolMember *self)
{
  if (self->pool == NULL)
    return;

  leave_slot (self);
  for (guint i = 0; i < G_N_ELEMENTS (self->handlers); i++)
    if (self->handlers[i])
      g_signal_handler_disconnect (self->actor, self->handlers[i]);
  memset (self->handlers, 0, sizeof self->handlers);
  self->pool = NULL;
}

/* Out of the pool, and then out of the list. */
static void
leave (KcpPoolMember *self)
{
  g_autoptr (KcpPool) pool = self->pool ? g_object_ref (self->pool) : NULL;
  g_autoptr (KcpPoolMember) keep = kcp_pool_member_ref (self);

  if (pool == NULL)
    return;

  kcp_pool_member_forget (self);
  g_ptr_array_remove (pool->members, self);
  kcp_pool_touch (pool);
  if (self->actor)
    kcp_pool_list_remove (pool, self->actor);
}

/* ---- what the actor tells ---- */

static void
on_exited (KcpActor      *actor,
           KcpExitReport *report,
           KcpPoolMember *member)
{
  g_autoptr (KcpPoolMember) self = kcp_pool_member_ref (member);
  g_autoptr (KcpPool) pool = g_object_ref (self->pool);
  KcpExitReason reason = kcp_exit_report_get_reason (report);
  gboolean asked = self->stopping || reason == KCP_EXIT_STOPPED || (reason == KCP_EXIT_KILLED && !self->hung);
  gboolean replaced = self->for_replacement;
  guint slot = self->slot;

  /* One that was leaving is not missed. */
  if (!self->stopping && !self->draining && kcp_pool_is_up (pool))
    kcp_pool_take_failure (pool, slot, self->ready_at, !asked && !self->counted);
  leave (self);
  if (!asked)
    kcp_pool_take_report (pool, report);
  if (replaced)
    {
      g_autoptr (GError) error = g_error_new_literal (KCP_ERROR, KCP_ERROR_CHILD_EXITED,
                                                      kcp_exit_report_get_summary (report));

      kcp_pool_replacement_take (pool, error);
    }
  kcp_pool_tell_exited (pool, actor, report);
}

/* The program has stopped it. */
static void
on_state (KcpActor      *actor,
          GParamSpec    *pspec,
          KcpPoolMember *self)
{
  kcp_pool_touch (self->pool);
}

static void
on_responsive (KcpActor      *actor,
               GParamSpec    *pspec,
               KcpPoolMember *self)
{
  KcpPool *pool = self->pool;

  kcp_pool_touch (pool);
  if (kcp_actor_get_responsive (actor) || self->hung)
    return;

  self->hung = TRUE;
  KCP_DEBUG (KCP_DEBUG_CHILD, "pool: child %d hangs", kcp_actor_get_pid (actor));
  if (pool->settings.kill_unresponsive)
    {
      self->broken = TRUE;
      kcp_actor_kill (actor);
    }
  else if (self->draining)
    self->drain_until = 0;
  else if (!self->stopping && kcp_pool_is_up (pool))
    {
      self->outdated = TRUE;
      self->counted = TRUE;
      kcp_pool_take_failure (pool, self->slot, self->ready_at, TRUE);
    }
}

/* ---- start ---- */

/* From now on it is asked. Its predecessor finishes what it has. */
static void
take_slot (KcpPoolMember *self)
{
  KcpPoolSlot *slot = kcp_pool_slot (self->pool, self->slot);
  KcpPoolMember *old = slot->active;

  slot->coming = NULL;
  slot->active = self;
  if (old)
    {
      old->slot = KCP_POOL_NO_SLOT;
      kcp_pool_member_drain (old);
    }
}

static void
take_actor (KcpPoolMember *self,
            KcpActor      *actor)
{
  g_autoptr (KcpPool) pool = g_object_ref (self->pool);

  self->actor = actor;
  self->ready_at = g_get_monotonic_time ();
  self->handlers[0] = g_signal_connect (actor, "exited", G_CALLBACK (on_exited), self);
  self->handlers[1] = g_signal_connect (actor, "notify::state", G_CALLBACK (on_state), self);
  self->handlers[2] = g_signal_connect (actor, "notify::responsive", G_CALLBACK (on_responsive), self);

  /* It may have died while the news of its start was on the way: nobody will be told of it. */
  if (kcp_actor_get_exit_report (actor))
    {
      on_exited (actor, kcp_actor_get_exit_report (actor), self);
      return;
    }

  if (self->stopping)
    {
      /* Too late: it was given up while its answer was on the way. */
      self->stopping = FALSE;
      kcp_pool_member_stop (self);
    }
  else if (self->slot != KCP_POOL_NO_SLOT)
    take_slot (self);

  kcp_pool_touch (pool);
  kcp_pool_list_add (pool, actor);
  if (self->for_replacement)
    kcp_pool_replacement_take (pool, NULL);
  kcp_pool_pump (pool);
}

static void
take_error (KcpPoolMember *self,
            const GError  *error)
{
  g_autoptr (KcpPool) pool = g_object_ref (self->pool);
  gboolean for_replacement = self->for_replacement;
  guint slot = self->slot;
  gboolean given_up = self->stopping;

  leave (self);
  if (given_up)
    return;

  KCP_DEBUG (KCP_DEBUG_CHILD, "pool: a child does not start: %s", error->message);
  if (for_replacement)
    kcp_pool_replacement_take (pool, error);
  else
    {
      g_clear_error (&pool->last_error);
      pool->last_error = g_error_copy (error);
      kcp_pool_take_failure (pool, slot, 0, TRUE);
    }
}

static void
on_spawned (GObject      *launcher,
            GAsyncResult *result,
            gpointer      data)
{
  g_autoptr (KcpPoolMember) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpActor) actor = kcp_launcher_spawn_finish (KCP_LAUNCHER (launcher), result, &error);

  g_clear_object (&self->start);
  /* Nobody waits for it any more: dropping the actor stops the child. */
  if (self->pool == NULL)
    return;

  if (actor)
    take_actor (self, g_steal_pointer (&actor));
  else
    take_error (self, error);
}

/* For a slot, or without one for the replacement. It is in all tables before the launcher is
 * asked, which tells its own users. */
void
kcp_pool_member_start (KcpPool     *pool,
                       KcpLauncher *launcher,
                       guint        generation,
                       guint        slot)
{
  KcpPoolMember *self = g_new0 (KcpPoolMember, 1);

  g_ref_count_init (&self->ref_count);
  self->pool = pool;
  self->slot = slot;
  self->generation = generation;
  self->max_in_flight = kcp_launcher_settings (launcher)->max_in_flight;
  self->start = g_cancellable_new ();
  self->for_replacement = slot == KCP_POOL_NO_SLOT;
  if (slot != KCP_POOL_NO_SLOT)
    kcp_pool_slot (pool, slot)->coming = self;
  g_ptr_array_add (pool->members, self);
  kcp_launcher_spawn_async (launcher, self->start, on_spawned, kcp_pool_member_ref (self));
}

/* ---- the end ---- */

void
kcp_pool_member_drain (KcpPoolMember *self)
{
  int timeout = self->pool->settings.drain_timeout;

  leave_slot (self);
  self->draining = TRUE;
  /* One that hangs keeps its calls until their own deadlines: draining is not a way to kill it. */
  if (timeout > 0 && !self->hung)
    self->drain_until = g_get_monotonic_time () + (gint64) timeout * 1000;
  kcp_pool_touch (self->pool);
}

static void
on_stopped (GObject      *actor,
            GAsyncResult *result,
            gpointer      data)
{
  g_autoptr (KcpPoolMember) self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (KcpExitReport) report = kcp_actor_stop_finish (KCP_ACTOR (actor), result, &error);

  /* With a report, its exit is told as well. */
  if (report || self->pool == NULL)
    return;

  if (self->pool->stop_error == NULL)
    self->pool->stop_error = g_steal_pointer (&error);
  leave (self);
}

void
kcp_pool_member_stop (KcpPoolMember *self)
{
  if (self->stopping)
    return;

  self->stopping = TRUE;
  leave_slot (self);
  if (self->actor)
    kcp_actor_stop_async (self->actor, NULL, on_stopped, kcp_pool_member_ref (self));
  else
    g_cancellable_cancel (self->start);
}

/* Drained enough: nothing is under way, or it has taken too long. */
static gboolean
is_drained (KcpPoolMember *self,
            gint64         now)
{
  if (kcp_actor_get_in_flight (self->actor) == 0)
    return TRUE;

  return self->drain_until > 0 && self->drain_until <= now;
}

gboolean
kcp_pool_step_members (KcpPool *pool)
{
  gint64 now = g_get_monotonic_time ();

  for (guint i = 0; i < pool->members->len; i++)
    {
      KcpPoolMember *self = pool->members->pdata[i];

      if (!self->draining || self->stopping)
        continue;
      if (is_drained (self, now))
        {
          kcp_pool_member_stop (self);
          return TRUE;
        }
      kcp_pool_arm (pool, now + DRAIN_LOOK_US);
    }

  return FALSE;
}

/* ---- calls ---- */

gboolean
kcp_pool_member_takes_calls (KcpPoolMember *self)
{
  return self && self->actor && !self->draining && !self->stopping && !self->broken &&
         kcp_actor_get_state (self->actor) == KCP_ACTOR_READY;
}

/* Resident memory of a process; 0: not known. */
static gsize
weigh (int pid)
{
  char path[32], text[128];
  unsigned long long pages = 0;
  gssize length;
  int fd;

  g_snprintf (path, sizeof path, "/proc/%d/statm", pid);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;

  length = read (fd, text, sizeof text - 1);
  close (fd);
  if (length <= 0)
    return 0;

  text[length] = '\0';
  /* proc(5): size resident shared … in pages. */
  if (sscanf (text, "%*u %llu", &pages) != 1)
    return 0;

  return (gsize) pages * (gsize) sysconf (_SC_PAGESIZE);
}

static gboolean
is_too_heavy (KcpPoolMember *self)
{
  gsize limit = self->pool->settings.recycle_memory;
  gint64 now;

  if (limit == 0)
    return FALSE;

  now = g_get_monotonic_time ();
  if (self->weighed_at > 0 && now - self->weighed_at < WEIGH_US)
    return FALSE;

  self->weighed_at = now;
  return weigh (kcp_actor_get_pid (self->actor)) > limit;
}

void
kcp_pool_member_count_call (KcpPoolMember *self)
{
  KcpPool *pool = self->pool;

  if (pool == NULL || self->stopping)
    return;

  if (self->draining)
    {
      if (kcp_actor_get_in_flight (self->actor) == 0)
        kcp_pool_touch (pool);
    }
  else if (!self->outdated &&
           ((pool->settings.recycle_calls > 0 && self->calls >= pool->settings.recycle_calls) ||
            is_too_heavy (self)))
    {
      self->outdated = TRUE;
      kcp_pool_touch (pool);
    }
}
