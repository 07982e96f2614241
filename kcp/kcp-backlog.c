/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-backlog-private.h"

#include "kcp-current-private.h"
#include "kcp-error.h"
#include "kcp-message-codec-private.h"
#include "kcp-message-private.h"
#include "kcp-stream-private.h"

#include <glib-unix.h>

struct _KcpBacklog
{
  grefcount ref_count;
  GMainContext *context;
  int call_timeout;
  guint max_calls;
  gsize max_bytes;
  GError *refusal;              /* why no new calls are taken; NULL: they are */
  gboolean closed;

  GQueue waiting;               /* of Entry */
  gsize bytes;

  KcpInbox *inbox;
  GSource *inbox_source;
  KcpDeadlines deadlines;
  GSource *timer;

  GQueue done;                  /* of KcpCall, whose users are to be told */
  GSource *teller;
};

typedef struct
{
  KcpCall *call;                /* NULL: one-way */
  KcpMessage *message;
  KcpTraceContext *trace;
  GError *reason;               /* for what a link has given back */
  gint64 deadline_at;
  gsize size;
} Entry;

/* ---- what waits ---- */

static void
free_entry (Entry *entry)
{
  g_clear_object (&entry->call);
  kcp_message_unref (entry->message);
  kcp_trace_context_unref (entry->trace);
  g_clear_error (&entry->reason);
  g_free (entry);
}

static Entry *
new_entry (KcpCall         *call,
           KcpMessage      *message,
           KcpTraceContext *trace,
           gsize            size)
{
  Entry *entry = g_new0 (Entry, 1);

  entry->call = call ? g_object_ref (call) : NULL;
  entry->message = kcp_message_ref (message);
  entry->trace = kcp_trace_context_ref (trace);
  entry->size = size;
  return entry;
}

/* What it counts; FALSE with an error if it could never be sent. How much a frame may hold is not
 * known here. */
static gboolean
measure (KcpMessage  *message,
         gsize       *size,
         GError     **error)
{
  KcpFields fields;
  GBytes *body = kcp_message_get_frame_body (message, error);

  if (body == NULL || !kcp_codec_fill_fields (message, KCP_FRAME_CALL, &fields, error))
    return FALSE;

  *size = kcp_fields_size (&fields) + g_bytes_get_size (body);
  return TRUE;
}

static void
arm (KcpBacklog *self)
{
  gint64 next = self->closed ? 0 : kcp_deadlines_next (&self->deadlines);

  g_source_set_ready_time (self->timer, next > 0 ? next : -1);
}

static void
put_in (KcpBacklog *self,
        Entry      *entry,
        gboolean    in_front)
{
  if (in_front)
    g_queue_push_head (&self->waiting, entry);
  else
    g_queue_push_tail (&self->waiting, entry);
  self->bytes += entry->size;

  if (entry->call == NULL)
    return;

  entry->call->mail = in_front ? self->waiting.head : self->waiting.tail;
  if (entry->call->deadline.at > 0)
    kcp_deadlines_add (&self->deadlines, &entry->call->deadline);
  arm (self);
}

static Entry *
take_out (KcpBacklog *self,
          GList      *link)
{
  Entry *entry = link->data;

  self->bytes -= entry->size;
  if (entry->call)
    {
      entry->call->mail = NULL;
      kcp_deadlines_remove (&self->deadlines, &entry->call->deadline);
    }
  g_queue_delete_link (&self->waiting, link);
  return entry;
}

/* ---- what a call tells ---- */

static void
on_call_closed (gpointer  owner,
                KcpCall  *call,
                gboolean  cancel)
{
  KcpBacklog *self = owner;

  if (call->mail)
    free_entry (take_out (self, call->mail));
}

static gboolean on_tell (gpointer data);

static gpointer
keep_backlog (gpointer data)
{
  return kcp_backlog_ref (data);
}

static void
unref_backlog (gpointer data)
{
  kcp_backlog_unref (data);
}

/* Whoever is to be told is, also when nobody holds the backlog any more. */
static void
start_telling (KcpBacklog *self)
{
  if (self->teller)
    return;

  self->teller = g_idle_source_new ();
  g_source_set_priority (self->teller, G_PRIORITY_DEFAULT);
  g_source_set_callback (self->teller, on_tell, kcp_backlog_ref (self), unref_backlog);
  g_source_attach (self->teller, self->context);
}

static gboolean
on_tell (gpointer data)
{
  KcpBacklog *self = data;

  g_clear_pointer (&self->teller, g_source_unref);
  while (self->done.length > 0)
    {
      g_autoptr (KcpCall) call = g_queue_pop_head (&self->done);

      /* For a main loop inside of what is told. */
      if (self->done.length > 0)
        start_telling (self);
      kcp_call_notify (call);
    }

  return G_SOURCE_REMOVE;
}

static void
on_call_deliver (gpointer  owner,
                 KcpCall  *call)
{
  KcpBacklog *self = owner;

  if (call->context && !call->wants_items)
    {
      kcp_call_notify_in (call, g_steal_pointer (&call->context));
      return;
    }

  g_queue_push_tail (&self->done, g_object_ref (call));
  start_telling (self);
}

/* A child is started by the main loop, which does not run in a wait: it would never end. */
static void
on_call_wait (gpointer  owner,
              KcpCall  *call)
{
  kcp_call_take_error (call, g_error_new (KCP_ERROR, KCP_ERROR_NOT_RUNNING,
                                          "call “%s”: no child is running, and to block keeps it from being started",
                                          call->path));
}

static const KcpCallOps call_ops = {
  .closed = on_call_closed,
  .deliver = on_call_deliver,
  .wait = on_call_wait,
  .ref = keep_backlog,
  .unref = unref_backlog,
};

/* ---- life ---- */

static gboolean
on_inbox (int           fd,
          GIOCondition  condition,
          gpointer      data)
{
  g_autoptr (KcpBacklog) self = kcp_backlog_ref (data);

  kcp_inbox_take (self->inbox);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_timer (gpointer data)
{
  g_autoptr (KcpBacklog) self = kcp_backlog_ref (data);

  kcp_deadlines_run (&self->deadlines, g_get_monotonic_time ());
  arm (self);
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

KcpBacklog *
kcp_backlog_new (GMainContext *context)
{
  const KcpLinkLimits limits = KCP_LINK_DEFAULT_LIMITS;
  KcpBacklog *self = g_new0 (KcpBacklog, 1);

  g_ref_count_init (&self->ref_count);
  self->context = g_main_context_ref (context);
  self->max_calls = limits.mailbox_calls;
  self->max_bytes = limits.mailbox_bytes;
  g_queue_init (&self->waiting);
  g_queue_init (&self->done);
  kcp_deadlines_init (&self->deadlines);

  self->timer = g_source_new (&timer_funcs, sizeof (GSource));
  g_source_set_static_name (self->timer, "kcp backlog");
  g_source_set_callback (self->timer, on_timer, self, NULL);
  g_source_set_ready_time (self->timer, -1);
  g_source_attach (self->timer, context);

  self->inbox = kcp_inbox_new ();
  kcp_inbox_set_context (self->inbox, context);
  if (kcp_inbox_get_fd (self->inbox) < 0)
    return self;
  self->inbox_source = g_unix_fd_source_new (kcp_inbox_get_fd (self->inbox), G_IO_IN);
  g_source_set_callback (self->inbox_source, G_SOURCE_FUNC (on_inbox), self, NULL);
  g_source_attach (self->inbox_source, context);
  return self;
}

KcpBacklog *
kcp_backlog_ref (KcpBacklog *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
kcp_backlog_unref (KcpBacklog *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;

  g_warn_if_fail (self->closed && self->waiting.length == 0);
  g_queue_clear_full (&self->done, g_object_unref);
  kcp_deadlines_clear (&self->deadlines);
  kcp_inbox_unref (self->inbox);
  g_clear_error (&self->refusal);
  g_main_context_unref (self->context);
  g_free (self);
}

void
kcp_backlog_close (KcpBacklog   *self,
                   const GError *error)
{
  if (self->closed)
    return;

  kcp_backlog_refuse (self, g_error_copy (error));
  kcp_backlog_fail (self, error);
  self->closed = TRUE;
  g_source_destroy (self->timer);
  g_clear_pointer (&self->timer, g_source_unref);
  if (self->inbox_source)
    g_source_destroy (self->inbox_source);
  g_clear_pointer (&self->inbox_source, g_source_unref);
  kcp_inbox_close (self->inbox);
}

void
kcp_backlog_set_limits (KcpBacklog *self,
                        guint       calls,
                        gsize       bytes)
{
  self->max_calls = calls;
  self->max_bytes = bytes;
}

void
kcp_backlog_set_call_timeout (KcpBacklog *self,
                              int         milliseconds)
{
  self->call_timeout = milliseconds;
}

guint
kcp_backlog_get_length (KcpBacklog *self)
{
  return self->waiting.length;
}

/* ---- in ---- */

/* The callback runs where it was asked for, as that of a link's call. */
static KcpCall *
new_call (KcpBacklog *self,
          KcpMessage *message)
{
  KcpCall *call = kcp_call_new (&call_ops, self, self->inbox, kcp_message_get_path (message));
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();

  if (context != self->context)
    call->context = g_steal_pointer (&context);
  return call;
}

static gint64
find_deadline (KcpBacklog *self,
               KcpMessage *message,
               gboolean    stream)
{
  int timeout = kcp_message_get_timeout (message);

  if (timeout == KCP_TIMEOUT_DEFAULT)
    timeout = stream ? KCP_TIMEOUT_NONE : self->call_timeout;

  return timeout > 0 ? g_get_monotonic_time () + (gint64) timeout * 1000 : 0;
}

static gboolean
check_room (KcpBacklog  *self,
            KcpMessage  *message,
            gsize        size,
            GError     **error)
{
  if (kcp_message_get_wait_for_room (message))
    return TRUE;
  if (self->waiting.length < self->max_calls &&
      (self->waiting.length == 0 || self->bytes + size <= self->max_bytes))
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_BUSY,
               "%u calls of %" G_GSIZE_FORMAT " bytes are waiting already, and no child is running",
               self->waiting.length, self->bytes);
  return FALSE;
}

static gboolean
put_message (KcpBacklog    *self,
             KcpCall       *call,
             KcpMessage    *message,
             GCancellable  *cancellable,
             gboolean       stream,
             GError       **error)
{
  g_autoptr (KcpTraceContext) trace = NULL;
  Entry *entry;
  gsize size;

  if (self->refusal)
    {
      g_propagate_error (error, g_error_copy (self->refusal));
      return FALSE;
    }
  if (!measure (message, &size, error) || !check_room (self, message, size, error))
    return FALSE;
  if (call && !kcp_call_watch (call, cancellable))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "it was cancelled before it was sent");
      return FALSE;
    }

  trace = kcp_current_find_trace (message);
  entry = new_entry (call, message, trace, size);
  entry->deadline_at = find_deadline (self, message, stream);
  if (call)
    call->deadline.at = entry->deadline_at;
  put_in (self, entry, FALSE);
  return TRUE;
}

static void
put_call (KcpBacklog   *self,
          KcpCall      *call,
          KcpMessage   *message,
          GCancellable *cancellable,
          gboolean      stream)
{
  GError *error = NULL;

  if (put_message (self, call, message, cancellable, stream, &error))
    return;

  g_prefix_error (&error, "call “%s”: ", call->path);
  kcp_call_take_error (call, error);
}

void
kcp_backlog_ask_async (KcpBacklog          *self,
                       gpointer             source_object,
                       KcpMessage          *message,
                       GCancellable        *cancellable,
                       GAsyncReadyCallback  callback,
                       gpointer             user_data)
{
  g_autoptr (KcpCall) call = new_call (self, message);

  kcp_call_set_callback (call, source_object, callback, user_data);
  put_call (self, call, message, cancellable, FALSE);
}

gboolean
kcp_backlog_tell (KcpBacklog  *self,
                  KcpMessage  *message,
                  GError     **error)
{
  if (put_message (self, NULL, message, NULL, FALSE, error))
    return TRUE;

  g_prefix_error (error, "telling “%s”: ", kcp_message_get_path (message));
  return FALSE;
}

KcpStream *
kcp_backlog_ask_stream (KcpBacklog   *self,
                        KcpMessage   *message,
                        GCancellable *cancellable)
{
  KcpCall *call = new_call (self, message);
  KcpStream *stream = kcp_stream_new (call);

  put_call (self, call, message, cancellable, TRUE);
  return stream;
}

/* It was admitted before, so there is always room for it. */
void
kcp_backlog_take_back (KcpBacklog      *self,
                       KcpCall         *call,
                       KcpMessage      *message,
                       KcpTraceContext *trace,
                       const GError    *reason)
{
  Entry *entry;
  gsize size = 0;

  /* What was sent once, or waited to be, can be measured. */
  measure (message, &size, NULL);
  entry = new_entry (call, message, trace, size);
  entry->deadline_at = call->deadline.at;
  entry->reason = g_error_copy (reason);
  g_prefix_error (&entry->reason, "call “%s”: ", call->path);
  kcp_call_move (call, &call_ops, self, self->inbox);
  put_in (self, entry, TRUE);
}

void
kcp_backlog_refuse (KcpBacklog *self,
                    GError     *error)
{
  g_clear_error (&self->refusal);
  self->refusal = error;
}

/* ---- out ---- */

void
kcp_backlog_send_all (KcpBacklog *self,
                      KcpLink    *link)
{
  while (self->waiting.length > 0)
    {
      Entry *entry = take_out (self, self->waiting.head);

      kcp_link_adopt (link, entry->call, entry->message, entry->trace, entry->deadline_at);
      free_entry (entry);
    }
  arm (self);
}

void
kcp_backlog_fail (KcpBacklog   *self,
                  const GError *error)
{
  while (self->waiting.length > 0)
    {
      Entry *entry = take_out (self, self->waiting.head);

      if (entry->call)
        {
          GError *copy = g_error_copy (entry->reason ? entry->reason : error);

          if (entry->reason == NULL)
            g_prefix_error (&copy, "call “%s”, not sent: ", entry->call->path);
          kcp_call_take_error (entry->call, copy);
        }
      free_entry (entry);
    }
}
