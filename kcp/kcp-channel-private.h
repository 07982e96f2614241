/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-call-private.h"
#include "kcp-frame-reader-private.h"
#include "kcp-frame-writer-private.h"
#include "kcp-invocation-private.h"
#include "kcp-message-codec-private.h"

G_BEGIN_DECLS

/* The two-way multiplexer over one socket; the same at both ends.
 *
 *                     ┌───────────── channel ─────────────┐
 *   socket ─► reader ─┤ ITEM END ERROR ─► calls by id      ├─► user code
 *                     │ CALL CANCEL ────► invocations by id│
 *                     │ all other kinds ► link             │
 *   socket ◄─ writer ─┤ ◄─ calls, answers, link frames     │
 *                     └───────────────────────────────────┘
 *
 * One GSource in the context of its owner. Re-entrant: while a frame is with user code, a nested
 * main loop goes on with the next one. Belongs to one thread. */

typedef struct _KcpChannel KcpChannel;

typedef struct
{
  /* The channel's source has its turn: call kcp_channel_run(), in whatever has to be around it. */
  void     (*turn)       (gpointer owner, KcpChannel *channel);
  /* A CALL came; takes call->message. */
  void     (*call)       (gpointer owner, KcpChannel *channel, KcpIncomingCall *call);
  /* An answer came that follows @callbacks_sent frames of the other socket. TRUE: keep it until
   * kcp_channel_release_held(). */
  gboolean (*hold)       (gpointer owner, KcpChannel *channel, guint64 callbacks_sent);
  /* An invocation is over: answered, cancelled by the caller, or cut off. */
  void     (*dropped)    (gpointer owner, KcpChannel *channel, KcpInvocation *invocation);
  /* A frame about the link. */
  void     (*link_frame) (gpointer owner, KcpChannel *channel, KcpFrameKind kind, GBytes *body);
  /* So much was unwritten that callers held back; now there is room again. */
  void     (*room)       (gpointer owner, KcpChannel *channel);
  /* Nothing will come any more: @error, or NULL for an ordinary end of file. Once. */
  void     (*ended)      (gpointer owner, KcpChannel *channel, const GError *error);
} KcpChannelOps;

/* Takes @reader, which may hold bytes that came with the handshake. @accepts has bit (1 << kind)
 * for each kind that the other end may send. @counted: the other end counts our frames, to keep
 * the order between two sockets. */
KcpChannel *kcp_channel_new            (const char           *name,
                                        GSocketConnection    *connection,
                                        KcpFrameReader       *reader,
                                        guint32               accepts,
                                        gboolean              counted,
                                        gsize                 frame_limit,
                                        const KcpChannelOps  *ops,
                                        gpointer              owner);
KcpChannel *kcp_channel_ref            (KcpChannel           *self);
void        kcp_channel_unref          (KcpChannel           *self);

/* The feature “fds” is in force. */
void        kcp_channel_allow_fds      (KcpChannel           *self);
void        kcp_channel_attach         (KcpChannel           *self,
                                        GMainContext         *context);
int         kcp_channel_get_fd         (KcpChannel           *self);
gboolean    kcp_channel_is_open        (KcpChannel           *self);
GIOCondition kcp_channel_get_condition (KcpChannel           *self);

/* Sends what waits, reads what is there, hands out what has come. Never blocks. FALSE: there
 * was nothing to read. */
gboolean    kcp_channel_run            (KcpChannel           *self);
void        kcp_channel_drain          (KcpChannel           *self);

/* Calls of this side. */
/* Whether a message could be sent as a call at all; @size is what it counts. */
gboolean    kcp_channel_can_send       (KcpChannel           *self,
                                        KcpMessage           *message,
                                        gsize                *size,
                                        GError              **error);
gboolean    kcp_channel_send_call      (KcpChannel           *self,
                                        KcpCall              *call,
                                        KcpMessage           *message,
                                        KcpTraceContext      *trace,
                                        guint64               parent,
                                        gint64                deadline_at,
                                        GError              **error);
void        kcp_channel_send_credit    (KcpChannel           *self,
                                        KcpCall              *call,
                                        guint                 items,
                                        gsize                 bytes);
void        kcp_channel_forget_call    (KcpChannel           *self,
                                        KcpCall              *call,
                                        gboolean              cancel);
KcpCall    *kcp_channel_lookup_call    (KcpChannel           *self,
                                        guint64               id);
/* Those without an answer, in the order in which they were sent. */
GPtrArray  *kcp_channel_list_calls     (KcpChannel           *self);
guint       kcp_channel_count_calls    (KcpChannel           *self);
void        kcp_channel_fail_calls     (KcpChannel           *self,
                                        const GError         *error);

/* Calls of the other side. */
void        kcp_channel_add_invocation    (KcpChannel           *self,
                                           KcpInvocation        *invocation);
KcpInvocation *kcp_channel_lookup_invocation (KcpChannel        *self,
                                           guint64               id);
guint       kcp_channel_count_invocations (KcpChannel           *self);
void        kcp_channel_send_answer       (KcpChannel           *self,
                                           KcpInvocation        *invocation,
                                           KcpAnswer             kind,
                                           KcpMessage           *message,
                                           const GError         *error,
                                           gint64                callbacks_sent);
void        kcp_channel_drop_invocation   (KcpChannel           *self,
                                           KcpInvocation        *invocation);
void        kcp_channel_drop_invocations  (KcpChannel           *self);

void        kcp_channel_send_link_frame (KcpChannel           *self,
                                         KcpFrameKind          kind,
                                         GBytes               *body);
void        kcp_channel_release_held    (KcpChannel           *self);

/* Frames taken in and sent out so far: the order between two sockets. */
guint64     kcp_channel_get_received    (KcpChannel           *self);
guint64     kcp_channel_get_sent        (KcpChannel           *self);
gsize       kcp_channel_get_pending     (KcpChannel           *self);
gint64      kcp_channel_get_last_input  (KcpChannel           *self);
guint64     kcp_channel_get_late        (KcpChannel           *self);

/* Blocks until all is sent, at most until @until (monotonic µs). */
gboolean    kcp_channel_flush           (KcpChannel           *self,
                                         gint64                until);
void        kcp_channel_close           (KcpChannel           *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpChannel, kcp_channel_unref)

G_END_DECLS
