/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-error.h"
#include "kcp-invocation-private.h"
#include "kcp-window-private.h"

G_BEGIN_DECLS

/* Inside of an invocation, shared by its two halves: kcp-invocation.c (life, what was asked,
 * whether it is still wanted) and kcp-invocation-answer.c. Nobody else includes it. */

struct _KcpInvocation
{
  gatomicrefcount user_refs;    /* the last one gone unanswered: answered with an error */
  gatomicrefcount total_refs;   /* all user references together count as one here */

  const KcpInvocationOps *ops;
  gpointer owner;               /* borrowed; NULL once closed; only for the link's thread */
  KcpInbox *inbox;
  KcpMessage *message;
  guint64 id, parent;
  gint64 deadline_at;
  KcpDeadline deadline;
  gboolean no_reply;

  int answered;                 /* atomic: who has given an end or an error, see below */
  int closed;                   /* atomic: answered, or nobody wants the answer */
  int cancelled;                /* atomic: nobody wants the answer */
  GCancellable *cancellable;    /* atomic: made when first asked for */

  /* Parts of the answer that wait for credit; only for the link's thread. */
  gboolean credit;
  KcpWindow window;
  GQueue waiting;               /* of KcpAnswerPart */

  /* Items handed in and not sent yet, wherever they are; under the lock, from any thread. */
  GMutex lock;
  GCond room;
  guint unsent;
  gsize unsent_bytes;
  GSList *room_tasks;           /* of GTask */
};

/* One part of an answer on its way out. */
typedef struct
{
  KcpInvocation *invocation;
  KcpMessage *message;          /* of an item or an end */
  GError *error;
  gsize size;                   /* of an item's body */
  KcpAnswer kind;
} KcpAnswerPart;

/* Only a second answer of the handler is its mistake; one that comes after the library's is late. */
enum
{
  NOT_ANSWERED,
  ANSWERED_BY_HANDLER,
  ANSWERED_BY_LIBRARY,
};

/* Answers in place of the handler, with @drop in place of the items that wait, too. FALSE: the
 * handler was first, or nobody waits. */
gboolean kcp_invocation_answer_for_handler (KcpInvocation *self,
                                            KcpError       code,
                                            gboolean       drop,
                                            const char    *what);
/* Nobody waits for the parts that wait, nor for room. */
void     kcp_invocation_drop_waiting       (KcpInvocation *self);

G_END_DECLS
