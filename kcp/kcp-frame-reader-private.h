/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-frame-private.h"

G_BEGIN_DECLS

/* Bytes in, frames out. One fill is one receive; all whole frames of it are then taken one by
 * one. A frame larger than the read buffer gets a block of its own, into which the rest of it is
 * received directly; that block becomes its body without a copy. Descriptors are kept in the order
 * in which they came until the frame with whose first byte they came claims them. Not thread-safe. */
typedef struct _KcpFrameReader KcpFrameReader;

typedef enum
{
  KCP_FILL_DATA,    /* something was read */
  KCP_FILL_AGAIN,   /* nothing there now */
  KCP_FILL_EOF,     /* the other side has closed */
  KCP_FILL_ERROR,
} KcpFill;

typedef enum
{
  KCP_TAKE_FRAME,
  KCP_TAKE_MORE,    /* no whole frame yet */
  KCP_TAKE_ERROR,   /* KCP_ERROR_PROTOCOL; there is no way to go on */
} KcpTake;

KcpFrameReader *kcp_frame_reader_new       (gsize           limit);
void            kcp_frame_reader_free      (KcpFrameReader *self);
void            kcp_frame_reader_set_limit (KcpFrameReader *self,
                                            gsize           limit);
/* Until this is called, any descriptor is an error. */
void            kcp_frame_reader_allow_fds (KcpFrameReader *self);
/* Closes what no frame has claimed. */
void            kcp_frame_reader_drop_fds  (KcpFrameReader *self);

KcpFill         kcp_frame_reader_fill      (KcpFrameReader *self,
                                            int             fd,
                                            GError        **error);
gsize           kcp_frame_reader_feed      (KcpFrameReader *self,
                                            const guint8   *data,
                                            gsize           length);

gboolean        kcp_frame_reader_ready     (KcpFrameReader *self);
gboolean        kcp_frame_reader_is_empty  (KcpFrameReader *self);
KcpTake         kcp_frame_reader_take      (KcpFrameReader *self,
                                            KcpFrame       *frame,
                                            GError        **error);
/* For the frame taken last, with the count that its fields announce (0: none). FALSE with
 * KCP_ERROR_PROTOCOL: others came with it, or none, or some that belong to no frame. */
gboolean        kcp_frame_reader_claim_fds (KcpFrameReader *self,
                                            KcpFrame       *frame,
                                            guint           count,
                                            GError        **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpFrameReader, kcp_frame_reader_free)

G_END_DECLS
