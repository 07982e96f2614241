/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-link-private.h"

G_BEGIN_DECLS

/* Inside of a link, shared by its halves: kcp-link.c (life, order, what comes in),
 * kcp-link-call.c (calls), kcp-link-gate.c (when user code runs), kcp-link-invoke.c (calls of the other side),
 * kcp-link-clock.c (deadlines and pings), kcp-link-mailbox.c (calls that wait their turn),
 * kcp-link-move.c (calls that change hands), kcp-link-wait.c (threads that block), kcp-link-thread.c
 * (calls of other threads). Nobody else includes it. */

/* Calls inside calls, both directions counted. */
#define KCP_LINK_MAX_DEPTH 32

/* User code that has to wait until a blocking wait is over. */
typedef struct
{
  KcpInboxFunc func;
  gpointer data;
  GDestroyNotify destroy;
  guint64 parent;               /* our call to which it belongs; 0: none */
} KcpLinkDeferred;

/* A call on its way from who asks to the link. Borrows all it points to, but for @trace. */
typedef struct
{
  KcpLink *link;
  KcpCall *call;                /* NULL: one-way */
  KcpMessage *message;
  GCancellable *cancellable;
  KcpInvocation *outer;         /* inside which it is asked; NULL: none */
  KcpTraceContext *trace;
  gint64 deadline_at;
} KcpLinkRequest;

typedef struct
{
  int (*get_fd) (gpointer data);
  KcpInboxFunc func;
  gpointer data;
} KcpLinkWatch;

struct _KcpLink
{
  gatomicrefcount ref_count;
  KcpLinkSide side;
  const KcpLinkOps *ops;
  gpointer owner;
  GMainContext *context;
  GMainContext *thread_default; /* the same, as g_main_context_get_thread_default() tells it */
  gboolean closed;
  GError *refusal;              /* why no new calls are taken; NULL: they are */
  int call_timeout;
  KcpTerms terms;

  KcpChannel *request, *callback;
  KcpChannel *out, *in;         /* the same two: our calls go out, theirs come in */
  gboolean catching_up;         /* inside on_hold() */

  KcpLinkLimits limits;
  GQueue mailbox;               /* of Mail, see kcp-link-mailbox.c */
  gsize mailbox_bytes;
  gboolean pumping;

  KcpLinkTakeBack take_back;    /* NULL: nobody does */
  gpointer take_back_data;
  gboolean gathering;           /* for it, letters that were not opened go to the mailbox */

  KcpInbox *inbox;              /* also knows who is at home */
  GSource *inbox_source;

  /* For threads that are not at home. */
  GMutex lock;                  /* around changes of @refusal; at home it is read without */
  int calls, posted;            /* atomic: in flight and in the mailbox; on their way there */

  GArray *watches;              /* of KcpLinkWatch */

  /* While this thread blocks for a call, user code runs only for what descends from it. */
  KcpCall *gate;
  guint waits;                  /* blocking waits inside each other */
  guint shut;                   /* > 0: no user code at all */
  GQueue deferred;              /* of KcpLinkDeferred */
  GSource *deferred_source;

  KcpDeadlines deadlines;
  GSource *timer;
  gint64 timer_at;              /* 0: not armed */
  gint64 ping_at;               /* when the ping without an answer was sent; 0: none */
  gboolean responsive;
  gboolean told_responsive;     /* what the owner knows of it */
};

extern const KcpCallOps kcp_link_call_ops;

/* As a call asks for it. */
gpointer kcp_link_keep       (gpointer        owner);
void     kcp_link_let_go     (gpointer        owner);

/* Runs @func now if user code may run, for @call (nullable) in particular. */
void     kcp_link_run_user   (KcpLink        *self,
                              KcpCall        *call,
                              KcpInboxFunc    func,
                              gpointer        data,
                              GDestroyNotify  destroy);
void     kcp_link_run_deferred (KcpLink      *self);
void     kcp_link_schedule_deferred (KcpLink *self);
void     kcp_link_defer      (KcpLink        *self,
                              guint64         parent,
                              KcpInboxFunc    func,
                              gpointer        data,
                              GDestroyNotify  destroy);
void     kcp_link_free_deferred (KcpLinkDeferred *deferred);
gboolean kcp_link_may_run    (KcpLink        *self,
                              guint64         parent);
KcpCall *kcp_link_enter_loop (KcpLink        *self);
void     kcp_link_leave_loop (KcpLink        *self,
                              KcpCall        *gate);

void     kcp_link_on_call    (gpointer         owner,
                              KcpChannel      *channel,
                              KcpIncomingCall *call);
void     kcp_link_on_dropped (gpointer         owner,
                              KcpChannel      *channel,
                              KcpInvocation   *invocation);

guint    kcp_link_depth      (KcpLink        *self,
                              guint64         parent,
                              KcpCall        *ancestor,
                              gboolean       *descends);

void     kcp_link_request_init (KcpLinkRequest  *request,
                                KcpLink         *self,
                                KcpCall         *call,
                                KcpMessage      *message,
                                GCancellable    *cancellable,
                                gboolean         stream);
void     kcp_link_start_call   (KcpLinkRequest  *request);
gboolean kcp_link_send_call    (KcpLinkRequest  *request,
                                GError         **error);
void     kcp_link_post_call    (const KcpLinkRequest  *request);
gboolean kcp_link_post_tell    (const KcpLinkRequest  *request,
                                GError               **error);
void     kcp_link_publish      (KcpLink         *self);
gboolean kcp_link_check_open  (KcpLink          *self,
                               gboolean          inside,
                               GError          **error);
gboolean kcp_link_put_call    (KcpLink          *self,
                               KcpCall          *call,
                               KcpMessage       *message,
                               KcpTraceContext  *trace,
                               guint64           parent,
                               gint64            deadline,
                               gboolean          admitted,
                               GError          **error);
void     kcp_link_open_window (KcpLink          *self,
                               KcpCall          *call);
void     kcp_link_wait_round  (gpointer          owner,
                               KcpCall          *call);

gboolean kcp_link_can_give_back (KcpLink        *self,
                                 KcpCall        *call);
void     kcp_link_give_back   (KcpLink          *self,
                               KcpCall          *call,
                               KcpMessage       *message,
                               KcpTraceContext  *trace,
                               const GError     *reason);
void     kcp_link_keep_message (KcpLink         *self,
                                KcpCall         *call,
                                KcpMessage      *message,
                                KcpTraceContext *trace);
/* For a call that cannot be sent. FALSE: it does not go back. */
gboolean kcp_link_gather      (KcpLinkRequest   *request);
/* Before the inbox is closed, and before calls are failed with @reason. */
void     kcp_link_give_all_back (KcpLink        *self,
                                 const GError   *reason);

gboolean kcp_link_must_wait   (KcpLink          *self,
                               guint64           parent);
gboolean kcp_link_mailbox_put (KcpLink          *self,
                               KcpCall          *call,
                               KcpMessage       *message,
                               KcpTraceContext  *trace,
                               gint64            deadline_at,
                               gboolean          admitted,
                               GError          **error);
void     kcp_link_mailbox_give_back (KcpLink    *self,
                                     const GError *reason);
void     kcp_link_mailbox_remove (KcpLink       *self,
                                  KcpCall       *call);
void     kcp_link_mailbox_pump (KcpLink         *self);
void     kcp_link_mailbox_fail (KcpLink         *self,
                                const GError    *error);

void     kcp_link_clock_start (KcpLink       *self);
void     kcp_link_clock_stop  (KcpLink       *self);
void     kcp_link_clock_arm   (KcpLink       *self,
                               gint64         at);
void     kcp_link_clock_call  (KcpLink       *self);
void     kcp_link_clock_pong  (KcpLink       *self);
/* Runs what is due, after a look at what has arrived. */
void     kcp_link_clock_check (KcpLink       *self);
gint64   kcp_link_clock_next  (KcpLink       *self);

G_END_DECLS
