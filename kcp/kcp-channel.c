/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-channel-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"
#include "kcp-trace-context.h"

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
    case KCP_FLUSH_CLOSED:
    case KCP_FLUSH_ERROR:
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
                  GBytes          *body)
{
  KCP_DEBUG (KCP_DEBUG_FRAME, ">>> %s %s id=%" G_GUINT64_FORMAT " body=%" G_GSIZE_FORMAT,
             self->name, kcp_frame_kind_to_string (kind), id, body ? g_bytes_get_size (body) : 0);

  kcp_frame_writer_push (self->writer, kind, flags, id, fields, deadline_at, body);
  if (kcp_channel_counts (kind))
    self->sent++;
  kcp_channel_flush_now (self);
}

/* The sender's limit: a frame that the other end would refuse never leaves. */
static gboolean
fits (KcpChannel       *self,
      const KcpFields  *fields,
      GBytes           *body,
      GError          **error)
{
  gsize size = kcp_fields_size (fields) + g_bytes_get_size (body);

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
  GBytes *body = kcp_message_get_body_bytes (message, error);

  if (body == NULL || !kcp_codec_fill_fields (message, KCP_FRAME_CALL, &fields, error))
    return FALSE;

  *size = kcp_fields_size (&fields) + g_bytes_get_size (body);
  /* Room for what is added when it is sent: trace, deadline. */
  return fits (self, &fields, body, error);
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
  GBytes *body = kcp_message_get_body_bytes (message, error);

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
  if (!fits (self, &fields, body, error))
    return FALSE;

  self->last_call++;
  if (call)
    {
      call->id = self->last_call;
      g_hash_table_insert (self->calls, &call->id, g_object_ref (call));
    }
  kcp_channel_push (self, KCP_FRAME_CALL, call ? 0 : KCP_FRAME_FLAG_NO_REPLY, self->last_call, &fields,
        deadline_at, body);
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
    kcp_channel_push (self, KCP_FRAME_CREDIT, 0, call->id, &fields, 0, NULL);
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

/* Each ends with the cause, in front of which stands what it was. */
void
kcp_channel_fail_calls (KcpChannel   *self,
                        const GError *error)
{
  g_autolist (KcpCall) calls = g_hash_table_get_values (self->calls);

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
    kcp_channel_push (self, kind, 0, 0, NULL, 0, body);
}

/* ---- invocations ---- */

void
kcp_channel_add_invocation (KcpChannel    *self,
                            KcpInvocation *invocation)
{
  kcp_invocation_keep (invocation);
  g_hash_table_insert (self->invocations, (gpointer) kcp_invocation_peek_id (invocation), invocation);
}

KcpInvocation *
kcp_channel_lookup_invocation (KcpChannel *self,
                               guint64     id)
{
  return g_hash_table_lookup (self->invocations, &id);
}

guint
kcp_channel_count_invocations (KcpChannel *self)
{
  return g_hash_table_size (self->invocations);
}

/* @callbacks_sent < 0: not told. An answer that does not fit becomes an error that does. */
void
kcp_channel_send_answer (KcpChannel    *self,
                         KcpInvocation *invocation,
                         KcpAnswer      kind,
                         KcpMessage    *message,
                         const GError  *error,
                         gint64         callbacks_sent)
{
  static const KcpFrameKind frame_kinds[] = {
    [KCP_ANSWER_ITEM] = KCP_FRAME_ITEM,
    [KCP_ANSWER_END] = KCP_FRAME_END,
    [KCP_ANSWER_ERROR] = KCP_FRAME_ERROR,
  };
  guint64 id = kcp_invocation_get_id (invocation);
  g_autoptr (GError) refused = NULL;
  g_autoptr (GBytes) body = NULL;
  KcpFields fields = { 0 };

  if (self->ended || !g_hash_table_contains (self->invocations, &id))
    return;

  if (error == NULL)
    {
      body = kcp_message_get_body_bytes (message, &refused);
      if (body)
        g_bytes_ref (body);
      if (body && kcp_codec_fill_fields (message, frame_kinds[kind], &fields, &refused))
        fits (self, &fields, body, &refused);
      if (refused)
        {
          g_prefix_error (&refused, "the answer to “%s” cannot be sent: ",
                          kcp_invocation_get_path (invocation));
          g_clear_pointer (&body, g_bytes_unref);
          memset (&fields, 0, sizeof fields);
          error = refused;
          kind = KCP_ANSWER_ERROR;
        }
    }
  if (error)
    body = kcp_codec_encode_error (error);

  if (kind != KCP_ANSWER_ITEM)
    {
      if (callbacks_sent >= 0)
        {
          fields.callbacks_sent = (guint64) callbacks_sent;
          fields.present |= KCP_FIELD_BIT (KCP_FIELD_CALLBACKS_SENT);
        }
    }
  kcp_channel_push (self, frame_kinds[kind], 0, id, fields.present ? &fields : NULL, 0, body);
  if (kind != KCP_ANSWER_ITEM)
    kcp_channel_drop_invocation (self, invocation);
}

/* An invocation that nobody waits for any more, with what @drop has to undo. */
void
kcp_channel_drop_invocation (KcpChannel    *self,
                             KcpInvocation *invocation)
{
  guint64 id = kcp_invocation_get_id (invocation);

  kcp_invocation_keep (invocation);
  if (g_hash_table_remove (self->invocations, &id))
    {
      if (self->owner)
        self->ops->dropped (self->owner, self, invocation);
      kcp_invocation_close (invocation);
    }
  kcp_invocation_release (invocation);
}

void
kcp_channel_drop_invocations (KcpChannel *self)
{
  g_autoptr (GList) open = g_hash_table_get_values (self->invocations);

  for (GList *l = open; l; l = l->next)
    kcp_invocation_keep (l->data);
  for (GList *l = open; l; l = l->next)
    {
      kcp_channel_drop_invocation (self, l->data);
      kcp_invocation_release (l->data);
    }
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
