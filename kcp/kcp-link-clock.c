/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

#include "kcp-debug-private.h"

/* A ping is sent after this long without a sign of life, while calls are open. */
#define QUIET_US (1 * G_USEC_PER_SEC)
/* Without an answer for this long the other side counts as unresponsive. */
#define UNRESPONSIVE_US (3 * G_USEC_PER_SEC)

/* Only ever sooner: a timer that goes off for a deadline long gone costs less than moving it
 * with each call. */
void
kcp_link_clock_arm (KcpLink *self,
                    gint64   at)
{
  if (at <= 0 || (self->timer_at > 0 && self->timer_at <= at))
    return;

  self->timer_at = at;
  if (self->timer)
    g_source_set_ready_time (self->timer, at);
}

gint64
kcp_link_clock_next (KcpLink *self)
{
  return self->timer_at;
}

static gint64
last_input (KcpLink *self)
{
  return MAX (kcp_channel_get_last_input (self->request), kcp_channel_get_last_input (self->callback));
}

/* Only the host asks, and only while it waits for something. An idle pair costs nothing. */
static gboolean
wants_pings (KcpLink *self)
{
  return self->side == KCP_LINK_HOST && kcp_channel_count_calls (self->out) > 0 &&
         kcp_channel_is_open (self->request);
}

void
kcp_link_clock_call (KcpLink *self)
{
  if (self->side == KCP_LINK_HOST && kcp_channel_count_calls (self->out) == 1)
    kcp_link_clock_arm (self, g_get_monotonic_time () + QUIET_US);
}

/* Runs user code, so not in a blocking wait; after one, the owner hears how it is by then. */
static void
tell_responsive (gpointer data)
{
  KcpLink *self = data;

  if (self->closed || self->told_responsive == self->responsive)
    return;

  self->told_responsive = self->responsive;
  self->ops->responsive (self->owner, self->responsive);
}

static void
set_responsive (KcpLink  *self,
                gboolean  responsive)
{
  if (self->responsive == responsive)
    return;

  self->responsive = responsive;
  KCP_DEBUG (KCP_DEBUG_CHILD, "the other side %s", responsive ? "answers again" : "does not answer pings");
  if (self->ops->responsive)
    kcp_link_when_free (self, tell_responsive, kcp_link_ref (self), (GDestroyNotify) kcp_link_unref);
}

void
kcp_link_clock_pong (KcpLink *self)
{
  self->ping_at = 0;
  set_responsive (self, TRUE);
}

/* Signs of life other than a PONG do not clear @ping_at: a handler that floods items while its
 * main loop answers nothing is not distinguished from one that answers late. */
static void
check_pings (KcpLink *self,
             gint64   now)
{
  if (!wants_pings (self))
    return;

  if (self->ping_at > 0)
    {
      if (now - MAX (self->ping_at, last_input (self)) >= UNRESPONSIVE_US)
        set_responsive (self, FALSE);
    }
  else if (now - last_input (self) >= QUIET_US)
    {
      self->ping_at = now;
      kcp_channel_send_link_frame (self->request, KCP_FRAME_PING, NULL);
    }
}

/* When check_pings() has something to do; 0: never, as things are. */
static gint64
next_ping_check (KcpLink *self,
                 gint64   now)
{
  if (!wants_pings (self))
    return 0;
  if (self->ping_at > 0)
    return MAX (now + QUIET_US, self->ping_at + UNRESPONSIVE_US);

  return last_input (self) + QUIET_US;
}

static void
arm_anew (KcpLink *self,
          gint64   now)
{
  self->timer_at = 0;
  if (self->timer)
    g_source_set_ready_time (self->timer, -1);
  kcp_link_clock_arm (self, kcp_deadlines_next (&self->deadlines));
  kcp_link_clock_arm (self, next_ping_check (self, now));
}

/* Everything that is due. What has arrived was taken in before. User code may run a main loop or
 * block: the clock is set before, so that what else is due comes there. */
static void
run_due (KcpLink *self)
{
  gint64 now = g_get_monotonic_time ();

  arm_anew (self, now);
  kcp_deadlines_run (&self->deadlines, now);
  if (!self->closed)
    check_pings (self, now);
  if (!self->closed)
    arm_anew (self, now);
}

/* Whatever is judged by its absence is judged after a look at what has arrived meanwhile: a
 * program that was busy itself must not find its child late. The look may run user code, and that
 * a main loop: the clock stays armed for as long, and goes off there. */
void
kcp_link_clock_check (KcpLink *self)
{
  if (self->timer_at == 0 || self->timer_at > g_get_monotonic_time ())
    return;

  kcp_link_drain (self);
  if (!self->closed)
    run_due (self);
}

static gboolean
on_timer (gpointer data)
{
  g_autoptr (KcpLink) self = kcp_link_ref (data);
  KcpCall *gate = kcp_link_enter_loop (self);

  kcp_link_clock_check (self);
  kcp_link_leave_loop (self, gate);
  return G_SOURCE_CONTINUE;
}

static gboolean
timer_dispatch (GSource     *source,
                GSourceFunc  callback,
                gpointer     data)
{
  return callback (data);
}

static GSourceFuncs timer_funcs = { .dispatch = timer_dispatch };

void
kcp_link_clock_start (KcpLink *self)
{
  self->timer = g_source_new (&timer_funcs, sizeof (GSource));
  g_source_set_static_name (self->timer, "kcp link clock");
  g_source_set_callback (self->timer, on_timer, self, NULL);
  g_source_set_can_recurse (self->timer, TRUE);
  g_source_set_ready_time (self->timer, self->timer_at > 0 ? self->timer_at : -1);
  g_source_attach (self->timer, self->context);
}

void
kcp_link_clock_stop (KcpLink *self)
{
  if (self->timer)
    g_source_destroy (self->timer);
  g_clear_pointer (&self->timer, g_source_unref);
}
