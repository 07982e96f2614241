/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-link-state-private.h"

/* Threads that block for a call. At home (in a dispatch of the link's context) one looks after the
 * link and nothing else until the call is done. Elsewhere one is a guest: while somebody runs the
 * context, the guest sleeps at the door of his call; while nobody does, he takes the context for
 * as long as there is something to do, never while he sleeps, so that its owner can come back at
 * any time. */

/* A guest that has found somebody at home looks again after this time: home may have been left.
 * In a child home is the main thread for good. */
#define LOOK_AGAIN_MS 50

void
kcp_link_watch (KcpLink       *self,
                int          (*get_fd) (gpointer data),
                KcpInboxFunc   func,
                gpointer       data)
{
  KcpLinkWatch watch = { get_fd, func, data };

  g_array_append_val (self->watches, watch);
}

/* ---- sleeping ---- */

/* What a sleep is for; the watches are the last ones. */
typedef struct
{
  GArray *fds;
  guint first_watch;
  int timeout;               /* ms; < 0: none */
} Sleep;

static void
add_fd (Sleep        *sleep,
        int           fd,
        GIOCondition  condition)
{
  GPollFD poll_fd = { fd, condition, 0 };   /* a negative one is passed over by poll() */

  g_array_append_val (sleep->fds, poll_fd);
}

static int
time_until (gint64 at)
{
  gint64 left = (at - g_get_monotonic_time () + 999) / 1000;

  return (int) CLAMP (left, 0, G_MAXINT);
}

static void
wake_until (Sleep  *sleep,
            gint64  at)
{
  if (at > 0)
    sleep->timeout = sleep->timeout < 0 ? time_until (at) : MIN (sleep->timeout, time_until (at));
}

/* At home: all that concerns the link. */
static void
add_link (KcpLink *self,
          Sleep   *sleep)
{
  if (kcp_channel_is_open (self->request))
    add_fd (sleep, kcp_channel_get_fd (self->request), kcp_channel_get_condition (self->request));
  if (kcp_channel_is_open (self->callback))
    add_fd (sleep, kcp_channel_get_fd (self->callback), kcp_channel_get_condition (self->callback));
  add_fd (sleep, kcp_inbox_get_fd (self->inbox), G_IO_IN);
  sleep->first_watch = sleep->fds->len;
  for (guint i = 0; i < self->watches->len; i++)
    {
      KcpLinkWatch *watch = &g_array_index (self->watches, KcpLinkWatch, i);

      add_fd (sleep, watch->get_fd (watch->data), G_IO_IN);
    }

  wake_until (sleep, kcp_link_clock_next (self));
}

/* At home. A descriptor that was closed meanwhile is another one now. */
static void
tell_watches (KcpLink *self,
              Sleep   *sleep)
{
  for (guint i = sleep->first_watch; i < sleep->fds->len && !self->closed; i++)
    {
      GPollFD *fd = &g_array_index (sleep->fds, GPollFD, i);
      KcpLinkWatch watch = g_array_index (self->watches, KcpLinkWatch, i - sleep->first_watch);

      if (fd->revents && watch.get_fd (watch.data) == fd->fd)
        watch.func (watch.data);
    }
}

static void
fall_asleep (Sleep *sleep)
{
  g_poll ((GPollFD *) (gpointer) sleep->fds->data, sleep->fds->len, sleep->timeout);
}

/* ---- looking after the link ---- */

/* Of what was put off, that which @call, or whoever else waits, needs by now: an inner wait may
 * have put off what the outer one waits for. */
static void
run_needed (KcpLink *self,
            KcpCall *call)
{
  GList *next;

  for (GList *l = self->deferred.head; l && !call->done && !self->closed; l = next)
    {
      KcpLinkDeferred *deferred = l->data;

      next = l->next;
      if (deferred->parent == 0 || !kcp_link_may_run (self, deferred->parent))
        continue;

      g_queue_delete_link (&self->deferred, l);
      kcp_link_schedule_deferred (self);
      deferred->func (deferred->data);
      kcp_link_free_deferred (deferred);
      next = self->deferred.head;   /* the list may be another */
    }
}

static gboolean
goes_on (KcpLink *self,
         KcpCall *call)
{
  return !self->closed && !call->done;
}

/* Takes in what is there. FALSE: nothing was. */
static gboolean
look (KcpLink *self,
      KcpCall *call)
{
  gboolean busy;

  run_needed (self, call);
  busy = goes_on (self, call) && kcp_channel_run (self->callback);
  if (!self->closed)
    kcp_channel_release_held (self->request);
  if (goes_on (self, call))
    busy |= kcp_channel_run (self->request);

  return busy;
}

/* Also when the other side keeps us busy: a flood puts off neither a cancellation nor a deadline. */
static void
look_at_rest (KcpLink *self,
              KcpCall *call)
{
  if (goes_on (self, call))
    kcp_inbox_take (self->inbox);
  if (goes_on (self, call))
    kcp_link_clock_check (self);
}

static KcpCall *
shut_gate (KcpLink *self,
           KcpCall *call)
{
  KcpCall *gate = self->gate;

  self->gate = call;
  self->waits++;
  return gate;
}

static void
open_gate (KcpLink *self,
           KcpCall *gate)
{
  self->waits--;
  self->gate = gate;
}

static void
home_round (KcpLink *self,
            KcpCall *call)
{
  KcpCall *gate;

  if (self->closed)
    return;

  gate = shut_gate (self, call);
  if (!look (self, call) && goes_on (self, call))
    {
      g_autoptr (GArray) fds = g_array_new (FALSE, FALSE, sizeof (GPollFD));
      Sleep sleep = { fds, 0, -1 };

      add_link (self, &sleep);
      fall_asleep (&sleep);
      tell_watches (self, &sleep);
    }
  look_at_rest (self, call);
  open_gate (self, gate);
}

/* Takes the context, if nobody runs it. FALSE: somebody does. */
static gboolean
visit_home (KcpLink  *self,
            KcpCall  *call,
            Sleep    *sleep,
            gboolean *busy)
{
  KcpVisit visit;
  KcpCall *gate;

  if (!kcp_inbox_enter (self->inbox, &visit))
    return FALSE;

  gate = shut_gate (self, call);
  *busy = look (self, call);
  look_at_rest (self, call);
  if (!*busy && goes_on (self, call))
    add_link (self, sleep);
  open_gate (self, gate);
  kcp_inbox_leave (self->inbox, &visit);
  return TRUE;
}

static void
guest_round (KcpLink *self,
             KcpCall *call)
{
  g_autoptr (GArray) fds = g_array_new (FALSE, FALSE, sizeof (GPollFD));
  Sleep sleep = { fds, G_MAXUINT, -1 };
  KcpInbox *door = call->door;
  gboolean busy = FALSE;
  KcpVisit visit;

  if (!visit_home (self, call, &sleep, &busy) && self->side == KCP_LINK_HOST)
    sleep.timeout = LOOK_AGAIN_MS;
  if (busy || g_atomic_int_get (&call->done))
    return;

  /* The watches stay the last ones. */
  g_array_insert_val (fds, 0, ((GPollFD) { kcp_inbox_get_fd (door), G_IO_IN, 0 }));
  if (sleep.first_watch < G_MAXUINT)
    sleep.first_watch++;
  wake_until (&sleep, call->give_up_at);
  fall_asleep (&sleep);

  if (sleep.first_watch < fds->len && kcp_inbox_enter (self->inbox, &visit))
    {
      KcpCall *gate = shut_gate (self, call);

      tell_watches (self, &sleep);
      open_gate (self, gate);
      kcp_inbox_leave (self->inbox, &visit);
    }
  kcp_inbox_take (door);
}

gpointer
kcp_link_keep (gpointer owner)
{
  return kcp_link_ref (owner);
}

void
kcp_link_let_go (gpointer owner)
{
  kcp_link_unref (owner);
}

/* One round of a wait that kcp_call_begin_wait() has begun: takes in what is there, or sleeps until
 * something is. Only for @call and what descends from it does user code run, or for what another
 * thread blocks for; the rest waits until the context is run again. */
void
kcp_link_wait_round (gpointer  owner,
                     KcpCall  *call)
{
  g_autoptr (KcpLink) self = kcp_link_ref (owner);

  if (call->door == NULL || call->waiter != g_thread_self ())
    home_round (self, call);
  else
    guest_round (self, call);
}
