/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-invocation-state-private.h"

#include "kcp-error.h"
#include "kcp-message-private.h"

/* Room is when fewer items than this are on their way out. */
#define ROOM_ITEMS 32
/* What may be handed in beyond the window before the call fails: a producer that never looks. */
#define UNSENT_LIMIT (64 * 1024 * 1024)

/* ---- items that are not sent yet ---- */

static gboolean
has_room_locked (KcpInvocation *self)
{
  return self->unsent < ROOM_ITEMS;
}

/* FALSE: so much waits already that this is given up. */
static gboolean
hand_in (KcpInvocation *self,
         gsize          size)
{
  gboolean fits;

  g_mutex_lock (&self->lock);
  fits = self->unsent_bytes + size <= UNSENT_LIMIT || self->unsent == 0;
  if (fits)
    {
      self->unsent++;
      self->unsent_bytes += size;
    }
  g_mutex_unlock (&self->lock);

  return fits;
}

/* Completes those who wait for room; outside of the lock, for they run user code. */
static void
tell_room (GSList   *tasks,
           gboolean  open)
{
  for (GSList *l = tasks; l; l = l->next)
    if (open)
      g_task_return_boolean (l->data, TRUE);
    else
      g_task_return_new_error (l->data, G_IO_ERROR, G_IO_ERROR_CANCELLED, "nobody wants more items");

  g_slist_free_full (tasks, g_object_unref);
}

static void
item_left (KcpInvocation *self,
           gsize          size)
{
  GSList *tasks = NULL;

  g_mutex_lock (&self->lock);
  self->unsent--;
  self->unsent_bytes -= size;
  if (has_room_locked (self))
    {
      g_cond_broadcast (&self->room);
      tasks = g_steal_pointer (&self->room_tasks);
    }
  g_mutex_unlock (&self->lock);

  tell_room (tasks, TRUE);
}

/* ---- parts ---- */

static void
free_part (gpointer data)
{
  KcpAnswerPart *part = data;

  g_clear_pointer (&part->message, kcp_message_unref);
  g_clear_error (&part->error);
  kcp_invocation_release (part->invocation);
  g_free (part);
}

/* Takes @part, which has its turn. */
static void
send_part (KcpAnswerPart *part)
{
  KcpInvocation *self = part->invocation;

  if (part->kind == KCP_ANSWER_ITEM && self->credit)
    kcp_window_take (&self->window, part->size);
  if (self->owner)
    self->ops->answer (self->owner, self, part->kind, part->message, part->error);
  if (part->kind == KCP_ANSWER_ITEM)
    item_left (self, part->size);
  free_part (part);
}

static gboolean
may_go (KcpInvocation       *self,
        const KcpAnswerPart *part)
{
  return part->kind != KCP_ANSWER_ITEM || !self->credit || kcp_window_fits (&self->window, part->size);
}

/* In the link's thread: sends it, or puts it behind what waits already. An end waits for the
 * items before it. */
static void
take_part (gpointer data)
{
  KcpAnswerPart *part = data;
  KcpInvocation *self = part->invocation;

  if (g_queue_is_empty (&self->waiting) && may_go (self, part))
    send_part (part);
  else
    g_queue_push_tail (&self->waiting, part);
}

gboolean
kcp_invocation_take_credit (KcpInvocation *self,
                            guint          items,
                            gsize          bytes)
{
  if (!self->credit || !kcp_window_give (&self->window, items, bytes))
    return FALSE;

  kcp_invocation_keep (self);
  while (!g_queue_is_empty (&self->waiting) && may_go (self, g_queue_peek_head (&self->waiting)))
    send_part (g_queue_pop_head (&self->waiting));
  kcp_invocation_release (self);
  return TRUE;
}

void
kcp_invocation_set_window (KcpInvocation *self,
                           guint          items,
                           gsize          bytes)
{
  self->credit = TRUE;
  self->window.max_items = items;
  self->window.max_bytes = bytes;
}

void
kcp_invocation_drop_waiting (KcpInvocation *self)
{
  KcpAnswerPart *part;
  GSList *tasks;

  while ((part = g_queue_pop_head (&self->waiting)))
    {
      if (part->kind == KCP_ANSWER_ITEM)
        item_left (self, part->size);
      free_part (part);
    }

  g_mutex_lock (&self->lock);
  g_cond_broadcast (&self->room);
  tasks = g_steal_pointer (&self->room_tasks);
  g_mutex_unlock (&self->lock);
  tell_room (tasks, FALSE);
}

/* Takes @message and @error. From the link's own thread at once, from others by its inbox; what was
 * posted before goes before. */
static void
answer (KcpInvocation *self,
        KcpAnswer      kind,
        KcpMessage    *message,
        GError        *error,
        gsize          size)
{
  KcpAnswerPart *part = g_new (KcpAnswerPart, 1);
  KcpVisit visit;

  *part = (KcpAnswerPart) { self, message, error, size, kind };
  kcp_invocation_keep (self);
  if (kcp_inbox_is_empty (self->inbox) && kcp_inbox_enter (self->inbox, &visit))
    {
      g_autoptr (KcpInbox) inbox = kcp_inbox_ref (self->inbox);

      take_part (part);
      kcp_inbox_leave (inbox, &visit);
    }
  else
    kcp_inbox_post_take (self->inbox, take_part, part, free_part);
}

gboolean
kcp_invocation_answer_for_handler (KcpInvocation *self,
                                   KcpError       code,
                                   gboolean       drop,
                                   const char    *what)
{
  if (!g_atomic_int_compare_and_exchange (&self->answered, NOT_ANSWERED, ANSWERED_BY_LIBRARY) ||
      g_atomic_int_get (&self->closed))
    return FALSE;

  if (drop)
    kcp_invocation_drop_waiting (self);
  answer (self, KCP_ANSWER_ERROR, NULL,
          g_error_new (KCP_ERROR, (int) code, "call “%s”: %s", kcp_invocation_get_path (self), what), 0);
  return TRUE;
}

/* TRUE once: for the handler's first end or error, unless the library was before it. */
static gboolean
take_turn (KcpInvocation *self)
{
  if (g_atomic_int_compare_and_exchange (&self->answered, NOT_ANSWERED, ANSWERED_BY_HANDLER))
    return !g_atomic_int_get (&self->closed);

  if (g_atomic_int_get (&self->answered) == ANSWERED_BY_HANDLER && !g_atomic_int_get (&self->cancelled))
    g_warning ("call “%s” was answered twice; the second answer is dropped", kcp_invocation_get_path (self));
  return FALSE;
}

/* ---- items ---- */

/* Hands in one item. FALSE with an error: nobody wants it, or it is not JSON, or too much waits. */
static gboolean
send_item (KcpInvocation  *self,
           KcpMessage     *message,
           GError        **error)
{
  GBytes *body;

  if (!kcp_invocation_is_open (self))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "nobody wants more items");
      return FALSE;
    }

  /* Written here, in the producer's thread: the size has to be known, and the link's has enough
   * to do. */
  body = kcp_message_get_frame_body (message, error);
  if (body == NULL)
    return FALSE;

  if (!hand_in (self, g_bytes_get_size (body)))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_BUSY,
                   "call “%s”: its reader does not keep up, and more than %d bytes wait",
                   kcp_invocation_get_path (self), UNSENT_LIMIT);
      return FALSE;
    }

  answer (self, KCP_ANSWER_ITEM, kcp_message_ref (message), NULL, g_bytes_get_size (body));
  return TRUE;
}

/**
 * kcp_invocation_send_item:
 * @self: an invocation
 * @body: (transfer full) (nullable): the item
 *
 * Sends one item of a streamed answer, without ever waiting: what the caller's window has no room
 * for is kept. Look at kcp_invocation_has_room() now and then; a producer that does not, and gets
 * 64 MiB ahead of its reader, has its call fail with %KCP_ERROR_BUSY.
 *
 * Returns: %FALSE if nobody wants more: stop then
 */
gboolean
kcp_invocation_send_item (KcpInvocation *self,
                          JsonNode      *body)
{
  g_autoptr (KcpMessage) message = kcp_message_new (NULL, body);

  return kcp_invocation_send_item_message (self, message);
}

/**
 * kcp_invocation_send_item_message:
 * @self: an invocation
 * @message: (transfer none): the item; its path does not count
 *
 * Sends one item of a streamed answer; see kcp_invocation_send_item().
 *
 * Returns: %FALSE if nobody wants more: stop then
 */
gboolean
kcp_invocation_send_item_message (KcpInvocation *self,
                                  KcpMessage    *message)
{
  g_autoptr (GError) error = NULL;

  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  if (send_item (self, message, &error))
    return kcp_invocation_is_open (self);

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    kcp_invocation_take_error (self, g_steal_pointer (&error));
  return FALSE;
}

/**
 * kcp_invocation_has_room:
 * @self: an invocation
 *
 * Whether the reader keeps up: little of what was handed in waits to be sent.
 *
 * Returns: %TRUE if a well-behaved producer may go on
 */
gboolean
kcp_invocation_has_room (KcpInvocation *self)
{
  gboolean room;

  g_return_val_if_fail (self != NULL, FALSE);

  g_mutex_lock (&self->lock);
  room = has_room_locked (self);
  g_mutex_unlock (&self->lock);

  return room;
}

/**
 * kcp_invocation_send_item_async:
 * @self: an invocation
 * @body: (transfer full) (nullable): the item
 * @callback: (scope async): called when there is room for the next, or nobody wants it
 * @user_data: passed to @callback
 *
 * Sends one item of a streamed answer and says when to go on.
 */
void
kcp_invocation_send_item_async (KcpInvocation       *self,
                                JsonNode            *body,
                                GAsyncReadyCallback  callback,
                                gpointer             user_data)
{
  g_autoptr (KcpMessage) message = kcp_message_new (NULL, body);
  g_autoptr (GTask) task = g_task_new (NULL, NULL, callback, user_data);
  GError *error = NULL;
  gboolean room;

  g_return_if_fail (self != NULL);

  g_task_set_source_tag (task, kcp_invocation_send_item_async);
  g_task_set_task_data (task, kcp_invocation_ref (self), (GDestroyNotify) kcp_invocation_unref);
  if (!send_item (self, message, &error))
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        kcp_invocation_fail (self, error);
      g_task_return_error (task, error);
      return;
    }

  g_mutex_lock (&self->lock);
  room = has_room_locked (self) || !kcp_invocation_is_open (self);
  if (!room)
    self->room_tasks = g_slist_append (self->room_tasks, g_steal_pointer (&task));
  g_mutex_unlock (&self->lock);

  if (room)
    g_task_return_boolean (task, TRUE);
}

/**
 * kcp_invocation_send_item_finish:
 * @self: an invocation
 * @result: what the callback got
 * @error: return location for an error
 *
 * Returns: %FALSE with %G_IO_ERROR_CANCELLED if nobody wants more: stop then
 */
gboolean
kcp_invocation_send_item_finish (KcpInvocation  *self,
                                 GAsyncResult   *result,
                                 GError        **error)
{
  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (g_task_is_valid (result, NULL), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * kcp_invocation_send_item_wait:
 * @self: an invocation
 * @body: (transfer full) (nullable): the item
 *
 * Sends one item of a streamed answer and blocks until there is room for the next. Only in a
 * thread of the plugin's own: the main thread has to go on, for it is what makes the room.
 *
 * Returns: %FALSE if nobody wants more: stop then
 */
gboolean
kcp_invocation_send_item_wait (KcpInvocation *self,
                               JsonNode      *body)
{
  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (!kcp_inbox_at_home (self->inbox), FALSE);

  if (!kcp_invocation_send_item (self, body))
    return FALSE;

  g_mutex_lock (&self->lock);
  while (!has_room_locked (self) && kcp_invocation_is_open (self))
    g_cond_wait (&self->room, &self->lock);
  g_mutex_unlock (&self->lock);

  return kcp_invocation_is_open (self);
}

/* ---- the end ---- */

/**
 * kcp_invocation_reply:
 * @self: an invocation
 * @body: (transfer full) (nullable): the answer; %NULL for one without a body
 *
 * Ends the call well: the whole answer, or what comes after the last item.
 */
void
kcp_invocation_reply (KcpInvocation *self,
                      JsonNode      *body)
{
  g_autoptr (KcpMessage) message = kcp_message_new (NULL, body);

  kcp_invocation_reply_message (self, message);
}

/**
 * kcp_invocation_reply_message:
 * @self: an invocation
 * @message: (transfer none): the answer; its path does not count
 *
 * Ends the call well, with bytes of any content type if need be.
 */
void
kcp_invocation_reply_message (KcpInvocation *self,
                              KcpMessage    *message)
{
  g_return_if_fail (self != NULL);
  g_return_if_fail (message != NULL);

  if (take_turn (self))
    answer (self, KCP_ANSWER_END, kcp_message_ref (message), NULL, 0);
}

/**
 * kcp_invocation_fail:
 * @self: an invocation
 * @error: (transfer none): why
 *
 * Ends the call with an error, which arrives with its domain, code and text; see
 * kcp_error_register_domain() for domains of your own.
 */
void
kcp_invocation_fail (KcpInvocation *self,
                     const GError  *error)
{
  g_return_if_fail (error != NULL);

  kcp_invocation_take_error (self, g_error_copy (error));
}

/**
 * kcp_invocation_take_error:
 * @self: an invocation
 * @error: (transfer full): why
 *
 * Ends the call with an error, which it takes.
 */
void
kcp_invocation_take_error (KcpInvocation *self,
                           GError        *error)
{
  g_return_if_fail (self != NULL);
  g_return_if_fail (error != NULL);

  if (take_turn (self))
    answer (self, KCP_ANSWER_ERROR, NULL, error, 0);
  else
    g_error_free (error);
}

/**
 * kcp_invocation_fail_printf: (skip)
 * @self: an invocation
 * @domain: an error domain
 * @code: a code of it
 * @format: the text, as for printf()
 * @...: its arguments
 *
 * Ends the call with an error made here.
 */
void
kcp_invocation_fail_printf (KcpInvocation *self,
                            GQuark         domain,
                            int            code,
                            const char    *format,
                            ...)
{
  va_list args;
  GError *error;

  va_start (args, format);
  error = g_error_new_valist (domain, code, format, args);
  va_end (args);
  kcp_invocation_take_error (self, error);
}
