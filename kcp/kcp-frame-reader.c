/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-frame-reader-private.h"

#include "kcp-error.h"

#include <errno.h>
#include <gio/gunixfdlist.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE (64 * 1024)

/* Descriptors of one receive: the kernel ends it behind the bytes they were sent with, so they
 * belong to one frame, whose first byte was in that receive. */
typedef struct
{
  GUnixFDList *list;
  guint64 from, to;    /* the bytes of that receive, counted from the first of all */
} Batch;

struct _KcpFrameReader
{
  gsize limit;
  guint8 *buffer;      /* BUFFER_SIZE bytes, made at the first read */
  gsize start, end;    /* what is in it and not taken yet */

  /* A frame that does not fit the buffer: its whole length, and how much is there. */
  guint8 *block;
  gsize block_size, block_end;

  /* Nothing is read while there is a whole frame and a batch, so two are enough: one of the frame
   * that is not whole yet, and one of the frame behind it. */
  gboolean takes_fds;
  Batch batches[2];
  guint n_batches;
  guint64 received, taken;   /* bytes so far */
  guint64 frame_start;       /* of the frame taken last */
};

KcpFrameReader *
kcp_frame_reader_new (gsize limit)
{
  KcpFrameReader *self = g_new0 (KcpFrameReader, 1);

  self->limit = limit;
  return self;
}

void
kcp_frame_reader_free (KcpFrameReader *self)
{
  kcp_frame_reader_drop_fds (self);
  g_free (self->buffer);
  g_free (self->block);
  g_free (self);
}

void
kcp_frame_reader_set_limit (KcpFrameReader *self,
                            gsize           limit)
{
  self->limit = limit;
}

/* A frame that the buffer cannot hold moves to a block once its header is there. This is done
 * when more bytes come and not in take(): who asks ready() before each take() would otherwise be
 * left with a full buffer and no frame. */
static void
begin_block (KcpFrameReader *self)
{
  KcpFrameHeader header;
  const guint8 *data;
  gsize size, available = self->end - self->start;

  if (available < KCP_FRAME_HEADER_SIZE)
    return;

  data = self->buffer + self->start;
  if (!kcp_frame_header_read (data, self->limit, &header, NULL))
    return;

  size = KCP_FRAME_HEADER_SIZE + (gsize) header.length;
  if (size <= BUFFER_SIZE)
    return;

  self->block = g_malloc (size);
  self->block_size = size;
  self->block_end = available;
  memcpy (self->block, data, available);
  self->start = self->end = 0;
}

/* Where the next bytes go. There is room unless whole frames fill the buffer. */
static guint8 *
room (KcpFrameReader *self,
      gsize          *size)
{
  if (self->block == NULL)
    begin_block (self);

  if (self->block)
    {
      *size = self->block_size - self->block_end;
      return self->block + self->block_end;
    }

  if (self->buffer == NULL)
    self->buffer = g_malloc (BUFFER_SIZE);

  if (self->start > 0)
    {
      memmove (self->buffer, self->buffer + self->start, self->end - self->start);
      self->end -= self->start;
      self->start = 0;
    }

  *size = BUFFER_SIZE - self->end;
  return self->buffer + self->end;
}

static void
grow (KcpFrameReader *self,
      gsize           count)
{
  if (self->block)
    self->block_end += count;
  else
    self->end += count;
  self->received += count;
}

void
kcp_frame_reader_allow_fds (KcpFrameReader *self)
{
  self->takes_fds = TRUE;
}

void
kcp_frame_reader_drop_fds (KcpFrameReader *self)
{
  while (self->n_batches > 0)
    g_clear_object (&self->batches[--self->n_batches].list);
}

static gboolean
refuse (GError    **error,
        const char *what)
{
  g_set_error_literal (error, KCP_ERROR, KCP_ERROR_PROTOCOL, what);
  return FALSE;
}

/* The descriptors of one receive, owned from here on; NULL: there are none. */
static GUnixFDList *
collect_descriptors (struct msghdr *message)
{
  g_autoptr (GArray) fds = NULL;

  for (struct cmsghdr *c = CMSG_FIRSTHDR (message); c; c = CMSG_NXTHDR (message, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
      {
        if (fds == NULL)
          fds = g_array_new (FALSE, FALSE, sizeof (int));
        g_array_append_vals (fds, CMSG_DATA (c), (guint) ((c->cmsg_len - CMSG_LEN (0)) / sizeof (int)));
      }

  return fds && fds->len > 0 ? g_unix_fd_list_new_from_array ((int *) (gpointer) fds->data, (int) fds->len) : NULL;
}

/* MSG_CTRUNC means that the kernel dropped some: more than a frame may have were sent, or this
 * process may open no more. What was refused is closed. */
static gboolean
take_descriptors (KcpFrameReader  *self,
                  struct msghdr   *message,
                  gsize            count,
                  GError         **error)
{
  g_autoptr (GUnixFDList) list = collect_descriptors (message);
  Batch *batch = &self->batches[self->n_batches];

  if (message->msg_flags & MSG_CTRUNC)
    return refuse (error, self->takes_fds ? "more descriptors were sent than a frame may have, or than this process can"
                                            " open"
                                          : "descriptors were sent that no frame claims");
  if (list == NULL)
    return TRUE;
  if (!self->takes_fds || self->n_batches == G_N_ELEMENTS (self->batches))
    return refuse (error, "descriptors were sent that no frame claims");

  batch->list = g_steal_pointer (&list);
  batch->from = self->received;
  batch->to = self->received + count;
  self->n_batches++;
  return TRUE;
}

gboolean
kcp_frame_reader_claim_fds (KcpFrameReader  *self,
                            KcpFrame        *frame,
                            guint            count,
                            GError         **error)
{
  Batch *batch = self->n_batches > 0 ? &self->batches[0] : NULL;
  guint came = 0;

  if (count == 0)
    {
      /* The frame that they belong to begins before their end, and all such frames are taken. */
      if (batch && batch->to <= self->taken)
        return refuse (error, "descriptors were sent that no frame claims");
      return TRUE;
    }

  if (!self->takes_fds)
    return refuse (error, "a frame announces descriptors, which has not been agreed on");

  if (batch && self->frame_start >= batch->from && self->frame_start < batch->to)
    came = (guint) g_unix_fd_list_get_length (batch->list);
  if (came != count)
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_PROTOCOL,
                   "a frame announces %u descriptors, with its first byte came %u", count, came);
      return FALSE;
    }

  frame->fds = g_steal_pointer (&batch->list);
  self->batches[0] = self->batches[1];
  self->batches[1].list = NULL;
  self->n_batches--;
  return TRUE;
}

/* One receive, never blocking. */
KcpFill
kcp_frame_reader_fill (KcpFrameReader  *self,
                       int              fd,
                       GError         **error)
{
  union
  {
    struct cmsghdr align;
    char space[CMSG_SPACE (sizeof (int) * KCP_FRAME_FD_LIMIT)];
  } control;
  struct iovec vector;
  struct msghdr message = {
    .msg_iov = &vector,
    .msg_iovlen = 1,
    .msg_control = control.space,
    .msg_controllen = sizeof control.space,
  };
  gssize count;
  int saved;

  vector.iov_base = room (self, &vector.iov_len);
  if (vector.iov_len == 0 || (self->n_batches > 0 && kcp_frame_reader_ready (self)))
    return KCP_FILL_AGAIN; /* full of whole frames, or one waits for its descriptors: take them first */

  do
    count = recvmsg (fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (count < 0 && errno == EINTR);
  saved = errno;

  if (count < 0)
    {
      if (saved == EAGAIN || saved == EWOULDBLOCK)
        return KCP_FILL_AGAIN;
      /* A peer that is gone with our bytes unread resets the connection: that is an end. */
      if (saved == ECONNRESET || saved == EPIPE)
        return KCP_FILL_EOF;
      g_set_error (error, KCP_ERROR, KCP_ERROR_CONNECTION_CLOSED,
                   "cannot read from the socket: %s", g_strerror (saved));
      return KCP_FILL_ERROR;
    }

  if (!take_descriptors (self, &message, (gsize) count, error))
    return KCP_FILL_ERROR;

  grow (self, (gsize) count);
  return count == 0 ? KCP_FILL_EOF : KCP_FILL_DATA;
}

/* The same from memory: accepts what fits and says how much that was. Whoever feeds takes all
 * frames in between. */
gsize
kcp_frame_reader_feed (KcpFrameReader *self,
                       const guint8   *data,
                       gsize           length)
{
  gsize size;
  guint8 *to = room (self, &size);
  gsize count = MIN (size, length);

  memcpy (to, data, count);
  grow (self, count);
  return count;
}

/* Whether take() would give a frame or an error without more bytes. */
gboolean
kcp_frame_reader_ready (KcpFrameReader *self)
{
  KcpFrameHeader header;

  if (self->block)
    return self->block_end == self->block_size;

  if (self->end - self->start < KCP_FRAME_HEADER_SIZE)
    return FALSE;

  if (!kcp_frame_header_read (self->buffer + self->start, self->limit, &header, NULL))
    return TRUE;

  return self->end - self->start >= KCP_FRAME_HEADER_SIZE + (gsize) header.length;
}

gboolean
kcp_frame_reader_is_empty (KcpFrameReader *self)
{
  return self->block == NULL && self->start == self->end;
}

static void
give (KcpFrame       *frame,
      KcpFrameHeader  header,
      const guint8   *fields,
      GBytes         *body)
{
  frame->header = header;
  frame->fields = fields;
  frame->body = body;
  frame->fds = NULL;
}

static void
count_frame (KcpFrameReader *self,
             gsize           size)
{
  self->frame_start = self->taken;
  self->taken += size;
}

/* The block's frame: the body keeps the block alive, and the fields lie in front of it. Where
 * there is no body, the block itself has to wait for the next call, as an empty slice. */
static KcpTake
take_block (KcpFrameReader *self,
            KcpFrame       *frame)
{
  g_autoptr (GBytes) whole = NULL;
  KcpFrameHeader header;
  gsize offset;
  const guint8 *data = self->block;

  /* Judged when the block was made; the limit cannot have been lowered since. */
  kcp_frame_header_read (data, G_MAXUINT32, &header, NULL);
  offset = KCP_FRAME_HEADER_SIZE + (gsize) header.fields_length;
  whole = g_bytes_new_take (g_steal_pointer (&self->block), self->block_size);
  give (frame, header, data + KCP_FRAME_HEADER_SIZE,
        g_bytes_new_from_bytes (whole, offset, self->block_size - offset));
  count_frame (self, self->block_size);
  self->block_size = self->block_end = 0;
  return KCP_TAKE_FRAME;
}

KcpTake
kcp_frame_reader_take (KcpFrameReader  *self,
                       KcpFrame        *frame,
                       GError         **error)
{
  KcpFrameHeader header;
  const guint8 *data;
  gsize size, available;

  if (self->block)
    return self->block_end == self->block_size ? take_block (self, frame) : KCP_TAKE_MORE;

  available = self->end - self->start;
  if (available < KCP_FRAME_HEADER_SIZE)
    return KCP_TAKE_MORE;

  data = self->buffer + self->start;
  if (!kcp_frame_header_read (data, self->limit, &header, error))
    return KCP_TAKE_ERROR;

  size = KCP_FRAME_HEADER_SIZE + (gsize) header.length;
  if (available < size)
    return KCP_TAKE_MORE;

  give (frame, header, data + KCP_FRAME_HEADER_SIZE,
        header.length > header.fields_length
          ? g_bytes_new (data + KCP_FRAME_HEADER_SIZE + header.fields_length,
                         header.length - header.fields_length)
          : NULL);

  /* The bytes stay where they are until the next fill, so the fields may be borrowed. */
  count_frame (self, size);
  self->start += size;
  if (self->start == self->end)
    self->start = self->end = 0;
  return KCP_TAKE_FRAME;
}
