/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-channel-private.h"

G_BEGIN_DECLS

/* Inside of a channel, shared by its parts: kcp-channel.c (life, calls of this end),
 * kcp-channel-answer.c (calls of the other end) and kcp-channel-receive.c (what comes in). Nobody else includes it. */

/* The end of a call that has to wait for frames of the other socket. */
typedef struct
{
  KcpCall *call;
  KcpMessage *result;        /* of an END */
  GError *error;             /* of an ERROR */
  guint64 callbacks_sent;
} KcpHeldAnswer;

struct _KcpChannel
{
  grefcount ref_count;
  const char *name;                /* static: "request" or "callback" */
  const KcpChannelOps *ops;
  gpointer owner;                  /* borrowed; NULL once closed */

  GSocketConnection *connection;
  int fd;
  GSource *source;
  gpointer tag;
  GIOCondition condition;
  KcpFrameReader *reader;
  KcpFrameWriter *writer;
  guint32 accepts;
  gboolean counted;                /* the other end counts what we send here */
  gsize frame_limit;
  gboolean takes_fds;              /* messages may carry descriptors, both ways */
  guint running;                   /* depth of kcp_channel_run() */
  gboolean crowded;                /* a send was blocked; told by room() when all is out */
  gboolean ended;                  /* nothing comes any more */
  gboolean closed;

  GHashTable *calls;               /* &id → KcpCall, owned */
  GHashTable *invocations;         /* &id → KcpInvocation, kept */
  guint64 last_call;               /* highest id issued here */
  guint64 last_invocation;         /* highest id the other end has issued */
  GQueue held;                     /* of KcpHeldAnswer */
  guint64 received, sent, late;
  gint64 last_input;
};

void     kcp_channel_free_held (gpointer         data);
void     kcp_channel_end       (KcpChannel      *self,
                                const GError    *error);
void     kcp_channel_push      (KcpChannel      *self,
                                KcpFrameKind     kind,
                                guint8           flags,
                                guint64          id,
                                const KcpFields *fields,
                                gint64           deadline_at,
                                GBytes          *body,
                                GUnixFDList     *fds);
void     kcp_channel_flush_now (KcpChannel      *self);
/* The sender's limit: a frame that the other end would refuse never leaves. */
gboolean kcp_channel_fits      (KcpChannel      *self,
                                const KcpFields *fields,
                                GBytes          *body,
                                GError         **error);

/* Whether frames of @kind are counted. The others may overtake, so they cannot be. */
static inline gboolean
kcp_channel_counts (guint8 kind)
{
  return kind != KCP_FRAME_PING && kind != KCP_FRAME_PONG &&
         kind != KCP_FRAME_CREDIT && kind != KCP_FRAME_CANCEL;
}

G_END_DECLS
