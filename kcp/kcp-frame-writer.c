/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-frame-writer-private.h"

#include <gio/gunixfdlist.h>

/* Bodies from this size on are sent from where they lie instead of being copied. */
#define LARGE_BODY (16 * 1024)
#define MAX_VECTORS 32

/* No frame is added to a send that is this long already: the socket would not take it, and to lay
 * out and stamp a long queue anew for each send costs its length squared. */
#define ENOUGH_TO_SEND (1024 * 1024)

/* So many bytes of frames that were taken back may lie around before the rest moves together. */
#define HOLES_LIMIT (64 * 1024)

/* One frame that has not left completely. Its header, fields and small body are @inline_size
 * bytes of the lane's buffer; @body is a large one. */
typedef struct
{
  GBytes *body;
  GUnixFDList *fds;         /* NULL: none, or they have left */
  guint64 id;
  gint64 deadline_at;       /* 0: none */
  gsize inline_size;
  guint32 deadline_offset;  /* of the deadline's number in the inline bytes; 0: it stays as it is */
  guint8 n_fds;             /* as announced */
  guint8 kind;              /* 0: taken back before it was sent */
} Entry;

typedef struct
{
  GByteArray *bytes;
  gsize bytes_start;   /* before it: sent */
  GArray *entries;     /* of Entry */
  guint first;         /* before it: sent */
  gsize sent;          /* of the first entry */
  gsize holes;         /* bytes of entries that were taken back and are still there */
} Lane;

struct _KcpFrameWriter
{
  Lane lanes[KCP_N_LANES];
  gsize pending;
  gboolean stale;   /* a flush was blocked: deadlines have moved since frames were pushed */
};

static void
clear_entry (Entry *entry)
{
  g_clear_pointer (&entry->body, g_bytes_unref);
  g_clear_object (&entry->fds);
}

KcpFrameWriter *
kcp_frame_writer_new (void)
{
  KcpFrameWriter *self = g_new0 (KcpFrameWriter, 1);

  for (guint i = 0; i < KCP_N_LANES; i++)
    {
      self->lanes[i].bytes = g_byte_array_new ();
      self->lanes[i].entries = g_array_new (FALSE, FALSE, sizeof (Entry));
      g_array_set_clear_func (self->lanes[i].entries, (GDestroyNotify) clear_entry);
    }

  return self;
}

void
kcp_frame_writer_free (KcpFrameWriter *self)
{
  for (guint i = 0; i < KCP_N_LANES; i++)
    {
      g_byte_array_unref (self->lanes[i].bytes);
      g_array_unref (self->lanes[i].entries);
    }
  g_free (self);
}

guint32
kcp_frame_deadline_ms (gint64 deadline_at)
{
  gint64 left = deadline_at - g_get_monotonic_time ();

  /* Rounded up: the callee must not give up before the caller does. */
  return (guint32) CLAMP ((left + 999) / 1000, 0, G_MAXUINT32);
}

static gsize
entry_size (const Entry *entry)
{
  return entry->inline_size + (entry->body ? g_bytes_get_size (entry->body) : 0);
}

static KcpLane
lane_of (KcpFrameKind kind)
{
  switch (kind)
    {
    case KCP_FRAME_PING:
    case KCP_FRAME_PONG:
    case KCP_FRAME_CREDIT:
    case KCP_FRAME_CANCEL:
      return KCP_LANE_URGENT;
    case KCP_FRAME_HELLO:
    case KCP_FRAME_OPEN:
    case KCP_FRAME_CALL:
    case KCP_FRAME_ITEM:
    case KCP_FRAME_END:
    case KCP_FRAME_ERROR:
    case KCP_FRAME_STATUS:
    case KCP_FRAME_LOG:
    case KCP_FRAME_SPAN:
    case KCP_FRAME_SET:
    case KCP_FRAME_GOODBYE:
    default:
      return KCP_LANE_ORDERED;
    }
}

static void
push_to_lane (KcpFrameWriter  *self,
              Lane            *lane,
              KcpFrameKind     kind,
              guint8           flags,
              guint64          id,
              const KcpFields *fields,
              gint64           deadline_at,
              GBytes          *body,
              GUnixFDList     *fds)
{
  gsize fields_size = fields ? kcp_fields_size (fields) : 0;
  gsize body_size = body ? g_bytes_get_size (body) : 0;
  gsize copied = body_size < LARGE_BODY ? body_size : 0;
  KcpFrameHeader header = {
    .length = (guint32) (fields_size + body_size),
    .kind = (guint8) kind,
    .flags = flags,
    .fields_length = (guint16) fields_size,
    .id = id,
  };
  Entry entry = {
    .id = id,
    .kind = (guint8) kind,
    .deadline_at = deadline_at,
    .inline_size = KCP_FRAME_HEADER_SIZE + fields_size + copied,
    .fds = fds ? g_object_ref (fds) : NULL,
    .n_fds = fds ? (guint8) fields->fd_count : 0,
  };
  guint8 *out, *deadline = NULL;
  guint offset = lane->bytes->len;

  g_byte_array_set_size (lane->bytes, offset + (guint) entry.inline_size);
  out = lane->bytes->data + offset;
  kcp_frame_header_write (&header, out);
  if (fields)
    kcp_fields_write (fields, out + KCP_FRAME_HEADER_SIZE, &deadline);
  if (copied > 0)
    memcpy (out + KCP_FRAME_HEADER_SIZE + fields_size, g_bytes_get_data (body, NULL), copied);
  else if (body_size > 0)
    entry.body = g_bytes_ref (body);

  if (deadline && deadline_at != 0)
    entry.deadline_offset = (guint32) (deadline - out);

  g_array_append_val (lane->entries, entry);
  self->pending += entry_size (&entry);
}

/* Queues one frame; nothing is sent. The caller has checked the size against the link's limit
 * and each field against its own. @fields may be %NULL; @deadline_at belongs to the deadline in
 * @fields, or is 0 if that is to be sent as it is. */
void
kcp_frame_writer_push (KcpFrameWriter  *self,
                       KcpFrameKind     kind,
                       guint8           flags,
                       guint64          id,
                       const KcpFields *fields,
                       gint64           deadline_at,
                       GBytes          *body)
{
  kcp_frame_writer_push_fds (self, kind, flags, id, fields, deadline_at, body, NULL);
}

void
kcp_frame_writer_push_fds (KcpFrameWriter  *self,
                           KcpFrameKind     kind,
                           guint8           flags,
                           guint64          id,
                           const KcpFields *fields,
                           gint64           deadline_at,
                           GBytes          *body,
                           GUnixFDList     *fds)
{
  push_to_lane (self, &self->lanes[lane_of (kind)], kind, flags, id, fields, deadline_at, body, fds);
}

static Entry *
find_unsent_call (KcpFrameWriter *self,
                  guint64         id)
{
  Lane *lane = &self->lanes[KCP_LANE_ORDERED];

  for (guint i = lane->first + (lane->sent > 0 ? 1 : 0); i < lane->entries->len; i++)
    {
      Entry *entry = &g_array_index (lane->entries, Entry, i);

      if (entry->kind == KCP_FRAME_CALL && entry->id == id)
        return entry;
    }

  return NULL;
}

/* Moves what has not left to the front of the buffers, over what has left and what was taken back. */
static void
compact (Lane *lane)
{
  gsize from = lane->bytes_start, to = 0;
  guint kept = 0;

  for (guint i = lane->first; i < lane->entries->len; i++)
    {
      Entry *entry = &g_array_index (lane->entries, Entry, i);
      Entry moved = *entry;

      if (moved.kind != 0)
        {
          /* Body and descriptors move along; what is cut off below must not drop them. */
          entry->body = NULL;
          entry->fds = NULL;
          g_array_index (lane->entries, Entry, kept++) = moved;
          memmove (lane->bytes->data + to, lane->bytes->data + from, moved.inline_size);
          to += moved.inline_size;
        }
      from += moved.inline_size;
    }

  g_array_set_size (lane->entries, kept);
  g_byte_array_set_size (lane->bytes, (guint) to);
  lane->first = 0;
  lane->bytes_start = 0;
  lane->holes = 0;
}

/* Takes back a CALL of which nothing has left yet. FALSE: it is on its way, or not here. */
gboolean
kcp_frame_writer_remove_call (KcpFrameWriter *self,
                              guint64         id)
{
  Lane *lane = &self->lanes[KCP_LANE_ORDERED];
  Entry *entry = find_unsent_call (self, id);

  if (entry == NULL)
    return FALSE;

  self->pending -= entry_size (entry);
  entry->kind = 0;
  clear_entry (entry);

  /* Calls may come and time out without end while nothing can leave. */
  lane->holes += entry->inline_size;
  if (lane->holes > HOLES_LIMIT && lane->holes > lane->bytes->len / 2)
    compact (lane);
  return TRUE;
}

/* Queues a CANCEL so that it cannot arrive before its CALL: ahead of all data where that has
 * begun to leave, behind it where not. */
void
kcp_frame_writer_push_cancel (KcpFrameWriter *self,
                              guint64         id)
{
  KcpLane lane = find_unsent_call (self, id) ? KCP_LANE_ORDERED : KCP_LANE_URGENT;

  push_to_lane (self, &self->lanes[lane], KCP_FRAME_CANCEL, 0, id, NULL, 0, NULL, NULL);
}

gsize
kcp_frame_writer_get_pending (KcpFrameWriter *self)
{
  return self->pending;
}

/* ---- leaving ---- */

static gboolean
lane_is_empty (const Lane *lane)
{
  return lane->first == lane->entries->len;
}

static void
empty_lane (Lane *lane)
{
  g_array_set_size (lane->entries, 0);
  g_byte_array_set_size (lane->bytes, 0);
  lane->first = 0;
  lane->bytes_start = 0;
}

void
kcp_frame_writer_clear (KcpFrameWriter *self)
{
  for (guint i = 0; i < KCP_N_LANES; i++)
    {
      empty_lane (&self->lanes[i]);
      self->lanes[i].sent = 0;
      self->lanes[i].holes = 0;
    }
  self->pending = 0;
}

static void
drop_first (Lane *lane)
{
  Entry *entry = &g_array_index (lane->entries, Entry, lane->first);

  lane->bytes_start += entry->inline_size;
  if (entry->kind == 0)
    lane->holes -= entry->inline_size;
  clear_entry (entry);
  lane->first++;
  lane->sent = 0;

  if (lane_is_empty (lane))
    empty_lane (lane);
  else if (lane->first > 1024 && lane->first > lane->entries->len / 2)
    compact (lane);
}

static void
skip_removed (Lane *lane)
{
  while (!lane_is_empty (lane) && g_array_index (lane->entries, Entry, lane->first).kind == 0)
    drop_first (lane);
}

static void
add_vector (struct iovec *vectors,
            guint        *count,
            const guint8 *data,
            gsize         size)
{
  if (size == 0)
    return;

  if (*count > 0 && (const guint8 *) vectors[*count - 1].iov_base + vectors[*count - 1].iov_len == data)
    {
      vectors[*count - 1].iov_len += size;
      return;
    }

  vectors[*count].iov_base = (gpointer) data;
  vectors[*count].iov_len = size;
  (*count)++;
}

/* Lays out what the lane has, from the first byte that has not left, frame after frame. With
 * @only_first it stops at the end of a frame that has begun. A frame with descriptors stands
 * alone, and is given in @with_fds. */
static guint
collect (KcpFrameWriter *self,
         Lane           *lane,
         gboolean        only_first,
         struct iovec   *vectors,
         const Entry   **with_fds)
{
  guint count = 0;
  gsize offset = lane->bytes_start, total = 0;

  for (guint i = lane->first; i < lane->entries->len; i++)
    {
      Entry *entry = &g_array_index (lane->entries, Entry, i);
      gsize skip = i == lane->first ? lane->sent : 0;
      gsize body_size = entry->body ? g_bytes_get_size (entry->body) : 0;
      guint8 *data = lane->bytes->data + offset;

      offset += entry->inline_size;
      if (entry->kind == 0)
        continue;
      if (entry->fds && count > 0)
        break;

      if (self->stale && skip == 0 && entry->deadline_offset > 0)
        kcp_put_u32 (data + entry->deadline_offset, kcp_frame_deadline_ms (entry->deadline_at));

      if (skip < entry->inline_size)
        add_vector (vectors, &count, data + skip, entry->inline_size - skip);
      skip = skip > entry->inline_size ? skip - entry->inline_size : 0;
      if (body_size > skip)
        add_vector (vectors, &count,
                    (const guint8 *) g_bytes_get_data (entry->body, NULL) + skip, body_size - skip);

      if (entry->fds)
        *with_fds = entry;
      total += entry_size (entry);
      if (only_first || entry->fds || count + 2 > MAX_VECTORS || total >= ENOUGH_TO_SEND)
        break;
    }

  return count;
}

static void
consume (KcpFrameWriter *self,
         Lane           *lane,
         gsize           count)
{
  self->pending -= count;

  while (count > 0)
    {
      gsize left;

      skip_removed (lane);
      left = entry_size (&g_array_index (lane->entries, Entry, lane->first)) - lane->sent;
      if (count < left)
        {
          /* Descriptors have left with the first byte. */
          g_clear_object (&g_array_index (lane->entries, Entry, lane->first).fds);
          lane->sent += count;
          return;
        }
      count -= left;
      drop_first (lane);
    }
}

/* The lane whose turn it is: a frame that has begun is finished first, then urgent ones go. */
static Lane *
next_lane (KcpFrameWriter *self,
           gboolean       *only_first)
{
  Lane *urgent = &self->lanes[KCP_LANE_URGENT];
  Lane *ordered = &self->lanes[KCP_LANE_ORDERED];

  skip_removed (ordered);
  *only_first = FALSE;

  if (ordered->sent > 0)
    {
      *only_first = !lane_is_empty (urgent);
      return ordered;
    }
  if (!lane_is_empty (urgent))
    return urgent;

  return lane_is_empty (ordered) ? NULL : ordered;
}

/* Sends all that the socket takes now. Never blocks, never raises SIGPIPE. */
KcpFlush
kcp_frame_writer_flush (KcpFrameWriter  *self,
                        int              fd,
                        GError         **error)
{
  gboolean only_first;
  Lane *lane;

  while ((lane = next_lane (self, &only_first)))
    {
      struct iovec vectors[MAX_VECTORS];
      const Entry *with_fds = NULL;
      guint n_vectors = collect (self, lane, only_first, vectors, &with_fds);
      gsize count = 0;
      KcpFlush result = kcp_frame_send (fd, vectors, n_vectors, with_fds ? with_fds->fds : NULL,
                                        with_fds ? with_fds->n_fds : 0, &count, error);

      if (result == KCP_FLUSH_BLOCKED)
        self->stale = TRUE;
      if (result != KCP_FLUSH_DONE)
        return result;

      consume (self, lane, count);
    }

  self->stale = FALSE;
  return KCP_FLUSH_DONE;
}
