/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-call-private.h"

#include "kcp-current-private.h"
#include "kcp-error.h"
#include "kcp-message-private.h"

/* What comes for a call and how its user takes it, from whichever thread: items, and waits. */

/* ---- items ---- */

static gsize
item_size (KcpMessage *item)
{
  GBytes *body = kcp_message_get_frame_body (item, NULL);

  return body ? g_bytes_get_size (body) : 0;
}

gboolean
kcp_call_take_item (KcpCall    *self,
                    KcpMessage *item)
{
  gsize size = self->credit ? item_size (item) : 0;
  gboolean fits;

  if (self->done)
    {
      kcp_message_unref (item);
      return TRUE;
    }

  if (!self->wants_items)
    {
      kcp_message_unref (item);
      kcp_call_abandon (self, g_error_new (KCP_ERROR, KCP_ERROR_INVALID_MESSAGE,
                                           "call “%s”: the answer is a stream of items; ask for it as a stream",
                                           self->path));
      return TRUE;
    }

  kcp_call_lock (self);
  fits = !self->credit || kcp_window_fits (&self->window, size);
  if (fits && self->credit)
    kcp_window_take (&self->window, size);
  if (fits)
    g_queue_push_tail (&self->items, item);
  kcp_call_unlock (self);

  if (!fits)
    {
      kcp_message_unref (item);
      return FALSE;
    }

  kcp_call_wake (self);
  kcp_call_deliver (self, self->owner);
  return TRUE;
}

/* What was taken in elsewhere and goes back at home. */
typedef struct
{
  KcpCall *call;
  guint items;
  gsize bytes;
} Credit;

static void
give_credit (gpointer data)
{
  Credit *credit = data;

  if (!credit->call->done)
    credit->call->ops->credit (credit->call->owner, credit->call, credit->items, credit->bytes);
}

static void
free_credit (gpointer data)
{
  g_object_unref (((Credit *) data)->call);
  g_free (data);
}

/* Credit goes back when half of the window is used up: not a frame for each item, and the producer
 * need not stand still. */
static void
count_taken (KcpCall    *self,
             KcpMessage *item,
             Credit     *due)
{
  self->owed_items++;
  self->owed_bytes += item_size (item);
  if (self->owed_items * 2 < self->window.max_items && self->owed_bytes * 2 < self->window.max_bytes)
    return;

  kcp_window_give (&self->window, self->owed_items, self->owed_bytes);
  due->items = self->owed_items;
  due->bytes = self->owed_bytes;
  self->owed_items = 0;
  self->owed_bytes = 0;
}

static KcpMessage *
pop_locked (KcpCall *self,
            Credit  *due)
{
  KcpMessage *item = g_queue_pop_head (&self->items);

  if (item && self->credit && !g_atomic_int_get (&self->done))
    count_taken (self, item, due);

  return item;
}

static void
pay (KcpCall *self,
     Credit   due)
{
  if (due.items == 0)
    return;

  due.call = g_object_ref (self);
  kcp_inbox_run (self->inbox, give_credit, g_memdup2 (&due, sizeof due), free_credit);
}

KcpMessage *
kcp_call_pop_item (KcpCall *self)
{
  Credit due = { NULL, 0, 0 };
  KcpMessage *item;

  kcp_call_lock (self);
  item = pop_locked (self, &due);
  kcp_call_unlock (self);
  pay (self, due);
  return item;
}

gboolean
kcp_call_take_next (KcpCall     *self,
                    GTask       *task,
                    KcpMessage **item,
                    GError     **error)
{
  Credit due = { NULL, 0, 0 };
  gboolean done;

  kcp_call_lock (self);
  done = g_atomic_int_get (&self->done);
  *item = pop_locked (self, &due);
  if (*item == NULL && !done && task)
    self->waiting_task = g_object_ref (task);
  kcp_call_unlock (self);
  pay (self, due);

  if (*item)
    return TRUE;
  if (done && self->error)
    g_propagate_error (error, g_error_copy (self->error));
  return done;
}

/* Whether an item or the end is there. */
gboolean
kcp_call_has_next (KcpCall *self)
{
  gboolean has;

  kcp_call_lock (self);
  has = !g_queue_is_empty (&self->items) || self->done;
  kcp_call_unlock (self);
  return has;
}

void
kcp_call_drop_items (KcpCall *self)
{
  GQueue items;

  kcp_call_lock (self);
  items = self->items;
  g_queue_init (&self->items);
  kcp_call_unlock (self);
  g_queue_clear_full (&items, (GDestroyNotify) kcp_message_unref);
}

GTask *
kcp_call_steal_task (KcpCall *self,
                     GTask   *task)
{
  GTask *waiting = NULL;

  kcp_call_lock (self);
  if (task == NULL || self->waiting_task == task)
    waiting = g_steal_pointer (&self->waiting_task);
  kcp_call_unlock (self);
  return waiting;
}

gboolean
kcp_call_has_task (KcpCall *self)
{
  gboolean has;

  kcp_call_lock (self);
  has = self->waiting_task != NULL;
  kcp_call_unlock (self);
  return has;
}

/* ---- waiting ---- */

static void
look_again (gpointer data)
{
  /* That the wait has woken up is all: it looks itself. */
}

/* Whoever blocks for it. */
void
kcp_call_wake (KcpCall *self)
{
  kcp_call_lock (self);
  if (self->door)
    kcp_inbox_post (self->door, look_again, NULL, NULL);
  kcp_call_unlock (self);
}

/* Runs in the thread that cancels: it only posts. */
static void
on_wait_cancelled (GCancellable *cancellable,
                   KcpInbox     *inbox)
{
  kcp_inbox_post (inbox, look_again, NULL, NULL);
}

void
kcp_call_begin_wait (KcpCall      *self,
                     KcpCallWait  *wait,
                     GCancellable *cancellable)
{
  KcpInbox *inbox = self->inbox;

  *wait = (KcpCallWait) { .cancellable = cancellable };
  if (!kcp_inbox_at_home (self->inbox))
    {
      kcp_call_lock (self);
      wait->previous_door = self->door;
      wait->previous_waiter = self->waiter;
      wait->previous_serves = self->door_serves;
      inbox = wait->door = self->door = kcp_inbox_new ();
      self->waiter = g_thread_self ();
      self->door_serves = kcp_current_get () != NULL;
      kcp_call_unlock (self);
    }
  if (cancellable)
    wait->cancel_handler = g_cancellable_connect (cancellable, G_CALLBACK (on_wait_cancelled),
                                                  kcp_inbox_ref (inbox), (GDestroyNotify) kcp_inbox_unref);
}

void
kcp_call_end_wait (KcpCall     *self,
                   KcpCallWait *wait)
{
  g_cancellable_disconnect (wait->cancellable, wait->cancel_handler);
  if (wait->door == NULL)
    return;

  kcp_call_lock (self);
  self->door = wait->previous_door;
  self->waiter = wait->previous_waiter;
  self->door_serves = wait->previous_serves;
  kcp_call_unlock (self);

  /* What it was given to do and has not begun goes back to who gave it. */
  kcp_inbox_close (wait->door);
  kcp_inbox_unref (wait->door);
}

/* It may be done, and its owner go, at any moment. */
void
kcp_call_wait_round (KcpCall *self)
{
  const KcpCallOps *ops;
  gpointer owner = NULL;

  kcp_call_lock (self);
  ops = self->ops;
  if (self->owner)
    owner = ops->ref (self->owner);
  kcp_call_unlock (self);
  if (owner == NULL)
    return;

  ops->wait (owner, self);
  ops->unref (owner);
}

gboolean
kcp_call_is_awaited (KcpCall *self)
{
  gboolean awaited;

  kcp_call_lock (self);
  awaited = self->waiter && self->waiter != g_thread_self ();
  kcp_call_unlock (self);
  return awaited;
}

KcpInbox *
kcp_call_find_server (KcpCall *self)
{
  KcpInbox *door;

  kcp_call_lock (self);
  door = self->door && self->door_serves ? kcp_inbox_ref (self->door) : NULL;
  kcp_call_unlock (self);
  return door;
}
