/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-channel-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"
#include "kcp-message-private.h"
#include "kcp-trace-context.h"

#include <gio/gunixfdlist.h>
#include <sys/socket.h>

/* ---- life ---- */

KcpChannel *
kcp_channel_new (const char          *name,
                 GSocketConnection   *connection,
                 KcpFrameReader      *reader,
                 guint32              accepts,
                 gboolean             counted,
                 gsize                frame_limit,
                 const KcpChannelOps *ops,
                 gpointer             owner)
{
  KcpChannel *self = g_new0 (KcpChannel, 1);

  g_ref_count_init (&self->ref_count);
  self->name = name;
  self->connection = g_object_ref (connection);
  self->fd = g_socket_get_fd (g_socket_connection_get_socket (connection));
  self->reader = reader;
  self->writer = kcp_frame_writer_new ();
  self->accepts = accepts;
  self->counted = counted;
  self->frame_limit = frame_limit;
  self->ops = ops;
  self->owner = owner;
  self->condition = G_IO_IN;
  self->calls = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_object_unref);
  self->invocations = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL,
                                             (GDestroyNotify) kcp_invocation_release);
  g_queue_init (&self->held);
  self->last_input = g_get_monotonic_time ();
  kcp_frame_reader_set_limit (reader, frame_limit);
  return self;
}

KcpChannel *
kcp_channel_ref (KcpChannel *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
kcp_channel_unref (KcpChannel *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;

  kcp_channel_close (self);
  g_queue_clear_full (&self->held, kcp_channel_free_held);
  g_hash_table_unref (self->calls);
  g_hash_table_unref (self->invocations);
  kcp_frame_reader_free (self->reader);
  kcp_frame_writer_free (self->writer);
  g_object_unref (self->connection);
  g_free (self);
}

static void
detach (KcpChannel *self)
{
  if (self->source)
    {
      g_source_destroy (self->source);
      g_clear_pointer (&self->source, g_source_unref);
    }
}

/* Nothing is said to anyone: who closes knows. Calls must have been failed before. */
void
kcp_channel_close (KcpChannel *self)
{
  if (self->closed)
    return;

  self->closed = TRUE;
  self->ended = TRUE;
  self->owner = NULL;
  detach (self);
  g_queue_clear_full (&self->held, kcp_channel_free_held);
  /* Now and not with the last reference: descriptors may wait in them. */
  kcp_frame_writer_clear (self->writer);
  kcp_frame_reader_drop_fds (self->reader);
  g_io_stream_close (G_IO_STREAM (self->connection), NULL, NULL);
}

/* The end of what comes. What was received before has been handed out already. */
void
kcp_channel_end (KcpChannel   *self,
                 const GError *error)
{
  if (self->ended)
    return;

  self->ended = TRUE;
  detach (self);
  if (error)
    KCP_DEBUG (KCP_DEBUG_FRAME, "%s: %s", self->name, error->message);
  if (self->owner)
    self->ops->ended (self->owner, self, error);
}

/* ---- sending ---- */

static void
set_condition (KcpChannel   *self,
               GIOCondition  condition)
{
  if (condition == self->condition)
    return;

  self->condition = condition;
  if (self->source && self->tag)
    g_source_modify_unix_fd (self->source, self->tag, condition);
}

void
kcp_channel_allow_fds (KcpChannel *self)
{
  self->takes_fds = TRUE;
  kcp_frame_reader_allow_fds (self->reader);
}

void
kcp_channel_flush_now (KcpChannel *self)
{
  g_autoptr (GError) error = NULL;

  if (self->closed)
    return;

  switch (kcp_frame_writer_flush (self->writer, self->fd, &error))
    {
    case KCP_FLUSH_DONE:
      set_condition (self, G_IO_IN);
      if (self->crowded)
        {
          self->crowded = FALSE;
          if (self->owner)
            self->ops->room (self->owner, self);
        }
      break;
    case KCP_FLUSH_BLOCKED:
      self->crowded = TRUE;
      set_condition (self, G_IO_IN | G_IO_OUT);
      break;
    case KCP_FLUSH_ERROR:
      /* Not of the other end's making, so its end would not come by itself. */
      g_warning ("%s socket: %s", self->name, error->message);
      shutdown (self->fd, SHUT_RDWR);
      G_GNUC_FALLTHROUGH;
    case KCP_FLUSH_CLOSED:
      /* What the other end has sent before it went is still there to be read, and the end of
       * it will come by reading. Until then, do not ask whether it can be written. */
      set_condition (self, G_IO_IN);
      break;
    default:
      g_assert_not_reached ();
    }
}

void
kcp_channel_push (KcpChannel      *self,
                  KcpFrameKind     kind,
                  guint8           flags,
                  guint64          id,
                  const KcpFields *fields,
                  gint64           deadline_at,
                  GBytes          *body,
                  GUnixFDList     *fds)
{
  KCP_DEBUG (KCP_DEBUG_FRAME, ">>> %s %s id=%" G_GUINT64_FORMAT " body=%" G_GSIZE_FORMAT " fds=%u",
             self->name, kcp_frame_kind_to_string (kind), id, body ? g_bytes_get_size (body) : 0,
             fds ? fields->fd_count : 0);

  kcp_frame_writer_push_fds (self->writer, kind, flags, id, fields, deadline_at, body, fds);
  if (kcp_channel_counts (kind))
    self->sent++;
  kcp_channel_flush_now (self);
}

/* The sender's limits: a frame that the other end would refuse never leaves. */
gboolean
kcp_channel_fits (KcpChannel       *self,
                  const KcpFields  *fields,
                  GBytes           *body,
                  GError          **error)
{
  gsize size = kcp_fields_size (fields) + g_bytes_get_size (body);

  if (fields->fd_count > 0 && !self->takes_fds)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "the other side takes no descriptors");
      return FALSE;
    }
  if (size <= self->frame_limit)
    return TRUE;

  g_set_error (error, KCP_ERROR, KCP_ERROR_TOO_LARGE,
               "the message has %" G_GSIZE_FORMAT " bytes, the limit is %" G_GSIZE_FORMAT,
               size, self->frame_limit);
  return FALSE;
}

static void
set_trace (KcpFields       *fields,
           KcpTraceContext *trace)
{
  const char *state = kcp_trace_context_get_tracestate (trace);

  fields->traceparent = kcp_trace_context_get_traceparent (trace);
  fields->traceparent_length = (guint16) strlen (fields->traceparent);
  fields->present |= KCP_FIELD_BIT (KCP_FIELD_TRACEPARENT);
  if (state)
    {
      fields->tracestate = state;
      fields->tracestate_length = (guint16) MIN (strlen (state), G_MAXUINT16);
      fields->present |= KCP_FIELD_BIT (KCP_FIELD_TRACESTATE);
    }
}

gboolean
kcp_channel_can_send (KcpChannel  *self,
                      KcpMessage  *message,
                      gsize       *size,
                      GError     **error)
{
  KcpFields fields;
  GBytes *body = kcp_message_get_frame_body (message, error);

  if (body == NULL || !kcp_codec_fill_fields (message, KCP_FRAME_CALL, &fields, error))
    return FALSE;

  *size = kcp_fields_size (&fields) + g_bytes_get_size (body);
  /* Room for what is added when it is sent: trace, deadline. */
  return kcp_channel_fits (self, &fields, body, error);
}

/* With @call NULL no reply is wanted. The channel keeps the call until it is done. */
gboolean
kcp_channel_send_call (KcpChannel       *self,
                       KcpCall          *call,
                       KcpMessage       *message,
                       KcpTraceContext  *trace,
                       guint64           parent,
                       gint64            deadline_at,
                       GError          **error)
{
  KcpFields fields;
  GBytes *body = kcp_message_get_frame_body (message, error);
  g_autoptr (GUnixFDList) fds = NULL;

  if (body == NULL || !kcp_codec_fill_fields (message, KCP_FRAME_CALL, &fields, error))
    return FALSE;

  set_trace (&fields, trace);
  if (deadline_at > 0)
    {
      fields.deadline_ms = kcp_frame_deadline_ms (deadline_at);
      fields.present |= KCP_FIELD_BIT (KCP_FIELD_DEADLINE);
    }
  if (parent > 0)
    {
      fields.parent = parent;
      fields.present |= KCP_FIELD_BIT (KCP_FIELD_PARENT);
    }
  if (!kcp_channel_fits (self, &fields, body, error) || !kcp_message_collect_fds (message, &fds, error))
    return FALSE;

  self->last_call++;
  if (call)
    {
      call->id = self->last_call;
      g_hash_table_insert (self->calls, &call->id, g_object_ref (call));
    }
  kcp_channel_push (self, KCP_FRAME_CALL, call ? 0 : KCP_FRAME_FLAG_NO_REPLY, self->last_call, &fields,
                    deadline_at, body, fds);
  return TRUE;
}

/* Only for a call whose items have come: so its CALL is out, and cannot be overtaken. */
void
kcp_channel_send_credit (KcpChannel *self,
                         KcpCall    *call,
                         guint       items,
                         gsize       bytes)
{
  KcpFields fields = {
    .present = KCP_FIELD_BIT (KCP_FIELD_CREDIT),
    .credit_items = items,
    .credit_bytes = (guint32) bytes,
  };

  if (!self->ended)
    kcp_channel_push (self, KCP_FRAME_CREDIT, 0, call->id, &fields, 0, NULL, NULL);
}

/* A call that is done. Where it had not left yet it is taken back, else the callee is told. */
void
kcp_channel_forget_call (KcpChannel *self,
                         KcpCall    *call,
                         gboolean    cancel)
{
  if (call->id == 0 || !g_hash_table_remove (self->calls, &call->id))
    return;

  if (!cancel || self->ended)
    return;

  /* Frames that the other end counts must not vanish: there, a CANCEL follows the CALL. */
  if (self->counted || !kcp_frame_writer_remove_call (self->writer, call->id))
    {
      kcp_frame_writer_push_cancel (self->writer, call->id);
      kcp_channel_flush_now (self);
    }
}

KcpCall *
kcp_channel_lookup_call (KcpChannel *self,
                         guint64     id)
{
  return g_hash_table_lookup (self->calls, &id);
}

static gint
compare_ids (gconstpointer a,
             gconstpointer b)
{
  const KcpCall *first = *(KcpCall *const *) a, *second = *(KcpCall *const *) b;

  return first->id < second->id ? -1 : first->id > second->id;
}

GPtrArray *
kcp_channel_list_calls (KcpChannel *self)
{
  GPtrArray *calls = g_ptr_array_new_with_free_func (g_object_unref);
  GHashTableIter iter;
  gpointer call;

  g_hash_table_iter_init (&iter, self->calls);
  while (g_hash_table_iter_next (&iter, NULL, &call))
    g_ptr_array_add (calls, g_object_ref (call));
  g_ptr_array_sort (calls, compare_ids);
  return calls;
}

guint
kcp_channel_count_calls (KcpChannel *self)
{
  return g_hash_table_size (self->calls);
}

static int
compare_calls (gconstpointer a,
               gconstpointer b)
{
  guint64 left = ((const KcpCall *) a)->id, right = ((const KcpCall *) b)->id;

  return left < right ? -1 : left > right;
}

/* Each ends with the cause, in front of which stands what it was; in the order in which they were made. */
void
kcp_channel_fail_calls (KcpChannel   *self,
                        const GError *error)
{
  g_autolist (KcpCall) calls = g_list_sort (g_hash_table_get_values (self->calls), compare_calls);

  for (GList *l = calls; l; l = l->next)
    g_object_ref (l->data);
  for (GList *l = calls; l; l = l->next)
    {
      KcpCall *call = l->data;
      GError *copy = g_error_copy (error);

      g_prefix_error (&copy, "call “%s”: ", call->path);
      kcp_call_take_error (call, copy);
    }
}

void
kcp_channel_send_link_frame (KcpChannel   *self,
                             KcpFrameKind  kind,
                             GBytes       *body)
{
  if (!self->ended)
    kcp_channel_push (self, kind, 0, 0, NULL, 0, body, NULL);
}

/* ---- what others ask ---- */

int
kcp_channel_get_fd (KcpChannel *self)
{
  return self->fd;
}

gboolean
kcp_channel_is_open (KcpChannel *self)
{
  return !self->ended;
}

GIOCondition
kcp_channel_get_condition (KcpChannel *self)
{
  return self->condition;
}

guint64
kcp_channel_get_received (KcpChannel *self)
{
  return self->received;
}

guint64
kcp_channel_get_sent (KcpChannel *self)
{
  return self->sent;
}

gsize
kcp_channel_get_pending (KcpChannel *self)
{
  return kcp_frame_writer_get_pending (self->writer);
}

gint64
kcp_channel_get_last_input (KcpChannel *self)
{
  return self->last_input;
}

guint64
kcp_channel_get_late (KcpChannel *self)
{
  return self->late;
}

/* Blocks until all is sent, at most until @until (monotonic µs). */
gboolean
kcp_channel_flush (KcpChannel *self,
                   gint64      until)
{
  while (!self->closed && kcp_frame_writer_get_pending (self->writer) > 0)
    {
      gint64 left = until - g_get_monotonic_time ();
      GPollFD fd = { self->fd, G_IO_OUT, 0 };

      kcp_channel_flush_now (self);
      if (kcp_frame_writer_get_pending (self->writer) == 0)
        break;
      if (left <= 0 || !(self->condition & G_IO_OUT))
        return FALSE;
      g_poll (&fd, 1, (int) (left / 1000) + 1);
    }

  return TRUE;
}
