/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-types.h"

G_BEGIN_DECLS

/* Frames as PROTOCOL.md ("Frame") describes them: 16 bytes of header, fields, body.
 *
 *    0      4    5     6       8          16
 *    │length│kind│flags│fields │ call id  │ fields … │ body … │
 *           all numbers little-endian; length = fields + body
 *
 * Nothing here does I/O or allocates: a header is judged before a byte is set aside for it. */

#define KCP_FRAME_HEADER_SIZE 16
#define KCP_FRAME_DEFAULT_LIMIT (16u * 1024 * 1024)
#define KCP_FRAME_HELLO_LIMIT (64u * 1024)
#define KCP_FRAME_PATH_LIMIT 255
#define KCP_FRAME_FD_LIMIT 16

/* Frozen with protocol version 1. */
typedef enum
{
  KCP_FRAME_HELLO = 1,
  KCP_FRAME_OPEN = 2,
  KCP_FRAME_CALL = 3,
  KCP_FRAME_ITEM = 4,
  KCP_FRAME_END = 5,
  KCP_FRAME_ERROR = 6,
  KCP_FRAME_CANCEL = 7,
  KCP_FRAME_CREDIT = 8,
  KCP_FRAME_STATUS = 9,
  KCP_FRAME_LOG = 10,
  KCP_FRAME_SPAN = 11,
  KCP_FRAME_SET = 12,
  KCP_FRAME_PING = 13,
  KCP_FRAME_PONG = 14,
  KCP_FRAME_GOODBYE = 15,
} KcpFrameKind;

/* On a CALL: no reply is wanted. The only flag of version 1. */
#define KCP_FRAME_FLAG_NO_REPLY 0x01

/* Frozen with protocol version 1. */
typedef enum
{
  KCP_FIELD_PATH = 0x01,           /* UTF-8, 1 to 255 bytes */
  KCP_FIELD_TRACEPARENT = 0x02,    /* W3C traceparent */
  KCP_FIELD_TRACESTATE = 0x03,     /* W3C tracestate */
  KCP_FIELD_BAGGAGE = 0x04,        /* W3C baggage */
  KCP_FIELD_DEADLINE = 0x05,       /* u32: milliseconds left */
  KCP_FIELD_PARENT = 0x06,         /* u64: the call of the other direction inside which this one is made */
  KCP_FIELD_CREDIT = 0x07,         /* u32 items, u32 bytes */
  KCP_FIELD_CALLBACKS_SENT = 0x08, /* u64: frames sent on the callback socket so far */
  KCP_FIELD_FD_COUNT = 0x81,       /* u16: descriptors that ride on this frame */
  KCP_FIELD_CONTENT_TYPE = 0x82,   /* media type of the body when it is not JSON */
  KCP_FIELD_BODY_FD = 0x83,        /* u64: size of the body, which is in the last descriptor */
} KcpFieldTag;

#define KCP_FIELD_MUST_UNDERSTAND 0x80

typedef struct
{
  guint64 id;
  guint32 length;
  guint16 fields_length;
  guint8 kind;
  guint8 flags;
} KcpFrameHeader;

/* The fields of one frame. Texts are borrowed, not terminated, and not yet checked for what
 * they mean; @present has KCP_FIELD_BIT() set for each field that is there. */
typedef struct
{
  guint32 present;
  guint32 deadline_ms;
  guint32 credit_items;
  guint32 credit_bytes;
  guint64 parent;
  guint64 callbacks_sent;
  guint64 body_fd_size;
  const char *path;
  const char *traceparent;
  const char *tracestate;
  const char *baggage;
  const char *content_type;
  guint16 path_length;
  guint16 traceparent_length;
  guint16 tracestate_length;
  guint16 baggage_length;
  guint16 content_type_length;
  guint16 fd_count;
} KcpFields;

#define KCP_FIELD_BIT(tag) (1u << (((tag) & 0x0f) + (((tag) & KCP_FIELD_MUST_UNDERSTAND) ? 16 : 0)))
#define KCP_FIELDS_HAS(fields, tag) (((fields)->present & KCP_FIELD_BIT (tag)) != 0)

/* One frame taken from a reader. @fields is borrowed until the reader's next call or the end of
 * @body, whichever comes first. */
typedef struct
{
  KcpFrameHeader header;
  const guint8 *fields;
  GBytes *body;     /* owned; NULL or empty if the frame has none */
  GUnixFDList *fds; /* owned; NULL: none, or kcp_frame_reader_claim_fds() was not called yet */
} KcpFrame;

const char *kcp_frame_kind_to_string (guint8                 kind);
gboolean    kcp_frame_kind_is_link   (guint8                 kind);

void        kcp_frame_header_write   (const KcpFrameHeader  *header,
                                      guint8                *out);
gboolean    kcp_frame_header_read    (const guint8          *in,
                                      gsize                  limit,
                                      KcpFrameHeader        *header,
                                      GError               **error);

gsize       kcp_fields_size          (const KcpFields       *fields);
void        kcp_fields_write         (const KcpFields       *fields,
                                      guint8                *out,
                                      guint8               **deadline);
gboolean    kcp_fields_read          (const guint8          *in,
                                      gsize                  length,
                                      KcpFields             *fields,
                                      GError               **error);

void        kcp_frame_clear          (KcpFrame              *frame);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KcpFrame, kcp_frame_clear)

/* Little-endian numbers at any address. */
static inline void
kcp_put_u16 (guint8 *out, guint16 value)
{
  value = GUINT16_TO_LE (value);
  memcpy (out, &value, sizeof value);
}

static inline void
kcp_put_u32 (guint8 *out, guint32 value)
{
  value = GUINT32_TO_LE (value);
  memcpy (out, &value, sizeof value);
}

static inline void
kcp_put_u64 (guint8 *out, guint64 value)
{
  value = GUINT64_TO_LE (value);
  memcpy (out, &value, sizeof value);
}

static inline guint16
kcp_get_u16 (const guint8 *in)
{
  guint16 value;

  memcpy (&value, in, sizeof value);
  return GUINT16_FROM_LE (value);
}

static inline guint32
kcp_get_u32 (const guint8 *in)
{
  guint32 value;

  memcpy (&value, in, sizeof value);
  return GUINT32_FROM_LE (value);
}

static inline guint64
kcp_get_u64 (const guint8 *in)
{
  guint64 value;

  memcpy (&value, in, sizeof value);
  return GUINT64_FROM_LE (value);
}

G_END_DECLS
