/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-deadlines-private.h"
#include "kcp-inbox-private.h"
#include "kcp-invocation.h"
#include "kcp-message.h"

G_BEGIN_DECLS

/* The callee's view of one request. Two kinds of references: the user's, whose last one going
 * means that nobody can answer any more, and the link's, which keep the memory. */

typedef enum
{
  KCP_ANSWER_ITEM,
  KCP_ANSWER_END,
  KCP_ANSWER_ERROR,
} KcpAnswer;

typedef struct
{
  /* Sends one part of the answer; in the thread of the link. Exactly one of @message and @error. */
  void (*answer) (gpointer owner, KcpInvocation *invocation, KcpAnswer kind, KcpMessage *message,
                  const GError *error);
} KcpInvocationOps;

/* Takes @message. */
KcpInvocation *kcp_invocation_new         (const KcpInvocationOps *ops,
                                           gpointer                owner,
                                           KcpInbox               *inbox,
                                           KcpMessage             *message,
                                           guint64                 id,
                                           guint64                 parent,
                                           gint64                  deadline_at,
                                           gboolean                no_reply);

void           kcp_invocation_keep        (KcpInvocation          *self);
void           kcp_invocation_release     (KcpInvocation          *self);

guint64        kcp_invocation_get_id      (KcpInvocation          *self);
guint64        kcp_invocation_get_parent  (KcpInvocation          *self);
const guint64 *kcp_invocation_peek_id     (KcpInvocation          *self);
KcpDeadline   *kcp_invocation_deadline    (KcpInvocation          *self);
/* That of the link by which it came. */
KcpInbox      *kcp_invocation_get_inbox   (KcpInvocation          *self);

/* Items wait for credit from now on: the caller's window. */
void           kcp_invocation_set_window  (KcpInvocation          *self,
                                           guint                   items,
                                           gsize                   bytes);
/* The caller has taken that much. FALSE: more than it was sent. */
gboolean       kcp_invocation_take_credit (KcpInvocation          *self,
                                           guint                   items,
                                           gsize                   bytes);

/* It was answered, or nobody wants an answer any more: what is sent from now on is dropped, and
 * unless its handler has answered, the cancellable is triggered. In the thread of the link. */
void           kcp_invocation_close       (KcpInvocation          *self);

G_END_DECLS
