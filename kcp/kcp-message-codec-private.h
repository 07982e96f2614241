/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-frame-private.h"
#include "kcp-message.h"

G_BEGIN_DECLS

/* Between frames and messages. Decoding is the gate for all that a peer may get wrong in a
 * frame; what comes out of it may be trusted to have the right shape. Pure: no I/O, no state. */

/* What a CALL frame says beyond its message. */
typedef struct
{
  KcpMessage *message;
  gint64 deadline_at;   /* monotonic µs; 0 for none */
  guint64 parent;       /* 0 for none */
  guint64 id;
  gboolean no_reply;
} KcpIncomingCall;

/* Fills in @fields from @message; texts stay owned by it. FALSE with KCP_ERROR_INVALID_MESSAGE
 * or KCP_ERROR_TOO_LARGE. */
gboolean    kcp_codec_fill_fields    (KcpMessage       *message,
                                      KcpFrameKind      kind,
                                      KcpFields        *fields,
                                      GError          **error);

/* FALSE with KCP_ERROR_PROTOCOL: a field is missing, or stands where it may not. */
gboolean    kcp_codec_read_fields    (const KcpFrame   *frame,
                                      KcpFields        *fields,
                                      GError          **error);

void        kcp_codec_decode_call    (const KcpFrame   *frame,
                                      const KcpFields  *fields,
                                      KcpIncomingCall  *call);
KcpMessage *kcp_codec_decode_message (const KcpFrame   *frame,
                                      const KcpFields  *fields);

GBytes     *kcp_codec_encode_error   (const GError     *error);
GError     *kcp_codec_decode_error   (GBytes           *body,
                                      GError          **protocol_error);

/* The JSON object in the body of a link frame. */
JsonObject *kcp_codec_decode_object  (const char       *kind,
                                      GBytes           *body,
                                      GError          **error);
GBytes     *kcp_codec_encode_object  (JsonObject       *object);

/* A path is 1 to 255 bytes of UTF-8 without control characters. */
gboolean    kcp_codec_path_is_valid  (const char       *path,
                                      gsize             length);

/* Checked members of a JSON object: the default when it is absent, an error when it has another
 * type or range. */
gboolean    kcp_codec_get_string     (JsonObject       *object,
                                      const char       *name,
                                      const char      **value,
                                      GError          **error);
gboolean    kcp_codec_get_int        (JsonObject       *object,
                                      const char       *name,
                                      gint64            minimum,
                                      gint64            maximum,
                                      gint64           *value,
                                      GError          **error);

G_END_DECLS
