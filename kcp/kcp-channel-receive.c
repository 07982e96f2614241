/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-channel-state-private.h"

#include "kcp-debug-private.h"
#include "kcp-error.h"

/* Frames handed out before other sources of the context get their turn. */
#define FRAMES_PER_TURN 64
/* Receives in a row when all that is there is wanted at once. */
#define FILLS_PER_DRAIN 256

/* ---- one frame ---- */

static gboolean
refuse (const KcpFrame  *frame,
        const char      *what,
        GError         **error)
{
  g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "%s frame for call %" G_GUINT64_FORMAT ", %s",
               kcp_frame_kind_to_string (frame->header.kind), frame->header.id, what);
  return FALSE;
}

static gboolean
take_call (KcpChannel      *self,
           const KcpFrame  *frame,
           const KcpFields *fields,
           GError         **error)
{
  KcpIncomingCall call;

  if (frame->header.id <= self->last_invocation)
    return refuse (frame, "whose id does not rise", error);

  self->last_invocation = frame->header.id;
  kcp_codec_decode_call (frame, fields, &call);
  self->ops->call (self->owner, self, &call);
  return TRUE;
}

static gboolean
take_cancel (KcpChannel      *self,
             const KcpFrame  *frame,
             GError         **error)
{
  KcpInvocation *invocation;

  if (frame->header.id > self->last_invocation)
    return refuse (frame, "which was never made", error);

  invocation = kcp_channel_lookup_invocation (self, frame->header.id);
  if (invocation)
    kcp_channel_drop_invocation (self, invocation);
  else
    self->late++;
  return TRUE;
}

static gboolean
take_credit (KcpChannel      *self,
             const KcpFrame  *frame,
             const KcpFields *fields,
             GError         **error)
{
  KcpInvocation *invocation;

  if (frame->header.id > self->last_invocation)
    return refuse (frame, "which was never made", error);

  invocation = kcp_channel_lookup_invocation (self, frame->header.id);
  if (invocation == NULL)
    self->late++;
  else if (!kcp_invocation_take_credit (invocation, fields->credit_items, fields->credit_bytes))
    return refuse (frame, "which gives back more than was sent", error);

  return TRUE;
}

void
kcp_channel_free_held (gpointer data)
{
  KcpHeldAnswer *held = data;

  g_object_unref (held->call);
  g_clear_pointer (&held->result, kcp_message_unref);
  g_clear_error (&held->error);
  g_free (held);
}

/* Takes the answer, and frees it. */
static void
finish_call (KcpHeldAnswer *held)
{
  if (held->error)
    kcp_call_take_error (held->call, g_steal_pointer (&held->error));
  else
    kcp_call_take_end (held->call, g_steal_pointer (&held->result));

  kcp_channel_free_held (held);
}

/* END or ERROR; where frames of the other socket belong before it, it waits for them. */
static gboolean
take_end (KcpChannel      *self,
          KcpCall         *call,
          const KcpFrame  *frame,
          const KcpFields *fields,
          GError         **error)
{
  KcpHeldAnswer *held;
  GError *failure = NULL;

  if (frame->header.kind == KCP_FRAME_ERROR)
    {
      failure = kcp_codec_decode_error (frame->body, error);
      if (failure == NULL)
        return FALSE;
    }

  held = g_new0 (KcpHeldAnswer, 1);
  held->call = g_object_ref (call);
  held->error = failure;
  held->result = failure ? NULL : kcp_codec_decode_message (frame, fields);
  held->callbacks_sent = fields->callbacks_sent;

  if (self->ops->hold (self->owner, self, held->callbacks_sent) && !self->closed)
    g_queue_push_tail (&self->held, held);
  else
    finish_call (held);
  return TRUE;
}

static gboolean
take_answer (KcpChannel      *self,
             const KcpFrame  *frame,
             const KcpFields *fields,
             GError         **error)
{
  KcpCall *call;

  if (frame->header.id > self->last_call)
    return refuse (frame, "which was never made", error);

  call = kcp_channel_lookup_call (self, frame->header.id);
  if (call == NULL)
    {
      self->late++;   /* a reply that crossed our CANCEL */
      return TRUE;
    }

  if (frame->header.kind == KCP_FRAME_ITEM)
    return kcp_call_take_item (call, kcp_codec_decode_message (frame, fields)) ||
           refuse (frame, "beyond the window of its stream", error);

  return take_end (self, call, frame, fields, error);
}

/* FALSE with KCP_ERROR_PROTOCOL: the link cannot go on. */
static gboolean
take_frame (KcpChannel  *self,
            KcpFrame    *frame,
            GError     **error)
{
  KcpFrameKind kind = (KcpFrameKind) frame->header.kind;
  KcpFields fields;

  KCP_DEBUG (KCP_DEBUG_FRAME, "<<< %s %s id=%" G_GUINT64_FORMAT " body=%" G_GSIZE_FORMAT,
             self->name, kcp_frame_kind_to_string (kind), frame->header.id,
             frame->body ? g_bytes_get_size (frame->body) : 0);

  if (!(self->accepts & (1u << kind)))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL, "%s frame, which has no place here now",
                   kcp_frame_kind_to_string (kind));
      return FALSE;
    }
  if (!kcp_codec_read_fields (frame, &fields, error) ||
      !kcp_frame_reader_claim_fds (self->reader, frame, fields.fd_count, error))
    return FALSE;

  if (kcp_channel_counts (kind))
    self->received++;

  switch (kind)
    {
    case KCP_FRAME_CALL:
      return take_call (self, frame, &fields, error);
    case KCP_FRAME_CANCEL:
      return take_cancel (self, frame, error);
    case KCP_FRAME_CREDIT:
      return take_credit (self, frame, &fields, error);
    case KCP_FRAME_ITEM:
    case KCP_FRAME_END:
    case KCP_FRAME_ERROR:
      return take_answer (self, frame, &fields, error);
    case KCP_FRAME_PING:
      kcp_channel_push (self, KCP_FRAME_PONG, 0, 0, NULL, 0, NULL, NULL);
      return TRUE;
    case KCP_FRAME_PONG:
    case KCP_FRAME_HELLO:
    case KCP_FRAME_OPEN:
    case KCP_FRAME_STATUS:
    case KCP_FRAME_LOG:
    case KCP_FRAME_SPAN:
    case KCP_FRAME_SET:
    case KCP_FRAME_GOODBYE:
    default:
      self->ops->link_frame (self->owner, self, kind, frame->body);
      return TRUE;
    }
}

/* ---- many frames ---- */

static void
end_with (KcpChannel *self,
          GError     *error)
{
  g_prefix_error (&error, "%s socket: ", self->name);
  kcp_channel_end (self, error);
  g_error_free (error);
}

/* Hands out what the reader has, frame by frame. User code may run in each, and may close us. */
static void
take_frames (KcpChannel *self,
             guint       budget)
{
  while (budget-- > 0 && !self->ended)
    {
      g_auto (KcpFrame) frame = { .body = NULL };
      GError *error = NULL;

      switch (kcp_frame_reader_take (self->reader, &frame, &error))
        {
        case KCP_TAKE_FRAME:
          if (take_frame (self, &frame, &error))
            continue;
          end_with (self, error);
          return;
        case KCP_TAKE_MORE:
          return;
        case KCP_TAKE_ERROR:
          end_with (self, error);
          return;
        default:
          g_assert_not_reached ();
        }
    }
}

static void
end_of_file (KcpChannel *self)
{
  GError *error = NULL;

  if (!kcp_frame_reader_is_empty (self->reader))
    g_set_error (&error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED,
                 "%s socket: closed in the middle of a frame", self->name);
  kcp_channel_end (self, error);
  g_clear_error (&error);
}

/* One turn: sends what waits, reads once, hands out what has come. Never blocks. FALSE: there
 * was nothing to read, or there never will be again. */
gboolean
kcp_channel_run (KcpChannel *self)
{
  g_autoptr (KcpChannel) keep = kcp_channel_ref (self);
  GError *error = NULL;

  if (self->ended)
    return FALSE;

  if (self->condition & G_IO_OUT)
    kcp_channel_flush_now (self);

  if (!kcp_frame_reader_ready (self->reader))
    switch (kcp_frame_reader_fill (self->reader, self->fd, &error))
      {
      case KCP_FILL_DATA:
        self->last_input = g_get_monotonic_time ();
        break;
      case KCP_FILL_AGAIN:
        return FALSE;
      case KCP_FILL_EOF:
        end_of_file (self);
        return FALSE;
      case KCP_FILL_ERROR:
        end_with (self, error);
        return FALSE;
      default:
        g_assert_not_reached ();
      }

  take_frames (self, FRAMES_PER_TURN);
  return TRUE;
}

/* All that has arrived by now, before something is judged by its absence. Bounded: a flood does
 * not keep the judge from his work. */
void
kcp_channel_drain (KcpChannel *self)
{
  for (guint i = 0; i < FILLS_PER_DRAIN && kcp_channel_run (self); i++)
    ;
}

/* The other socket has moved on: ends that waited for it may go. */
void
kcp_channel_release_held (KcpChannel *self)
{
  while (!self->closed)
    {
      KcpHeldAnswer *first = g_queue_peek_head (&self->held);

      if (first == NULL || self->ops->hold (self->owner, self, first->callbacks_sent))
        return;

      g_queue_pop_head (&self->held);
      finish_call (first);
    }
}

/* ---- the source ---- */

typedef struct
{
  GSource source;
  KcpChannel *channel;   /* borrowed: it destroys its source before it goes */
} ChannelSource;

/* Frames that one turn left in the reader do not make the socket readable again. */
static gboolean
source_prepare (GSource *source,
                int     *timeout)
{
  *timeout = -1;
  return kcp_frame_reader_ready (((ChannelSource *) source)->channel->reader);
}

static gboolean
source_check (GSource *source)
{
  KcpChannel *self = ((ChannelSource *) source)->channel;

  return g_source_query_unix_fd (source, self->tag) != 0 || kcp_frame_reader_ready (self->reader);
}

static gboolean
source_dispatch (GSource     *source,
                 GSourceFunc  callback,
                 gpointer     data)
{
  KcpChannel *self = ((ChannelSource *) source)->channel;

  self->ops->turn (self->owner, self);
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
  .prepare = source_prepare,
  .check = source_check,
  .dispatch = source_dispatch,
};

void
kcp_channel_attach (KcpChannel   *self,
                    GMainContext *context)
{
  g_return_if_fail (self->source == NULL);

  if (self->ended)
    return;

  self->source = g_source_new (&source_funcs, sizeof (ChannelSource));
  ((ChannelSource *) self->source)->channel = self;
  g_source_set_static_name (self->source, "kcp channel");
  /* Re-entrant, so that a nested loop goes on; and GLib need not take the descriptor out of the
   * poll set for the time of a dispatch. */
  g_source_set_can_recurse (self->source, TRUE);
  self->tag = g_source_add_unix_fd (self->source, self->fd, self->condition);
  g_source_attach (self->source, context);
}
