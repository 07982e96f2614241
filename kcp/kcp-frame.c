/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-frame-private.h"

#include "kcp-error.h"

#include <gio/gunixfdlist.h>

static const struct
{
  const char *name;
  gboolean link;   /* about the link, not about a call: the id is 0 */
  guint8 flags;    /* those that may be set */
} kinds[] = {
  [KCP_FRAME_HELLO] = { "HELLO", TRUE, 0 },
  [KCP_FRAME_OPEN] = { "OPEN", TRUE, 0 },
  [KCP_FRAME_CALL] = { "CALL", FALSE, KCP_FRAME_FLAG_NO_REPLY },
  [KCP_FRAME_ITEM] = { "ITEM", FALSE, 0 },
  [KCP_FRAME_END] = { "END", FALSE, 0 },
  [KCP_FRAME_ERROR] = { "ERROR", FALSE, 0 },
  [KCP_FRAME_CANCEL] = { "CANCEL", FALSE, 0 },
  [KCP_FRAME_CREDIT] = { "CREDIT", FALSE, 0 },
  [KCP_FRAME_STATUS] = { "STATUS", TRUE, 0 },
  [KCP_FRAME_LOG] = { "LOG", TRUE, 0 },
  [KCP_FRAME_SPAN] = { "SPAN", TRUE, 0 },
  [KCP_FRAME_SET] = { "SET", TRUE, 0 },
  [KCP_FRAME_PING] = { "PING", TRUE, 0 },
  [KCP_FRAME_PONG] = { "PONG", TRUE, 0 },
  [KCP_FRAME_GOODBYE] = { "GOODBYE", TRUE, 0 },
};

const char *
kcp_frame_kind_to_string (guint8 kind)
{
  if (kind >= G_N_ELEMENTS (kinds) || kinds[kind].name == NULL)
    return "?";

  return kinds[kind].name;
}

gboolean
kcp_frame_kind_is_link (guint8 kind)
{
  return kind < G_N_ELEMENTS (kinds) && kinds[kind].link;
}

void
kcp_frame_header_write (const KcpFrameHeader *header,
                        guint8               *out)
{
  kcp_put_u32 (out, header->length);
  out[4] = header->kind;
  out[5] = header->flags;
  kcp_put_u16 (out + 6, header->fields_length);
  kcp_put_u64 (out + 8, header->id);
}

static gboolean
refuse (GError    **error,
        const char *format,
        ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError    **error,
        const char *format,
        ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (KCP_ERROR, KCP_ERROR_PROTOCOL, format, args);
  va_end (args);
  return FALSE;
}

/* Reads and judges a header; @limit is what this side announced. The gate for everything that a
 * header can get wrong: after it, length and kind may be trusted. */
gboolean
kcp_frame_header_read (const guint8    *in,
                       gsize            limit,
                       KcpFrameHeader  *header,
                       GError         **error)
{
  const char *name;

  header->length = kcp_get_u32 (in);
  header->kind = in[4];
  header->flags = in[5];
  header->fields_length = kcp_get_u16 (in + 6);
  header->id = kcp_get_u64 (in + 8);

  if (header->kind >= G_N_ELEMENTS (kinds) || kinds[header->kind].name == NULL)
    return refuse (error, "frame of unknown kind %u", header->kind);

  name = kinds[header->kind].name;
  if (header->flags & ~kinds[header->kind].flags)
    return refuse (error, "%s frame with unknown flags 0x%02x", name, header->flags);

  if (header->length > limit)
    return refuse (error, "%s frame of %u bytes, the limit is %" G_GSIZE_FORMAT,
                   name, header->length, limit);

  if (header->fields_length > header->length)
    return refuse (error, "%s frame whose fields (%u bytes) are longer than the frame (%u bytes)",
                   name, header->fields_length, header->length);

  if (kinds[header->kind].link && header->id != 0)
    return refuse (error, "%s frame with a call id (%" G_GUINT64_FORMAT ")", name, header->id);

  if (!kinds[header->kind].link && header->id == 0)
    return refuse (error, "%s frame without a call id", name);

  return TRUE;
}

/* ---- fields: tag u8 · zero u8 · length u16 · bytes ---- */

#define FIELD_HEADER_SIZE 4

static inline gsize
text_field_size (const KcpFields *fields,
                 KcpFieldTag      tag,
                 gsize            length)
{
  return KCP_FIELDS_HAS (fields, tag) ? FIELD_HEADER_SIZE + length : 0;
}

gsize
kcp_fields_size (const KcpFields *fields)
{
  return text_field_size (fields, KCP_FIELD_PATH, fields->path_length) +
         text_field_size (fields, KCP_FIELD_TRACEPARENT, fields->traceparent_length) +
         text_field_size (fields, KCP_FIELD_TRACESTATE, fields->tracestate_length) +
         text_field_size (fields, KCP_FIELD_BAGGAGE, fields->baggage_length) +
         text_field_size (fields, KCP_FIELD_DEADLINE, 4) +
         text_field_size (fields, KCP_FIELD_PARENT, 8) +
         text_field_size (fields, KCP_FIELD_CREDIT, 8) +
         text_field_size (fields, KCP_FIELD_CALLBACKS_SENT, 8) +
         text_field_size (fields, KCP_FIELD_FD_COUNT, 2) +
         text_field_size (fields, KCP_FIELD_BODY_FD, 8) +
         text_field_size (fields, KCP_FIELD_CONTENT_TYPE, fields->content_type_length);
}

static guint8 *
begin_field (guint8      *out,
             KcpFieldTag  tag,
             guint16      length)
{
  out[0] = (guint8) tag;
  out[1] = 0;
  kcp_put_u16 (out + 2, length);
  return out + FIELD_HEADER_SIZE;
}

static guint8 *
write_text (guint8      *out,
            KcpFieldTag  tag,
            const char  *text,
            guint16      length)
{
  out = begin_field (out, tag, length);
  memcpy (out, text, length);
  return out + length;
}

/* Writes kcp_fields_size() bytes. @deadline is set to the place of the deadline's number, so that
 * a frame which had to wait can be stamped anew, or to %NULL. */
void
kcp_fields_write (const KcpFields  *fields,
                  guint8           *out,
                  guint8          **deadline)
{
  *deadline = NULL;

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_PATH))
    out = write_text (out, KCP_FIELD_PATH, fields->path, fields->path_length);
  if (KCP_FIELDS_HAS (fields, KCP_FIELD_TRACEPARENT))
    out = write_text (out, KCP_FIELD_TRACEPARENT, fields->traceparent, fields->traceparent_length);
  if (KCP_FIELDS_HAS (fields, KCP_FIELD_TRACESTATE))
    out = write_text (out, KCP_FIELD_TRACESTATE, fields->tracestate, fields->tracestate_length);
  if (KCP_FIELDS_HAS (fields, KCP_FIELD_BAGGAGE))
    out = write_text (out, KCP_FIELD_BAGGAGE, fields->baggage, fields->baggage_length);

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_DEADLINE))
    {
      out = begin_field (out, KCP_FIELD_DEADLINE, 4);
      *deadline = out;
      kcp_put_u32 (out, fields->deadline_ms);
      out += 4;
    }

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_PARENT))
    {
      out = begin_field (out, KCP_FIELD_PARENT, 8);
      kcp_put_u64 (out, fields->parent);
      out += 8;
    }

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_CREDIT))
    {
      out = begin_field (out, KCP_FIELD_CREDIT, 8);
      kcp_put_u32 (out, fields->credit_items);
      kcp_put_u32 (out + 4, fields->credit_bytes);
      out += 8;
    }

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_CALLBACKS_SENT))
    {
      out = begin_field (out, KCP_FIELD_CALLBACKS_SENT, 8);
      kcp_put_u64 (out, fields->callbacks_sent);
      out += 8;
    }

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_FD_COUNT))
    {
      out = begin_field (out, KCP_FIELD_FD_COUNT, 2);
      kcp_put_u16 (out, fields->fd_count);
      out += 2;
    }

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_BODY_FD))
    {
      out = begin_field (out, KCP_FIELD_BODY_FD, 8);
      kcp_put_u64 (out, fields->body_fd_size);
      out += 8;
    }

  if (KCP_FIELDS_HAS (fields, KCP_FIELD_CONTENT_TYPE))
    write_text (out, KCP_FIELD_CONTENT_TYPE, fields->content_type, fields->content_type_length);
}

/* Takes one known field; its size is judged here, its meaning in the codec. */
static gboolean
read_field (KcpFields     *fields,
            guint8         tag,
            const guint8  *value,
            guint16        length,
            GError       **error)
{
  guint16 expected = length;

  switch (tag)
    {
    case KCP_FIELD_PATH:
      fields->path = (const char *) value;
      fields->path_length = length;
      break;
    case KCP_FIELD_TRACEPARENT:
      fields->traceparent = (const char *) value;
      fields->traceparent_length = length;
      break;
    case KCP_FIELD_TRACESTATE:
      fields->tracestate = (const char *) value;
      fields->tracestate_length = length;
      break;
    case KCP_FIELD_BAGGAGE:
      fields->baggage = (const char *) value;
      fields->baggage_length = length;
      break;
    case KCP_FIELD_CONTENT_TYPE:
      fields->content_type = (const char *) value;
      fields->content_type_length = length;
      break;
    case KCP_FIELD_DEADLINE:
      if (length == (expected = 4))
        fields->deadline_ms = kcp_get_u32 (value);
      break;
    case KCP_FIELD_PARENT:
      if (length == (expected = 8))
        fields->parent = kcp_get_u64 (value);
      break;
    case KCP_FIELD_CREDIT:
      if (length == (expected = 8))
        {
          fields->credit_items = kcp_get_u32 (value);
          fields->credit_bytes = kcp_get_u32 (value + 4);
        }
      break;
    case KCP_FIELD_CALLBACKS_SENT:
      if (length == (expected = 8))
        fields->callbacks_sent = kcp_get_u64 (value);
      break;
    case KCP_FIELD_FD_COUNT:
      if (length == (expected = 2))
        fields->fd_count = kcp_get_u16 (value);
      break;
    case KCP_FIELD_BODY_FD:
      if (length == (expected = 8))
        fields->body_fd_size = kcp_get_u64 (value);
      break;
    default:
      if (tag & KCP_FIELD_MUST_UNDERSTAND)
        return refuse (error, "unknown field 0x%02x that must be understood", tag);
      return TRUE;
    }

  if (length != expected)
    return refuse (error, "field 0x%02x of %u bytes, expected %u", tag, length, expected);

  if (KCP_FIELDS_HAS (fields, tag))
    return refuse (error, "field 0x%02x is there twice", tag);

  fields->present |= KCP_FIELD_BIT (tag);
  return TRUE;
}

gboolean
kcp_fields_read (const guint8  *in,
                 gsize          length,
                 KcpFields     *fields,
                 GError       **error)
{
  const guint8 *end = in + length;

  memset (fields, 0, sizeof *fields);

  while (in < end)
    {
      guint16 size;

      if (end - in < FIELD_HEADER_SIZE)
        return refuse (error, "fields end in the middle of a field's header");

      size = kcp_get_u16 (in + 2);
      if (in[1] != 0)
        return refuse (error, "field 0x%02x has 0x%02x where zero is reserved", in[0], in[1]);
      if (end - in - FIELD_HEADER_SIZE < size)
        return refuse (error, "field 0x%02x of %u bytes reaches beyond the fields", in[0], size);
      if (!read_field (fields, in[0], in + FIELD_HEADER_SIZE, size, error))
        return FALSE;

      in += FIELD_HEADER_SIZE + size;
    }

  return TRUE;
}

void
kcp_frame_clear (KcpFrame *frame)
{
  g_clear_pointer (&frame->body, g_bytes_unref);
  g_clear_object (&frame->fds);
}
