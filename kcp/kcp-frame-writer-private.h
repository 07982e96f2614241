/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-frame-private.h"
#include "kcp-frame-send-private.h"

G_BEGIN_DECLS

/* Frames in, bytes out. Small frames lie one behind the other in one reused buffer; a large body
 * stays where it is and is sent from there. Frames of the urgent lane overtake those of the other
 * lane, but never break into a frame that has begun to leave. Descriptors leave with the first byte
 * of their frame, which has a send to itself. Not thread-safe. */
typedef struct _KcpFrameWriter KcpFrameWriter;

typedef enum
{
  KCP_LANE_URGENT,   /* PING, PONG, CREDIT, CANCEL */
  KCP_LANE_ORDERED,  /* all others */
  KCP_N_LANES,
} KcpLane;

KcpFrameWriter *kcp_frame_writer_new         (void);
void            kcp_frame_writer_free        (KcpFrameWriter   *self);

void            kcp_frame_writer_push        (KcpFrameWriter   *self,
                                              KcpFrameKind      kind,
                                              guint8            flags,
                                              guint64           id,
                                              const KcpFields  *fields,
                                              gint64            deadline_at,
                                              GBytes           *body);
/* @fds (nullable): at most KCP_FRAME_FD_LIMIT, as many as @fields says; a reference is taken, and
 * given back when they have left, or when the frame is dropped. Nobody may change the list. */
void            kcp_frame_writer_push_fds    (KcpFrameWriter   *self,
                                              KcpFrameKind      kind,
                                              guint8            flags,
                                              guint64           id,
                                              const KcpFields  *fields,
                                              gint64            deadline_at,
                                              GBytes           *body,
                                              GUnixFDList      *fds);
/* Drops all that waits: there is nobody to send it to any more. */
void            kcp_frame_writer_clear       (KcpFrameWriter   *self);
gboolean        kcp_frame_writer_remove_call (KcpFrameWriter   *self,
                                              guint64           id);
void            kcp_frame_writer_push_cancel (KcpFrameWriter   *self,
                                              guint64           id);
gsize           kcp_frame_writer_get_pending (KcpFrameWriter   *self);
KcpFlush        kcp_frame_writer_flush       (KcpFrameWriter   *self,
                                              int               fd,
                                              GError          **error);

/* Milliseconds from now until @deadline_at (monotonic, µs), as a frame carries them. */
guint32         kcp_frame_deadline_ms        (gint64            deadline_at);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpFrameWriter, kcp_frame_writer_free)

G_END_DECLS
